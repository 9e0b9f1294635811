package rfc9111_test

import (
	"math"
	"testing"

	"github.com/larder-go/cache/internal/rfc9111"
)

func TestContentRange(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  rfc9111.Part
		ok    bool
	}{
		{"a part (RFC 9110 §14.4)", []string{"bytes 4-9/10"}, rfc9111.Part{First: 4, Last: 9, Complete: 10}, true},
		{"of unknown length (§14.4)", []string{"bytes 0-4/*"}, rfc9111.Part{First: 0, Last: 4, Complete: -1}, true},
		{"the unit's case (§14.1)", []string{"Bytes 0-0/1"}, rfc9111.Part{First: 0, Last: 0, Complete: 1}, true},
		{"whitespace around (§5.5)", []string{" bytes 0-0/1\t"}, rfc9111.Part{First: 0, Last: 0, Complete: 1}, true},
		{"zeros before (§14.4)", []string{"bytes 00-01/0002"}, rfc9111.Part{First: 0, Last: 1, Complete: 2}, true},
		{"the most that can be counted", []string{"bytes 9223372036854775806-9223372036854775806/9223372036854775807"},
			rfc9111.Part{First: math.MaxInt64 - 1, Last: math.MaxInt64 - 1, Complete: math.MaxInt64}, true},
		{"more than that", []string{"bytes 0-9/9223372036854775808"}, rfc9111.Part{}, false},
		{"more than that, of unknown length", []string{"bytes 0-9223372036854775807/*"}, rfc9111.Part{}, false},
		{"unsatisfied (§14.4)", []string{"bytes */10"}, rfc9111.Part{}, false},
		{"last before first (§14.4)", []string{"bytes 5-4/10"}, rfc9111.Part{}, false},
		{"last is not within (§14.4)", []string{"bytes 0-10/10"}, rfc9111.Part{}, false},
		{"of nothing (§14.4)", []string{"bytes 0-0/0"}, rfc9111.Part{}, false},
		{"another unit (§14.4)", []string{"lines 0-4/10"}, rfc9111.Part{}, false},
		{"a unit that folds to bytes", []string{"byteſ 0-4/10"}, rfc9111.Part{}, false},
		{"as in Range (§14.4)", []string{"bytes=0-4/10"}, rfc9111.Part{}, false},
		{"no unit (§14.4)", []string{"0-4/10"}, rfc9111.Part{}, false},
		{"no length (§14.4)", []string{"bytes 0-4"}, rfc9111.Part{}, false},
		{"an empty length (§14.4)", []string{"bytes 0-4/"}, rfc9111.Part{}, false},
		{"no last (§14.4)", []string{"bytes 0-/10"}, rfc9111.Part{}, false},
		{"no first (§14.4)", []string{"bytes -4/10"}, rfc9111.Part{}, false},
		{"a sign (§14.4)", []string{"bytes +0-4/10"}, rfc9111.Part{}, false},
		{"blanks within (§14.4)", []string{"bytes 0 - 4/10"}, rfc9111.Part{}, false},
		{"two blanks (§14.4)", []string{"bytes  0-4/10"}, rfc9111.Part{}, false},
		{"a second range (§14.4)", []string{"bytes 0-4/10, 6-7/10"}, rfc9111.Part{}, false},
		{"two lines (§5.3)", []string{"bytes 0-4/10", "bytes 0-4/10"}, rfc9111.Part{}, false},
		{"no line", nil, rfc9111.Part{}, false},
		{"an empty line", []string{""}, rfc9111.Part{}, false},
	}
	for _, tt := range tests {
		if got, ok := rfc9111.ParseContentRange(tt.lines); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %q is %v, %v; want %v, %v", tt.name, tt.lines, got, ok, tt.want, tt.ok)
		}
	}
}

func TestParts(t *testing.T) {
	part := func(first, last, complete int64) rfc9111.Part {
		return rfc9111.Part{First: first, Last: last, Complete: complete}
	}
	tests := []struct {
		part    rfc9111.Part
		text    string
		whole   bool
		missing string
	}{ // RFC 9110 §14.4, RFC 9111 §3.3
		{part(4, 9, 10), "bytes 4-9/10", false, "bytes=0-3"},
		{part(0, 4, 10), "bytes 0-4/10", false, "bytes=5-"},
		{part(0, 9, 10), "bytes 0-9/10", true, ""},
		{part(2, 7, 10), "bytes 2-7/10", false, ""},
		{part(0, 0, 1), "bytes 0-0/1", true, ""},
		{part(1, 1, 2), "bytes 1-1/2", false, "bytes=0-0"},
		{part(0, 4, -1), "bytes 0-4/*", false, ""},
		{part(4, 9, -1), "bytes 4-9/*", false, ""},
		{rfc9111.Part{}, "bytes 0-0/0", false, ""},
		{part(0, 10, 10), "bytes 0-10/10", false, ""},
		{part(-1, 9, 10), "bytes -1-9/10", false, ""},
	}
	for _, tt := range tests {
		missing, ok := tt.part.Missing()
		if tt.part.String() != tt.text || tt.part.Whole() != tt.whole || ok != (tt.missing != "") || ok && missing.String() != tt.missing {
			t.Errorf("%s: %v, whole %v, missing %v, %v; want %v, %q", tt.text, tt.part, tt.part.Whole(), missing, ok, tt.whole, tt.missing)
		}
	}
}

func TestFits(t *testing.T) {
	for _, tt := range []struct {
		part rfc9111.Part
		body string
		want bool
	}{
		{rfc9111.Part{First: 4, Last: 9, Complete: 10}, "456789", true},
		{rfc9111.Part{First: 4, Last: 9, Complete: 10}, "45678", false},
		{rfc9111.Part{First: 4, Last: 9, Complete: -1}, "456789", true},
		{rfc9111.Part{First: 4, Last: 3, Complete: 10}, "", false},
		{rfc9111.Part{First: 0, Last: math.MaxInt64, Complete: -1}, "", false},
		{rfc9111.Part{}, "a", false},
	} {
		if got := tt.part.Fits([]byte(tt.body)); got != tt.want {
			t.Errorf("%v has %q: %v (RFC 9110 §14.4)", tt.part, tt.body, got)
		}
	}
}

// TestJoin: each row also the other way round.
func TestJoin(t *testing.T) {
	tests := []struct {
		name, a, aBody, b, bBody, want, body string
	}{ // RFC 9111 §3.4, RFC 9110 §15.3.7.3
		{"adjoining", "bytes 0-4/10", "01234", "bytes 5-9/10", "56789", "bytes 0-9/10", "0123456789"},
		{"overlapping", "bytes 0-5/10", "012345", "bytes 4-9/10", "456789", "bytes 0-9/10", "0123456789"},
		{"one in the other", "bytes 2-7/10", "234567", "bytes 3-4/10", "34", "bytes 2-7/10", "234567"},
		{"one beginning", "bytes 2-7/10", "234567", "bytes 2-4/10", "234", "bytes 2-7/10", "234567"},
		{"one end", "bytes 2-7/10", "234567", "bytes 6-7/10", "67", "bytes 2-7/10", "234567"},
		{"the same", "bytes 2-3/10", "23", "bytes 2-3/10", "23", "bytes 2-3/10", "23"},
		{"both of unknown length", "bytes 0-1/*", "01", "bytes 2-3/*", "23", "bytes 0-3/*", "0123"},
		{"a gap", "bytes 0-3/10", "0123", "bytes 5-9/10", "56789", "", ""},
		{"other bytes in both", "bytes 0-5/10", "012345", "bytes 4-9/10", "4x6789", "", ""},
		{"other bytes within", "bytes 2-7/10", "234567", "bytes 3-4/10", "3x", "", ""},
		{"another length", "bytes 0-4/10", "01234", "bytes 5-9/11", "56789", "", ""},
		{"a length that one does not know", "bytes 0-4/10", "01234", "bytes 5-9/*", "56789", "", ""},
		{"a body too short", "bytes 0-4/10", "0123", "bytes 5-9/10", "56789", "", ""},
		{"a body too long", "bytes 0-4/10", "012345", "bytes 5-9/10", "56789", "", ""},
	}
	for _, tt := range tests {
		a, _ := rfc9111.ParseContentRange([]string{tt.a})
		b, _ := rfc9111.ParseContentRange([]string{tt.b})
		for range 2 {
			part, body, ok := rfc9111.Join(a, []byte(tt.aBody), b, []byte(tt.bBody))
			if ok != (tt.want != "") || ok && part.String() != tt.want || string(body) != tt.body {
				t.Errorf("%s: %v and %v are %v, %q, %v; want %q, %q", tt.name, a, b, part, body, ok, tt.want, tt.body)
			}
			a, tt.aBody, b, tt.bBody = b, tt.bBody, a, tt.aBody
		}
	}
}
