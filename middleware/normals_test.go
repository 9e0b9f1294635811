package middleware

import (
	"fmt"
	"strings"
	"testing"

	"github.com/larder-go/cache/internal/rfc9111"
)

// A remembered selection equals a newly computed one, also if lines or names collide in a slot.
func TestRememberedSelectionsAreTheirOwn(t *testing.T) {
	var n normalForms
	fields := [][]string{nil, {}, {""}, {"de", "en"}, {strings.Repeat("x,", maxNormal)}, {"en;q=2"}, {"text/html, */*;q=0.10"}}
	for i := range 4 * normalSlots {
		fields = append(fields, []string{fmt.Sprintf("x-%d; q=0.50 , EN", i)})
	}
	for range 2 {
		for _, lines := range fields {
			for _, name := range []string{"Accept", "Accept-Language", "Accept-Encoding", "Cookie", "Origin"} {
				for range 2 {
					text, present := n.selection(name, lines)
					want, there := rfc9111.Selection(name, lines)
					if text != want || present != there {
						t.Fatalf("%s %q: %q, %v; want %q, %v", name, lines, text, present, want, there)
					}
				}
			}
		}
	}
}

func TestSelectionsOfOneClientAreNotRemembered(t *testing.T) {
	var n normalForms
	n.selection("Cookie", []string{"session=secret"})
	n.selection("Authorization", []string{"Bearer secret"})
	n.selection("X-Token", []string{"secret"})
	for i := range n.slots {
		if known := n.slots[i].Load(); known != nil {
			t.Errorf("%s is remembered", known.name)
		}
	}
}
