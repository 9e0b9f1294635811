package middleware_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache/middleware"
)

const unsaid = time.Duration(-1)

func TestParseControl(t *testing.T) {
	const huge = (1 << 31) * time.Second
	says := func(change func(c *middleware.Control)) middleware.Control {
		c := middleware.Control{MaxAge: unsaid, SMaxAge: unsaid}
		change(&c)
		return c
	}
	nothing := says(func(*middleware.Control) {})
	noStore := says(func(c *middleware.Control) { c.NoStore = true })
	minute := says(func(c *middleware.Control) { c.MaxAge = time.Minute })
	zero := says(func(c *middleware.Control) { c.MaxAge = 0 })
	invalid := says(func(c *middleware.Control) { c.Invalid = true })
	tests := []struct {
		lines []string
		want  middleware.Control
	}{
		{nil, nothing},
		{[]string{""}, nothing},
		{[]string{" ,\t, "}, nothing},
		{[]string{"no-store"}, noStore},
		{[]string{"No-STORE"}, noStore},
		{[]string{", no-store ,"}, noStore},
		{[]string{"no-store=1"}, noStore},
		{[]string{`no-store="x, y"`}, noStore},
		{[]string{"foo=bar", "no-store"}, noStore},
		{[]string{`foo="no-store"`}, nothing},
		{[]string{`foo="a\", no-store"`}, nothing},
		{[]string{"x-no-store, no-stores"}, nothing},
		{[]string{"no-cache"}, says(func(c *middleware.Control) { c.NoCache = true })},
		{[]string{`no-cache="Set-Cookie"`}, says(func(c *middleware.Control) { c.NoCache = true })},
		{[]string{"Private"}, says(func(c *middleware.Control) { c.Private = true })},
		{[]string{`private="X-User, X-Name"`}, says(func(c *middleware.Control) { c.Private = true })},
		{[]string{"public,must-revalidate"}, says(func(c *middleware.Control) { c.Public, c.MustRevalidate = true, true })},
		{[]string{"proxy-revalidate"}, says(func(c *middleware.Control) { c.MustRevalidate = true })},
		{[]string{"max-age=60"}, minute},
		{[]string{"MAX-AGE=60"}, minute},
		{[]string{`max-age="60"`}, minute},
		{[]string{"max-age=060"}, minute},
		{[]string{"max-age=0"}, zero},
		{[]string{"max-age=60, max-age=0"}, zero},
		{[]string{"max-age=0", "max-age=60"}, zero},
		{[]string{"max-age=60 , immutable"}, minute},
		{[]string{"max-age=60, s-maxage=0"}, says(func(c *middleware.Control) { c.MaxAge, c.SMaxAge = time.Minute, 0 })},
		{[]string{"max-age=2147483647"}, says(func(c *middleware.Control) { c.MaxAge = huge - time.Second })},
		{[]string{"max-age=2147483648"}, says(func(c *middleware.Control) { c.MaxAge = huge })},
		{[]string{"max-age=" + strings.Repeat("9", 1000)}, says(func(c *middleware.Control) { c.MaxAge = huge })},
		{[]string{"max-age=" + strings.Repeat("0", 1000) + "60"}, minute},

		{[]string{"max-age"}, invalid},
		{[]string{"max-age="}, invalid},
		{[]string{`max-age=""`}, invalid},
		{[]string{"max-age=-1"}, invalid},
		{[]string{"max-age=+1"}, invalid},
		{[]string{"max-age=1.5"}, invalid},
		{[]string{"max-age=60s"}, invalid},
		{[]string{"max-age= 60"}, invalid},
		{[]string{"max-age =60"}, invalid},
		{[]string{`max-age="60`}, invalid},
		{[]string{`max-age="6\0"`}, invalid},
		{[]string{`max-age="60"x`}, invalid},
		{[]string{"s-maxage=x"}, invalid},
		{[]string{"=60"}, invalid},
		{[]string{"no store"}, invalid},
		{[]string{"max age=60"}, invalid},
		{[]string{"public;max-age=60"}, invalid},
		{[]string{`"no-store"`}, invalid},
		{[]string{"a\x00b"}, invalid},
		{[]string{"ö"}, invalid},
		{[]string{"max-age=60, =", "no-store"}, says(func(c *middleware.Control) { c.MaxAge, c.Invalid, c.NoStore = time.Minute, true, true })},
	}
	for _, tt := range tests {
		if got := middleware.ParseControl(tt.lines); got != tt.want {
			t.Errorf("%.80q says %+v, want %+v", tt.lines, got, tt.want)
		}
	}
}

func TestLifetime(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	tests := []struct {
		name            string
		header          http.Header
		shared, private time.Duration
	}{
		{"nothing said", http.Header{}, unsaid, unsaid},
		{"max-age", http.Header{"Cache-Control": {"max-age=60"}}, time.Minute, time.Minute},
		{"s-maxage is longer", http.Header{"Cache-Control": {"max-age=60, s-maxage=120"}}, 2 * time.Minute, time.Minute},
		{"s-maxage is shorter", http.Header{"Cache-Control": {"s-maxage=0, max-age=60"}}, 0, time.Minute},
		{"s-maxage alone", http.Header{"Cache-Control": {"s-maxage=9"}}, 9 * time.Second, unsaid},
		{"max-age before Expires", http.Header{"Cache-Control": {"max-age=60"}, "Expires": {at(time.Hour)}}, time.Minute, time.Minute},
		{"Expires", http.Header{"Expires": {at(time.Minute)}}, time.Minute, time.Minute},
		{"Expires in the past", http.Header{"Expires": {at(-time.Minute)}}, 0, 0},
		{"Expires now", http.Header{"Expires": {at(0)}}, 0, 0},
		{"Expires is no date", http.Header{"Expires": {"0"}}, 0, 0},
		{"Expires is empty", http.Header{"Expires": {""}}, 0, 0},
		{"Expires has no line", http.Header{"Expires": {}}, unsaid, unsaid},
		{"by the answer's own clock", http.Header{"Expires": {at(time.Hour + time.Minute)}, "Date": {at(time.Hour)}}, time.Minute, time.Minute},
		{"a Date that is none", http.Header{"Expires": {at(time.Minute)}, "Date": {"today"}}, time.Minute, time.Minute},
	}
	for _, tt := range tests {
		if got := middleware.Lifetime(tt.header, false, now); got != tt.shared {
			t.Errorf("%s: %v in a shared cache, want %v", tt.name, got, tt.shared)
		}
		if got := middleware.Lifetime(tt.header, true, now); got != tt.private {
			t.Errorf("%s: %v in a private cache, want %v", tt.name, got, tt.private)
		}
	}
}

func TestMakePrivate(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  string
	}{
		{nil, "private"},
		{[]string{""}, "private"},
		{[]string{"private"}, "private"},
		{[]string{"public"}, "private"},
		{[]string{"PUBLIC, S-MaxAge=60"}, "private"},
		{[]string{"public, max-age=60, s-maxage=60"}, "private, max-age=60"},
		{[]string{"max-age=60,public", "no-cache"}, "private, max-age=60, no-cache"},
		{[]string{`private="X-User"`}, "private"},
		{[]string{`no-cache="Set-Cookie, X" ,max-age=1`}, `private, no-cache="Set-Cookie, X", max-age=1`},
		{[]string{"no-store"}, "private, no-store"},
		{[]string{`foo="public"`}, `private, foo="public"`},
		{[]string{"public;max-age=60"}, "private, no-store"},
		{[]string{`max-age="60`, "public"}, "private, no-store"},
		{[]string{"max-age=60", "="}, "private, no-store"},
	} {
		if got := middleware.MakePrivate(tt.lines); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%q becomes %q, want %q", tt.lines, got, tt.want)
		}
	}
}

// FuzzControl: nothing panics, two lines say what they say as one (RFC 9110 §5.3), and what is made private is private,
// nothing that a shared cache would take as leave, and no less strict than before.
func FuzzControl(f *testing.F) {
	f.Add("public, max-age=60", "s-maxage=60")
	f.Add(`no-cache="a, b", foo="\"",,private`, `x="`)
	f.Add("max-age=0060, max-age=99999999999", "=;")
	f.Fuzz(func(t *testing.T, a, b string) {
		lines := []string{a, b}
		said := middleware.ParseControl(lines)
		if joined := middleware.ParseControl([]string{a + "," + b}); !said.Invalid && joined != said {
			t.Errorf("%q say %+v, and %+v in one line", lines, said, joined)
		}
		made := middleware.MakePrivate(lines)
		now := middleware.ParseControl(made)
		if len(made) != 1 || !now.Private || now.Public || now.SMaxAge != unsaid {
			t.Fatalf("%q becomes %q: %+v", lines, made, now)
		}
		if again := middleware.MakePrivate(made); !slices.Equal(made, again) {
			t.Errorf("%q becomes %q, and that becomes %q", lines, made, again)
		}
		if now.NoStore {
			return // as strict as can be
		}
		want := said
		want.Private, want.Public, want.SMaxAge, want.Invalid = true, false, unsaid, now.Invalid
		if now != want || now.Invalid && !said.Invalid {
			t.Errorf("%q becomes %q: %+v, want %+v", lines, made, now, want)
		}
	})
}
