package rfc9111_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
)

// FuzzDate: what is a date here is the same date to net/http, but for the case of GMT, and what one writes is read again, in
// any case.
func FuzzDate(f *testing.F) {
	f.Add("Sun, 06 Nov 1994 08:49:37 GMT", int64(784111777))
	f.Add("Sunday, 06-Nov-94 08:49:37 GMT", int64(0))
	f.Add("Sun Nov  6 08:49:37 1994", int64(253402300799))
	f.Add("sUN, 06 nOV 1994 08:49:37 gmt", int64(1))
	f.Add("Sat, 31 Dec 2016 23:59:60 GMT", int64(-62135596800))
	f.Fuzz(func(t *testing.T, s string, at int64) {
		if got, ok := rfc9111.ParseDate(s, now); ok && !strings.Contains(s, ":60") {
			want, err := http.ParseTime(strings.ToUpper(strings.Trim(s, " \t")))
			near := got.After(now.AddDate(-50, 0, 0)) && !got.After(now.AddDate(50, 0, 0))
			if short := strings.Contains(s, "-"); err != nil || !short && !got.Equal(want) ||
				short && (!near || got.Year()%100 != want.Year()%100 || got.YearDay()-want.YearDay() > 1) {
				t.Errorf("%q is %v, to net/http %v, %v", s, got, want, err)
			}
		} else if !ok && !got.IsZero() {
			t.Errorf("%q is none, and %v", s, got)
		}
		at = (at%253402300800 + 253402300800) % 253402300800 // up to the end of 9999
		when := time.Unix(at, 0).UTC()
		for _, layout := range []string{http.TimeFormat, time.ANSIC, "Monday, 02-Jan-06 15:04:05 GMT"} {
			text := when.Format(layout)
			for _, text := range []string{text, strings.ToUpper(text), strings.ToLower(text)} {
				if got, ok := rfc9111.ParseDate(text, when); !ok || !got.Equal(when) {
					t.Errorf("%q is %v, %v", text, got, ok)
				}
			}
		}
	})
}

// FuzzStructured: what is read from a structured field can be written and read again.
func FuzzStructured(f *testing.F) {
	for _, line := range []string{"max-age=60, no-store;a=1", "none", "private=?0", `private="X-A, x-b", no-cache=c`, `"a", "b\"";x`, `("a")`, "a=:YQ==:", `"cache", "*"`} {
		f.Add(line, "")
	}
	f.Fuzz(func(t *testing.T, line, more string) {
		lines := []string{line, more}
		directives, ok := rfc9111.ParseTargeted(lines)
		if text := dictionary(directives); ok && text != "" {
			if again, ok := rfc9111.ParseTargeted([]string{text}); !ok || !slices.Equal(again, directives) {
				t.Errorf("%q is %v, and again %v", lines, directives, again)
			}
		} else if !ok && directives != nil {
			t.Errorf("%q is none, and %v", lines, directives)
		}
		groups := rfc9111.ParseGroups(lines)
		var texts []string
		for _, group := range groups {
			texts = append(texts, quoted(group))
			if slices.ContainsFunc([]byte(group), func(c byte) bool { return c < ' ' || c > '~' }) || len(group) > 256 {
				t.Errorf("%q has %q", lines, group)
			}
		}
		if again := rfc9111.ParseGroups(texts); !slices.Equal(again, groups) || len(groups) > 128 {
			t.Errorf("%q is %q, and again %q", lines, groups, again)
		}
		if rfc9111.ClearsCache(lines) && !strings.Contains(line+more, `"cache"`) && !strings.Contains(line+more, `"*"`) {
			t.Errorf("%q clears the cache", lines)
		}
	})
}

// dictionary writes directives as a targeted field has them.
func dictionary(directives []rfc9111.Directive) string {
	var members []string
	for _, d := range directives {
		switch {
		case !d.HasValue:
			members = append(members, d.Name)
		case d.Name == "no-cache" || d.Name == "private":
			members = append(members, d.Name+"="+quoted(d.Value))
		default:
			members = append(members, d.Name+"="+d.Value)
		}
	}
	return strings.Join(members, ", ")
}

func quoted(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }

// FuzzTags: what matches strongly matches weakly, both ways round, and a list has the tags that are put into it.
func FuzzTags(f *testing.F) {
	f.Add(`"a", W/"b"`, `"a"`, `W/"a"`)
	f.Add(`,,"x" "y","`, `"y"`, `"a b"`)
	f.Add("*", "", `W/`)
	f.Fuzz(func(t *testing.T, line, a, b string) {
		weak, strong := rfc9111.WeakMatch(a, b), rfc9111.StrongMatch(a, b)
		if weak != rfc9111.WeakMatch(b, a) || strong != rfc9111.StrongMatch(b, a) || strong && !weak || strong && a != b {
			t.Errorf("%q and %q: weak %v, strong %v", a, b, weak, strong)
		}
		if rfc9111.StrongMatch("W/"+a, "W/"+a) {
			t.Errorf("%q matches strongly", "W/"+a)
		}
		star := strings.TrimSpace(line) == "*"
		if rfc9111.MatchesAny([]string{line}, a) && !star && (!rfc9111.WeakMatch(a, a) || !strings.Contains(line, strings.TrimPrefix(a, "W/"))) {
			t.Errorf("%q has %q", line, a)
		}
		if rfc9111.WeakMatch(a, a) {
			for _, lines := range [][]string{{a}, {line, a}, {a + "," + line}, {`"x", ` + a}, {`"`, a}} {
				if !rfc9111.MatchesAny(lines, a) {
					t.Errorf("%q is not in %q", a, lines)
				}
			}
		}
	})
}
