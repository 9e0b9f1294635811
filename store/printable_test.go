package store

import (
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"
)

// What is printable is valid, and what is valid is printable unless it is short or has a tab: for every byte, at every place.
func TestPrintableAgreesWithHTTP(t *testing.T) {
	for n := range 25 {
		for at := range max(n, 1) {
			for c := range 256 {
				b := []byte(strings.Repeat("~", n))
				if n > 0 {
					b[at] = byte(c)
				}
				s := string(b)
				want := n >= 8 && httpguts.ValidHeaderFieldValue(s) && !strings.Contains(s, "\t")
				if got := printable(s); got != want {
					t.Fatalf("printable(%q) = %v; want %v", s, got, want)
				}
			}
		}
	}
}

// Two bytes beside each other do not hide one another.
func TestPrintableSeesEveryPair(t *testing.T) {
	for pair := range 1 << 16 {
		s := "~~~" + string([]byte{byte(pair >> 8), byte(pair)}) + "~~~"
		if printable(s) && !httpguts.ValidHeaderFieldValue(s) {
			t.Fatalf("%q is printable but not valid", s)
		}
	}
}
