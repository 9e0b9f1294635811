package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/larder-go/cache"
)

// setPrice changes the price of a product. Only staff may.
func (s *shop) setPrice(w http.ResponseWriter, r *http.Request) error {
	switch u, ok := userOf(r); {
	case !ok:
		return errNobody
	case !u.Staff:
		return faultf(http.StatusForbidden, "only staff may change a price")
	}
	price, err := parseEuros(r.PostFormValue("price"))
	if err != nil {
		return err
	}
	p, err := s.findProduct(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if _, err := s.db.ExecContext(r.Context(), "UPDATE products SET cents = ? WHERE id = ?", price, p.ID); err != nil {
		return err
	}
	p.Price = price
	purged := s.purge(r, cache.Tag(productTag(p.ID)), cache.Tag("products"))
	return reply(w, http.StatusOK, struct {
		product
		Purged bool `json:"purged"`
	}{p, purged})
}

// productTag is the tag of every response that shows the product; lists have the tag "products".
func productTag(id int64) string { return fmt.Sprintf("product:%d", id) }

// purge drops stored responses after a change of the database has made them wrong. If the purge does not reach Redis, that is
// no reason to undo the change: old responses live no longer than their TTL. It reports whether the purge reached Redis.
func (s *shop) purge(r *http.Request, labels ...cache.Label) bool {
	err := s.cache.Purge(r.Context(), labels...)
	if err != nil {
		slog.Warn("a purge did not reach Redis", "error", err)
	}
	return err == nil
}

// euros are an amount of money, in cents.
type euros int64

func (e euros) String() string { return fmt.Sprintf("%d.%02d", e/100, e%100) }

// MarshalText writes the amount as String does.
func (e euros) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// dearest is the highest price.
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
