package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/middleware"
)

func TestNotModified(t *testing.T) {
	then := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(d time.Duration) string { return then.Add(d).Format(http.TimeFormat) }
	since := func(text string) http.Header { return http.Header{"If-Modified-Since": {text}} }
	none := func(lines ...string) http.Header { return http.Header{"If-None-Match": lines} }
	tagged, modified := http.Header{"Etag": {`"a"`}}, http.Header{"Last-Modified": {at(0)}}
	both := http.Header{"Etag": {`"a"`}, "Last-Modified": {at(0)}}
	mixed := none(`"b"`)
	mixed.Set("If-Modified-Since", at(time.Hour))
	tests := []struct {
		name         string
		sent, answer http.Header
		want         bool
	}{
		{"unconditional", http.Header{}, both, false},
		{"the tag", none(`"a"`), tagged, true},
		{"another tag", none(`"b"`), tagged, false},
		{"a weak one of it", none(`W/"a"`), tagged, true},
		{"a weak answer", none(`"a"`), http.Header{"Etag": {`W/"a"`}}, true},
		{"both weak", none(`W/"a"`), http.Header{"Etag": {`W/"a"`}}, true},
		{"another case", none(`"A"`), tagged, false},
		{"weak in lower case is none", none(`w/"a"`), tagged, false},
		{"a list", none(`"x", W/"y" ,"a"`), tagged, true},
		{"a list without blanks", none(`"x","a"`), tagged, true},
		{"a list with gaps", none(`, "x",, "a",`), tagged, true},
		{"several lines", none(`"x"`, `"y", "a"`), tagged, true},
		{"several lines without it", none(`"x"`, `"y"`), tagged, false},
		{"a comma within a tag", none(`"x,", "a"`), tagged, true},
		{"a tag with a comma", none(`"a,b"`), http.Header{"Etag": {`"a,b"`}}, true},
		{"a star", none("*"), tagged, true},
		{"a star with blanks", none(" * "), tagged, true},
		{"a star without a tag", none("*"), http.Header{}, true},
		{"a quoted star", none(`"*"`), tagged, false},
		{"no tag to match", none(`"a"`), http.Header{}, false},
		{"an empty tag", none(`""`), http.Header{"Etag": {`""`}}, true},
		{"an empty list", none(""), tagged, false},
		{"an empty list, no tag", none(""), http.Header{}, false},
		{"not quoted", none("a"), tagged, false},
		{"not quoted either", none("a"), http.Header{"Etag": {"a"}}, false},
		{"not closed", none(`"a`), tagged, false},
		{"half a weak one", none("W/"), tagged, false},
		{"malformed before", none(`x, "a"`), tagged, false},
		{"malformed after", none(`"a", x`), tagged, true},
		{"malformed line before", none(`"x`, `"a"`), tagged, true},

		{"not since", since(at(0)), modified, true},
		{"since", since(at(-time.Second)), modified, false},
		{"a later date", since(at(time.Second)), modified, true},
		{"in the form of RFC 850", since(then.Format(time.RFC850[:len(time.RFC850)-3] + "GMT")), modified, true},
		{"no date", since("yesterday"), modified, false},
		{"no date in the answer", since(at(0)), http.Header{"Last-Modified": {"yesterday"}}, false},
		{"nothing to compare", since(at(0)), tagged, false},
		{"the tag goes before the date", mixed, both, false},
		{"the tag goes before the date, which alone is there", mixed, modified, false},
	}
	for _, tt := range tests {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = tt.sent
		if got := middleware.NotModified(r, tt.answer, nil); got != tt.want {
			t.Errorf("%s: %v with %v: %v, want %v", tt.name, tt.sent, tt.answer, got, tt.want)
		}
	}
}

// FuzzIfNoneMatch: nothing panics; a tag is found if and only if it is in the list, weak or not, at any place; and if net/http
// finds it, so do we.
func FuzzIfNoneMatch(f *testing.F) {
	f.Add(`"a", W/"b"`, "a")
	f.Add(`*`, "")
	f.Add(`"a`, "W/")
	f.Add(`,,"x" "y","`, "y")
	f.Fuzz(func(t *testing.T, line, opaque string) {
		if strings.Contains(opaque, `"`) {
			return
		}
		tag := `"` + opaque + `"`
		found := rfc9111.MatchesAny([]string{line}, tag)
		if found && !strings.Contains(line, tag) && strings.TrimSpace(line) != "*" {
			t.Errorf("%s is found in %s", tag, line)
		}
		for _, other := range []bool{
			rfc9111.MatchesAny([]string{line}, "W/"+tag),
			rfc9111.MatchesAny([]string{"", line}, tag),
			rfc9111.MatchesAny([]string{`"`, line}, tag),
			rfc9111.MatchesAny([]string{line, `"` + opaque + `x"`}, tag),
		} {
			if other != found {
				t.Errorf("%s in %s: %v, and %v when written otherwise", tag, line, found, other)
			}
		}
		for _, lines := range [][]string{{line, tag}, {tag + "," + line}, {"W/" + tag + " ," + line}, {`"x"`, tag}} {
			if !rfc9111.MatchesAny(lines, tag) {
				t.Errorf("%s is not found in %q", tag, lines)
			}
		}
		if rfc9111.MatchesAny([]string{line}, "") && strings.TrimSpace(line) != "*" {
			t.Errorf("no tag is found in %s", line)
		}
		if netHTTP := servedNotModified(line, tag); netHTTP && !found && !strings.Contains(line, "*") {
			t.Errorf("net/http finds %s in %s", tag, line)
		}
	})
}

// servedNotModified asks net/http.
func servedNotModified(line, tag string) bool {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["If-None-Match"] = []string{line}
	w := httptest.NewRecorder()
	w.Header().Set("Etag", tag)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader("x"))
	return w.Code == http.StatusNotModified
}
