package main

import (
	"fmt"
	"net/http"
	"strings"
)

// euros are an amount of money, in cents.
type euros int64

func (e euros) String() string { return fmt.Sprintf("%d.%02d", e/100, e%100) }

// MarshalText writes the amount as String does.
func (e euros) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// dearest is a price that no product exceeds.
const dearest = euros(1_000_000_00)

// parseEuros reads "12", "12.5" or "12.50".
func parseEuros(text string) (euros, error) {
	whole, cents, _ := strings.Cut(text, ".")
	digits := whole + (cents + "00")[:max(2, len(cents))]
	var e euros
	for _, digit := range []byte(digits) {
		if digit < '0' || digit > '9' || e > dearest {
			e = 0
			break
		}
		e = e*10 + euros(digit-'0')
	}
	if whole == "" || len(cents) > 2 || e <= 0 || e > dearest {
		return 0, faultf(http.StatusBadRequest, "price=%q is not an amount from 0.01 to %v; write for example price=12.50", text, dearest)
	}
	return e, nil
}
