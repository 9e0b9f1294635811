package rfc9111_test

import (
	"testing"

	"github.com/larder-go/cache/internal/rfc9111"
)

func TestTagsMatch(t *testing.T) {
	tests := []struct {
		name, a, b   string
		weak, strong bool
	}{
		{"strong (RFC 9110 §8.8.3.2)", `"1"`, `"1"`, true, true},
		{"weak (§8.8.3.2)", `W/"1"`, `W/"1"`, true, false},
		{"weak, others (§8.8.3.2)", `W/"1"`, `W/"2"`, false, false},
		{"one weak (§8.8.3.2)", `W/"1"`, `"1"`, true, false},
		{"others", `"1"`, `"2"`, false, false},
		{"the case matters (§8.8.3)", `"a"`, `"A"`, false, false},
		{"w/ is not W/ (§8.8.3)", `w/"1"`, `w/"1"`, false, false},
		{"empty (§8.8.3)", `""`, `""`, true, true},
		{"obs-text (§8.8.3)", "\"\x80é\"", "\"\x80é\"", true, true},
		{"a backslash (§8.8.3: not a quoted-string)", `"a\"`, `"a\"`, true, true},
		{"a blank, which is no etagc (§8.8.3)", `"a b"`, `"a b"`, true, false},
		{"a control, which is no etagc (§8.8.3)", "\"a\x7f\"", "\"a\x7f\"", true, false},
		{"not quoted (§8.8.3)", "1", "1", false, false},
		{"quoted and not (§8.8.3)", `"1"`, "1", false, false},
		{"no tags", "", "", false, false},
		{"not closed (§8.8.3)", `"1`, `"1`, false, false},
		{"a quote", `"`, `"`, false, false},
		{"a quote within (§8.8.3)", `"a"b"`, `"a"b"`, false, false},
		{"blanks around", ` "1"`, ` "1"`, false, false},
		{"weak twice (§8.8.3)", `W/"1"`, `W/W/"1"`, false, false},
		{"two", `"1","2"`, `"1","2"`, false, false},
	}
	for _, tt := range tests {
		for _, pair := range [][2]string{{tt.a, tt.b}, {tt.b, tt.a}} {
			if got := rfc9111.WeakMatch(pair[0], pair[1]); got != tt.weak {
				t.Errorf("%s: %q: weakly %v", tt.name, pair, got)
			}
			if got := rfc9111.StrongMatch(pair[0], pair[1]); got != tt.strong {
				t.Errorf("%s: %q: strongly %v", tt.name, pair, got)
			}
		}
	}
}

func TestMatchesAny(t *testing.T) {
	lines := func(s ...string) []string { return s }
	tests := []struct {
		name  string
		lines []string
		tag   string
		want  bool
	}{
		{"the tag (RFC 9110 §13.1.2)", lines(`"a"`), `"a"`, true},
		{"another", lines(`"b"`), `"a"`, false},
		{"compared weakly (§13.1.2)", lines(`W/"a"`), `"a"`, true},
		{"a list (§5.6.1)", lines(`"x", W/"y" ,"a"`), `"a"`, true},
		{"a list with gaps (§5.6.1)", lines(`, "x",, "a",`), `"a"`, true},
		{"several lines (§5.3)", lines(`"x"`, `"y", "a"`), `W/"a"`, true},
		{"a comma within (§8.8.3)", lines(`"x,", "a,b"`), `"a,b"`, true},
		{"a star (§13.1.2)", lines(" * "), `"a"`, true},
		{"a star, no tag (§13.1.2)", lines("*"), "", true},
		{"a quoted star", lines(`"*"`), `"a"`, false},
		{"no tag", lines(`"a"`), "", false},
		{"no line", nil, `"a"`, false},
		{"malformed before", lines(`x, "a"`), `"a"`, false},
		{"malformed after", lines(`"a", x`), `"a"`, true},
		{"a malformed line before", lines(`"x`, `"a"`), `"a"`, true},
		{"neither is quoted (§8.8.3)", lines("a"), "a", false},
	}
	for _, tt := range tests {
		if got := rfc9111.MatchesAny(tt.lines, tt.tag); got != tt.want {
			t.Errorf("%s: %s in %q: %v", tt.name, tt.tag, tt.lines, got)
		}
	}
}
