package rfc9111_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/larder-go/cache/internal/rfc9111"
)

func TestGroups(t *testing.T) {
	long := strings.Repeat("a", 256)
	tests := []struct {
		name        string
		lines, want []string
	}{
		{"Strings (RFC 9875 §2)", []string{`"scripts", "a b"`}, []string{"scripts", "a b"}},
		{"several lines (RFC 9651 §4.2)", []string{`"b"`, `"a"`}, []string{"b", "a"}},
		{"parameters (RFC 9875 §2)", []string{`"a";x=1, "b"`}, []string{"a", "b"}},
		{"once each (RFC 9875 §2.1)", []string{`"a", "b", "a";x`}, []string{"a", "b"}},
		{"the case matters (RFC 9875 §2.1)", []string{`"a", "A"`}, []string{"a", "A"}},
		{"escapes (RFC 9651 §3.3.3)", []string{`"a\"\\,"`}, []string{`a"\,`}},
		{"an empty name (RFC 9651 §3.3.3)", []string{`""`}, []string{""}},
		{"256 bytes", []string{`"` + long + `"`}, []string{long}},
		{"257 bytes", []string{`"a` + long + `", "b"`}, []string{"b"}},
		{"no line", nil, nil},
		{"an empty line (RFC 9651 §4.2)", []string{""}, nil},
		{"a Token (RFC 9875 §2)", []string{`"a", b`}, nil},
		{"an Integer (RFC 9875 §2)", []string{`1, "a"`}, nil},
		{"an Inner List (RFC 9875 §2)", []string{`"a", ("b")`}, nil},
		{"a Display String (RFC 9651 §3.3.8)", []string{`%"a"`}, nil},
		{"bytes (RFC 9651 §3.3.5)", []string{`:YQ==:`}, nil},
		{"a comma after (RFC 9651 §4.2.1)", []string{`"a",`}, nil},
		{"not closed (RFC 9651 §4.2.5)", []string{`"a`}, nil},
		{"no ASCII (RFC 9651 §3.3.3)", []string{`"é"`}, nil},
	}
	for _, tt := range tests {
		if got := rfc9111.ParseGroups(tt.lines); !slices.Equal(got, tt.want) || (got == nil) != (tt.want == nil) {
			t.Errorf("%s: %q is %q, want %q", tt.name, tt.lines, got, tt.want)
		}
	}
}

func TestNoMoreThan128Groups(t *testing.T) {
	var lines []string
	for i := range 200 {
		lines = append(lines, fmt.Sprintf(`"%d"`, i))
	}
	if got := rfc9111.ParseGroups(lines); len(got) != 128 || got[127] != "127" {
		t.Errorf("%d groups: %q", len(got), got)
	}
}

func TestClearsCache(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  bool
	}{ // Clear Site Data §3.1
		{"the cache", []string{`"cache"`}, true},
		{"everything", []string{`"*"`}, true},
		{"among others", []string{`"cookies" ,"cache", "storage"`}, true},
		{"on another line", []string{`"cookies"`, `"cache"`}, true},
		{"after an empty member (RFC 9110 §5.6.1)", []string{`, "cache"`}, true},
		{"something else", []string{`"cookies", "storage"`}, false},
		{"not quoted", []string{`cache`}, false},
		{"a star that is not quoted", []string{`*`}, false},
		{"another case", []string{`"Cache"`}, false},
		{"within another string", []string{`"a, \"cache\""`}, false},
		{"blanks within", []string{`" cache"`}, false},
		{"not closed", []string{`"cache`}, false},
		{"an empty line", []string{""}, false},
		{"no line", nil, false},
	}
	for _, tt := range tests {
		if got := rfc9111.ClearsCache(tt.lines); got != tt.want {
			t.Errorf("%s: %q: %v", tt.name, tt.lines, got)
		}
	}
}
