package rfc9111_test

import (
	"strings"
	"testing"

	"github.com/larder-go/cache/internal/rfc9111"
)

func TestTargeted(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  string
		ok    bool
	}{
		{"an Integer (RFC 9213 §2.1)", []string{"max-age=60"}, "max-age=60", true},
		{"Booleans (§2.1)", []string{"no-store, private=?1"}, "no-store private", true},
		{"several lines (RFC 9651 §4.2)", []string{"max-age=60", "no-cache"}, "max-age=60 no-cache", true},
		{"all times (§2.1)", []string{"s-maxage=1, stale-while-revalidate=2, stale-if-error=3, max-age=0"}, "s-maxage=1 stale-while-revalidate=2 stale-if-error=3 max-age=0", true},
		{"all others (§2.1)", []string{"public, must-revalidate, proxy-revalidate, must-understand, no-transform, immutable"},
			"public must-revalidate proxy-revalidate must-understand no-transform immutable", true},
		{"the last of two (RFC 9651 §4.2.2)", []string{"max-age=60, max-age=30"}, "max-age=30", true},
		{"false is absent (RFC 9651 §3.3.6)", []string{"no-store=?0, max-age=60"}, "max-age=60", true},
		{"false alone (§2.2: neither empty nor an error)", []string{"no-store=?0"}, "", true},
		{"parameters (§2.1)", []string{"max-age=60;a=1, no-cache;b"}, "max-age=60 no-cache", true},
		{"members that no one knows (§2.1)", []string{`foo="x", max-age=60, bar=(1 2), baz=1.5`}, "max-age=60", true},
		{"nothing that one knows (§3.1)", []string{"none"}, "", true},
		{"whitespace (RFC 9651 §4.2)", []string{"  max-age=60 ,\tpublic "}, "max-age=60 public", true},
		{"the largest Integer (RFC 9651 §3.3.1)", []string{"max-age=999999999999999"}, "max-age=999999999999999", true},
		{"a larger one (RFC 9651 §3.3.1)", []string{"max-age=1000000000000000"}, "", false},
		{"no line (§2.2)", nil, "", false},
		{"an empty line (§2.2)", []string{""}, "", false},
		{"blanks (§2.2)", []string{"  "}, "", false},
		{"a String for a time (§2.1)", []string{`max-age="60"`}, "", false},
		{"a Decimal for a time (§2.1)", []string{"max-age=60.0"}, "", false},
		{"a Boolean for a time (§2.1)", []string{"max-age"}, "", false},
		{"a Token for a time (§2.1)", []string{"max-age=a"}, "", false},
		{"a Date for a time (RFC 9651 §3.3.7)", []string{"max-age=@60"}, "", false},
		{"an Inner List for a time (RFC 9651 §3.1.1)", []string{"max-age=(60)"}, "", false},
		{"a negative time (RFC 9111 §1.2.2)", []string{"max-age=-1"}, "", false},
		{"an Integer for a Boolean (§2.1)", []string{"no-store=1"}, "", false},
		{"field names, a String (§2.1)", []string{`private="Set-Cookie"`}, "private=Set-Cookie", true},
		{"several field names (RFC 9111 §5.2.2.4)", []string{`max-age=60, no-cache="X-A, X-B";x=1`}, "max-age=60 no-cache=X-A, X-B", true},
		{"one field name, a Token (RFC 9111 §5.2)", []string{`private=X-A, no-cache=x-b`}, "private=X-A no-cache=x-b", true},
		{"a String with escapes (RFC 9651 §3.3.3)", []string{`private="a\"b\\c"`}, `private=a"b\c`, true},
		{"no field names (RFC 9111 §5.2.2.7)", []string{`private=""`}, "private=", true},
		{"the last of two field names (RFC 9651 §4.2.2)", []string{`private="X-A"`, `private="X-B"`}, "private=X-B", true},
		{"field names, and then none", []string{`private="X-A", private`}, "private", true},
		{"field names, and then false", []string{`private="X-A", private=?0`}, "", true},
		{"a String that does not end (RFC 9651 §4.2.5)", []string{`private="X-A`}, "", false},
		{"an Inner List of field names (§2.1)", []string{`private=("X-A" "X-B")`}, "", false},
		{"an Integer for field names (§2.1)", []string{`no-cache=1`}, "", false},
		{"a Decimal for field names (§2.1)", []string{`no-cache=1.5`}, "", false},
		{"a Byte Sequence for field names (§2.1)", []string{`private=:WC1B:`}, "", false},
		{"a Date for field names (§2.1)", []string{`private=@1`}, "", false},
		{"a String for what has no field names (§2.1)", []string{`no-store="X-A"`}, "", false},
		{"a Token for what has no field names (§2.1)", []string{`public=X-A`}, "", false},
		{"upper case among others (RFC 9651 §3.1.2)", []string{`max-age=60, Private="X-A"`}, "", false},
		{"an empty member (RFC 9651 §4.2.2)", []string{`max-age=60,, private="X-A"`}, "", false},
		{"one that is wrong among others (§2.2)", []string{"no-store, max-age=a"}, "", false},
		{"upper case (RFC 9651 §3.1.2)", []string{"Max-Age=60"}, "", false},
		{"a semicolon before (RFC 9651 §4.2.2)", []string{";max-age=60"}, "", false},
		{"a comma after (RFC 9651 §4.2.2)", []string{"max-age=60,"}, "", false},
		{"an empty line before (RFC 9651 §4.2)", []string{"", "max-age=60"}, "", false},
		{"spaces around = (RFC 9651 §4.2.2)", []string{"max-age = 60"}, "", false},
		{"no ASCII (RFC 9651 §4.2)", []string{"max-age=60, é"}, "", false},
	}
	for _, tt := range tests {
		directives, ok := rfc9111.ParseTargeted(tt.lines)
		if got := written(directives); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %q is %q, %v; want %q, %v", tt.name, tt.lines, got, ok, tt.want, tt.ok)
		}
	}
}

func written(directives []rfc9111.Directive) string {
	var all []string
	for _, d := range directives {
		text := d.Name
		if d.HasValue {
			text += "=" + d.Value
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}
