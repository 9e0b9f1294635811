package rfc9111_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
)

const (
	unsaid = time.Duration(-1)
	huge   = (1 << 31) * time.Second
)

func says(change func(c *rfc9111.Control)) rfc9111.Control {
	c := rfc9111.Control{MaxAge: unsaid, SMaxAge: unsaid, WhileRevalidate: unsaid, IfError: unsaid}
	change(&c)
	return c
}

func TestParseControl(t *testing.T) {
	nothing := says(func(*rfc9111.Control) {})
	noStore := says(func(c *rfc9111.Control) { c.NoStore = true })
	noCache := says(func(c *rfc9111.Control) { c.NoCache = true })
	private := says(func(c *rfc9111.Control) { c.Private = true })
	minute := says(func(c *rfc9111.Control) { c.MaxAge = time.Minute })
	zero := says(func(c *rfc9111.Control) { c.MaxAge = 0 })
	malformed := says(func(c *rfc9111.Control) { c.Malformed = true })
	badTime := says(func(c *rfc9111.Control) { c.BadTime = true })
	fields := func(names ...string) rfc9111.Control {
		return says(func(c *rfc9111.Control) { c.NoCacheFields = names })
	}
	tests := []struct {
		lines []string
		want  rfc9111.Control
	}{
		{nil, nothing},
		{[]string{""}, nothing},
		{[]string{" ,\t, "}, nothing}, // RFC 9110 §5.6.1.2

		// RFC 9111 §5.2: names in any case, arguments that are not defined are ignored, and so are unknown directives (§5.2.3)
		{[]string{"no-store"}, noStore},
		{[]string{"No-STORE"}, noStore},
		{[]string{", no-store ,"}, noStore},
		{[]string{"no-store=1"}, noStore},
		{[]string{`no-store="x, y"`}, noStore},
		{[]string{"foo=bar", "no-store"}, noStore},
		{[]string{"no-store, no-store", "NO-STORE"}, noStore},
		{[]string{`foo="no-store"`}, nothing},
		{[]string{`foo="a\", no-store"`}, nothing},
		{[]string{"x-no-store, no-stores"}, nothing},

		// §5.2.2.4, §5.2.2.7: of the whole response, or of fields of it
		{[]string{"no-cache"}, noCache},
		{[]string{`no-cache="Set-Cookie"`}, fields("Set-Cookie")},
		{[]string{`no-cache="set-cookie, X-A"`}, fields("Set-Cookie", "X-A")},
		{[]string{"no-cache=\" ,set-cookie\t,,X-A,\""}, fields("Set-Cookie", "X-A")},
		{[]string{`no-cache="a"`, `NO-CACHE="b"`}, fields("A", "B")},
		{[]string{"no-cache=a, no-cache=b"}, fields("A", "B")},
		{[]string{`no-cache="a", no-cache`}, says(func(c *rfc9111.Control) { c.NoCache, c.NoCacheFields = true, []string{"A"} })},
		{[]string{`no-cache=""`}, noCache},
		{[]string{`no-cache=" , "`}, noCache},
		{[]string{`no-cache="a b"`}, noCache},
		{[]string{`no-cache="set\-cookie"`}, noCache},
		{[]string{`no-cache="ö"`}, noCache},
		{[]string{"Private"}, private},
		{[]string{`private="X-User, X-Name"`}, says(func(c *rfc9111.Control) { c.PrivateFields = []string{"X-User", "X-Name"} })},
		{[]string{`private=x-user, max-age=60`}, says(func(c *rfc9111.Control) { c.PrivateFields, c.MaxAge = []string{"X-User"}, time.Minute })},
		{[]string{`private=""`}, private},
		{[]string{`private="*/*"`}, private},

		{[]string{"public,must-revalidate"}, says(func(c *rfc9111.Control) { c.Public, c.MustRevalidate = true, true })},
		{[]string{"proxy-revalidate"}, says(func(c *rfc9111.Control) { c.ProxyRevalidate = true })},
		{[]string{"must-understand, no-store"}, says(func(c *rfc9111.Control) { c.MustUnderstand, c.NoStore = true, true })},
		{[]string{"Must-Understand"}, says(func(c *rfc9111.Control) { c.MustUnderstand = true })},
		{[]string{"must-understands"}, nothing},

		// §1.2.2, §5.2.2.1, §5.2.2.10; of several times the shorter one (§4.2.1)
		{[]string{"max-age=60"}, minute},
		{[]string{"MAX-AGE=60"}, minute},
		{[]string{`max-age="60"`}, minute},
		{[]string{"max-age=060"}, minute},
		{[]string{"max-age=0"}, zero},
		{[]string{"max-age=60, max-age=0"}, zero},
		{[]string{"max-age=0", "max-age=60"}, zero},
		{[]string{"max-age=60 , immutable"}, says(func(c *rfc9111.Control) { c.MaxAge = time.Minute })}, // RFC 8246 §2
		{[]string{"immutable=1"}, nothing},
		{[]string{"max-age=60, s-maxage=0"}, says(func(c *rfc9111.Control) { c.MaxAge, c.SMaxAge = time.Minute, 0 })},
		{[]string{"s-maxage=60, S-MaxAge=61"}, says(func(c *rfc9111.Control) { c.SMaxAge = time.Minute })},
		{[]string{"max-age=2147483647"}, says(func(c *rfc9111.Control) { c.MaxAge = huge - time.Second })},
		{[]string{"max-age=2147483648"}, says(func(c *rfc9111.Control) { c.MaxAge = huge })},
		{[]string{"max-age=" + strings.Repeat("9", 1000)}, says(func(c *rfc9111.Control) { c.MaxAge = huge })},
		{[]string{"max-age=" + strings.Repeat("0", 1000) + "60"}, minute},
		{[]string{"maxage=60, s-max-age=60, max_age=60"}, nothing},
		{[]string{"stale-while-revalidate=60"}, says(func(c *rfc9111.Control) { c.WhileRevalidate = time.Minute })}, // RFC 5861 §3
		{[]string{"stale-if-error=60, stale-if-error=0"}, says(func(c *rfc9111.Control) { c.IfError = 0 })},         // RFC 5861 §4

		// no delta-seconds (§1.2.2, §4.2.1)
		{[]string{"max-age"}, badTime},
		{[]string{`max-age=""`}, badTime},
		{[]string{"max-age=-1"}, badTime},
		{[]string{"max-age=+1"}, badTime},
		{[]string{"max-age=1.5"}, badTime},
		{[]string{"max-age=60s"}, badTime},
		{[]string{`max-age="6\0"`}, badTime},
		{[]string{`max-age=" 60"`}, badTime},
		{[]string{`max-age="60, 60"`}, badTime},
		{[]string{`max-age="٣"`}, badTime},
		{[]string{"s-maxage=x"}, badTime},
		{[]string{"stale-while-revalidate"}, badTime},
		{[]string{"stale-if-error=x"}, badTime},
		{[]string{"max-age=60, max-age=x"}, says(func(c *rfc9111.Control) { c.MaxAge, c.BadTime = time.Minute, true })},

		// no list of directives (§5.2, RFC 9110 §5.6.1)
		{[]string{"max-age="}, malformed},
		{[]string{"max-age= 60"}, malformed},
		{[]string{"max-age =60"}, malformed},
		{[]string{`max-age="60`}, malformed},
		{[]string{`max-age="60\"`}, malformed},
		{[]string{`max-age="60"x`}, malformed},
		{[]string{`max-age=6"0"`}, malformed},
		{[]string{"no-cache="}, malformed},
		{[]string{"=60"}, malformed},
		{[]string{"="}, malformed},
		{[]string{"no store"}, malformed},
		{[]string{"max age=60"}, malformed},
		{[]string{"public;max-age=60"}, malformed},
		{[]string{`"no-store"`}, malformed},
		{[]string{"a\x00b"}, malformed},
		{[]string{"ö"}, malformed},
		{[]string{"no-ſtore"}, malformed},
		{[]string{"max-age=60, =", "no-store"}, says(func(c *rfc9111.Control) { c.MaxAge, c.Malformed, c.NoStore = time.Minute, true, true })},
		{[]string{"=, no-store"}, malformed},
		{[]string{"max-age=x, ="}, says(func(c *rfc9111.Control) { c.BadTime, c.Malformed = true, true })},
	}
	for _, tt := range tests {
		if got := rfc9111.ParseControl(tt.lines); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%.80q says %+v, want %+v", tt.lines, got, tt.want)
		}
	}
}

// TestDirectives: what comes out is in the order of the lines, and ends with a line that cannot be parsed, or where the
// caller has enough.
func TestDirectives(t *testing.T) {
	lines := []string{`a, B=1 ,c="x,\"y"`, "", `d="", = , e`, " , f"}
	var got []string
	for d, ok := range rfc9111.Directives(lines) {
		text := d.Name + " " + d.Value
		if d.HasValue {
			text += " =" // what an empty value has, and no value does not
		}
		if !ok {
			text = "?" + text
		}
		got = append(got, text)
	}
	if want := []string{"a ", "B 1 =", `c x,\"y =`, "d  =", "? ", "f "}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	n := 0
	for range rfc9111.Directives(lines) {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d directives after a break", n)
	}
}

func TestSeconds(t *testing.T) {
	for _, tt := range []struct { // RFC 9111 §1.2.2
		value string
		want  time.Duration
		ok    bool
	}{
		{"0", 0, true}, {"60", time.Minute, true}, {"0060", time.Minute, true},
		{"2147483647", huge - time.Second, true}, {"2147483648", huge, true}, {"2147483649", huge, true},
		{"9223372036854775808", huge, true}, {strings.Repeat("1", 100), huge, true},
		{"", 0, false}, {"-0", 0, false}, {"+1", 0, false}, {"1 ", 0, false}, {" 1", 0, false}, {"1.0", 0, false}, {"1e3", 0, false},
		{"0x10", 0, false}, {"1_000", 0, false}, {"²", 0, false}, {strings.Repeat("1", 100) + "x", 0, false},
	} {
		if got, ok := rfc9111.Seconds(tt.value); got != tt.want || ok != tt.ok {
			t.Errorf("%.40q is %v, %v; want %v, %v", tt.value, got, ok, tt.want, tt.ok)
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
		{[]string{" , ", ","}, "private"},
		{[]string{"max-age=60,, "}, "private, max-age=60"},
		{[]string{"private"}, "private"},
		{[]string{"public"}, "private"},
		{[]string{"PUBLIC, S-MaxAge=60"}, "private"},
		{[]string{"public, max-age=60, s-maxage=60"}, "private, max-age=60"},
		{[]string{"max-age=60,public", "no-cache"}, "private, max-age=60, no-cache"},
		{[]string{`private="X-User"`}, "private"},
		{[]string{`no-cache="Set-Cookie, X" ,max-age=1`}, `private, no-cache="Set-Cookie, X", max-age=1`},
		{[]string{"no-store"}, "private, no-store"},
		{[]string{"must-understand, no-store"}, "private, must-understand, no-store"},
		{[]string{`foo="public"`}, `private, foo="public"`},
		{[]string{`foo="\",public"`, "bar=public"}, `private, foo="\",public", bar=public`},
		{[]string{`public="a,b", s-maxage="60", max-age=x`}, "private, max-age=x"},
		{[]string{"public;max-age=60"}, "private, no-store"},
		{[]string{`max-age="60`, "public"}, "private, no-store"},
		{[]string{"max-age=60", "="}, "private, no-store"},
	} {
		given := slices.Clone(tt.lines)
		if got := rfc9111.MakePrivate(tt.lines); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%q becomes %q, want %q", tt.lines, got, tt.want)
		}
		if !slices.Equal(given, tt.lines) {
			t.Errorf("%q has become %q", given, tt.lines)
		}
	}
}
