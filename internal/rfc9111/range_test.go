package rfc9111_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/larder-go/cache/internal/rfc9111"
)

func TestRanges(t *testing.T) {
	tests := []struct{ name, line, want string }{ // the ranges that were read, each as a field of its own; "": none
		{"first and last (RFC 9110 §14.1.2)", "bytes=0-499", "bytes=0-499"},
		{"to the end (§14.1.2)", "bytes=500-", "bytes=500-"},
		{"a suffix (§14.1.2)", "bytes=-500", "bytes=-500"},
		{"several (§14.1.2)", "bytes=0-0,5-,-1", "bytes=0-0 bytes=5- bytes=-1"},
		{"whitespace and gaps (§5.6.1)", " bytes= 0-0 ,,\t5-9, ", "bytes=0-0 bytes=5-9"},
		{"the unit's case (§14.1)", "BYTES=0-0", "bytes=0-0"},
		{"the last none (§14.1.2)", "bytes=-0", "bytes=-0"},
		{"the most that can be counted", "bytes=9223372036854775807-9223372036854775807", "bytes=9223372036854775807-9223372036854775807"},
		{"100 (§17.15)", "bytes=" + strings.Repeat("0-,", 100), strings.TrimSpace(strings.Repeat("bytes=0- ", 100))},
		{"101 (§17.15)", "bytes=" + strings.Repeat("0-,", 101), ""},
		{"nothing", "", ""},
		{"no range (§14.1.1)", "bytes=", ""},
		{"gaps alone (§5.6.1)", "bytes=,,", ""},
		{"no unit (§14.2)", "0-1", ""},
		{"another unit (§14.2)", "lines=0-1", ""},
		{"blanks before = (§14.1.1)", "bytes =0-1", ""},
		{"as in Content-Range (§14.1.1)", "bytes 0-1", ""},
		{"neither first nor last (§14.1.2)", "bytes=-", ""},
		{"one number (§14.1.2)", "bytes=5", ""},
		{"last before first (§14.1.2)", "bytes=5-4", ""},
		{"three numbers (§14.1.2)", "bytes=1-2-3", ""},
		{"a negative suffix (§14.1.2)", "bytes=--5", ""},
		{"blanks within (§14.1.2)", "bytes=0 - 5", ""},
		{"a sign (§14.1.2)", "bytes=+1-5", ""},
		{"letters (§14.1.2)", "bytes=a-b", ""},
		{"more than can be counted (§14.1.2)", "bytes=0-9223372036854775808", "bytes=0-9223372036854775807"},
		{"so many first (§14.1.2)", "bytes=99999999999999999999-", "bytes=9223372036854775807-"},
		{"so many last (§14.1.2)", "bytes=-99999999999999999999", "bytes=-9223372036854775807"},
		{"so many first, and then few (§14.1.2)", "bytes=99999999999999999999-1", ""},
		{"so many, and letters (§14.1.2)", "bytes=99999999999999999999x-", ""},
		{"one that is malformed (§14.2)", "bytes=0-1,x", ""},
	}
	for _, tt := range tests {
		ranges, ok := rfc9111.ParseRange(tt.line)
		got := strings.Trim(fmt.Sprint(ranges), "[]")
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q is %q, %v; want %q", tt.name, tt.line, got, ok, tt.want)
		}
	}
}

// TestRangesOfAWhole: which bytes of so many a range means.
func TestRangesOfAWhole(t *testing.T) {
	tests := []struct {
		name, line string
		size       int64
		want       string
	}{
		{"first and last", "bytes=2-4", 10, "bytes 2-4/10"},
		{"beyond the end (RFC 9110 §14.1.2)", "bytes=2-10", 10, "bytes 2-9/10"},
		{"far beyond it", "bytes=2-99999999999999999999", 10, "bytes 2-9/10"},
		{"to the end", "bytes=9-", 10, "bytes 9-9/10"},
		{"a suffix", "bytes=-4", 10, "bytes 6-9/10"},
		{"a suffix of more than all (§14.1.2)", "bytes=-11", 10, "bytes 0-9/10"},
		{"a suffix of no length (§14.1.2)", "bytes=-0", 10, ""},
		{"behind the end (§14.1.2)", "bytes=10-", 10, ""},
		{"behind it, closed", "bytes=10-11", 10, ""},
		{"far behind it", "bytes=99999999999999999999-", 10, ""},
		{"of nothing", "bytes=0-", 0, ""},
		{"of nothing, closed", "bytes=0-0", 0, ""},
		{"of nothing, a suffix", "bytes=-1", 0, ""},
		{"of nothing, a suffix of no length", "bytes=-0", 0, ""},
	}
	for _, tt := range tests {
		r, ok := rfc9111.ParseRange(tt.line)
		if !ok {
			t.Fatalf("%s: %q is none", tt.name, tt.line)
		}
		if p, ok := r[0].Of(tt.size); ok != (tt.want != "") || ok && p.String() != tt.want {
			t.Errorf("%s: %q of %d bytes is %v, %v; want %q", tt.name, tt.line, tt.size, p, ok, tt.want)
		}
	}
}

func TestSlice(t *testing.T) {
	tests := []struct {
		name, part, body, ask, want, bytes string
	}{
		{"first and last (RFC 9111 §3.3)", "bytes 4-9/10", "456789", "bytes=6-8", "bytes 6-8/10", "678"},
		{"all of it", "bytes 4-9/10", "456789", "bytes=4-9", "bytes 4-9/10", "456789"},
		{"to the end", "bytes 4-9/10", "456789", "bytes=6-", "bytes 6-9/10", "6789"},
		{"a suffix", "bytes 4-9/10", "456789", "bytes=-1", "bytes 9-9/10", "9"},
		{"beyond the end (RFC 9110 §14.1.2)", "bytes 4-9/10", "456789", "bytes=8-99", "bytes 8-9/10", "89"},
		{"a suffix of more than all (RFC 9110 §14.1.2)", "bytes 0-9/10", "0123456789", "bytes=-99", "bytes 0-9/10", "0123456789"},
		{"a suffix of more than the part", "bytes 4-9/10", "456789", "bytes=-7", "", ""},
		{"before the part", "bytes 4-9/10", "456789", "bytes=3-5", "", ""},
		{"after the part", "bytes 0-4/10", "01234", "bytes=4-5", "", ""},
		{"to an end that is not there", "bytes 0-4/10", "01234", "bytes=2-", "", ""},
		{"a suffix of an end that is not there", "bytes 0-4/10", "01234", "bytes=-2", "", ""},
		{"not satisfiable (RFC 9110 §15.5.17)", "bytes 4-9/10", "456789", "bytes=10-", "", ""},
		{"not satisfiable, closed", "bytes 4-9/10", "456789", "bytes=10-12", "", ""},
		{"the last none (RFC 9110 §14.1.2)", "bytes 4-9/10", "456789", "bytes=-0", "", ""},
		{"of unknown length", "bytes 4-9/*", "456789", "bytes=5-6", "", ""},
		{"a body too short: first and last", "bytes 4-9/10", "01234", "bytes=6-8", "bytes 6-8/10", "234"},
		{"a body too short: to the end", "bytes 4-9/10", "01234", "bytes=6-", "bytes 6-8/10", "234"},
		{"a body too short: a suffix", "bytes 4-9/10", "01234", "bytes=-1", "bytes 9-9/10", "4"},
		{"a body too short: all of it", "bytes 4-9/10", "01234", "bytes=-5", "bytes 5-9/10", "01234"},
		{"a body too short for it", "bytes 4-9/10", "01234", "bytes=4-9", "", ""},
		{"a body too short for the suffix", "bytes 4-9/10", "01234", "bytes=-6", "", ""},
		{"a body too short to begin", "bytes 4-9/10", "01", "bytes=6-", "", ""},
		{"a body too long: to the end", "bytes 4-9/10", "0123456789", "bytes=6-", "bytes 6-9/10", "2345"},
		{"a body too long: a suffix", "bytes 4-9/10", "0123456789", "bytes=-2", "bytes 8-9/10", "89"},
		{"a body too long: before the part", "bytes 4-9/10", "0123456789", "bytes=-7", "", ""},
		{"no body", "bytes 4-9/10", "", "bytes=4-", "", ""},
	}
	for _, tt := range tests {
		stored, _ := rfc9111.ParseContentRange([]string{tt.part})
		ranges, ok := rfc9111.ParseRange(tt.ask)
		if !ok || len(ranges) != 1 {
			t.Fatalf("%s: %q is no range", tt.name, tt.ask)
		}
		part, b, ok := stored.Slice([]byte(tt.body), ranges[0])
		if ok != (tt.want != "") || ok && part.String() != tt.want || string(b) != tt.bytes {
			t.Errorf("%s: %s of %s is %v, %q, %v; want %q, %q", tt.name, tt.ask, tt.part, part, b, ok, tt.want, tt.bytes)
		}
	}
}

// TestSlicesAreOfTheWhole: whatever is cut, joined and cut again is what the representation has there.
func TestSlicesAreOfTheWhole(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		whole := make([]byte, 1+random.IntN(12))
		for i := range whole {
			whole[i] = byte(random.Uint32())
		}
		cut := func() (rfc9111.Part, []byte) {
			first := random.IntN(len(whole))
			last := first + random.IntN(len(whole)-first)
			return rfc9111.Part{First: int64(first), Last: int64(last), Complete: int64(len(whole))}, whole[first : last+1]
		}
		a, aBody := cut()
		b, bBody := cut()
		if checkJoin(t, whole, a, aBody, b, bBody); t.Failed() {
			return
		}
		r := rfc9111.Range{First: int64(random.IntN(14)), Last: int64(random.IntN(15) - 1)}
		if r.Suffix = random.IntN(3) == 0; r.Suffix {
			r.First, r.Last = 0, max(r.Last, 0)
		}
		if checkSlice(t, whole, a, aBody, r); t.Failed() {
			return
		}
	}
}
