package rfc9111_test

import (
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
)

// FuzzControl: nothing panics, two lines say what they say as one (RFC 9110 §5.3), and what is made private is private,
// nothing that a shared cache would take as leave, and no less strict than before.
func FuzzControl(f *testing.F) {
	f.Add("public, max-age=60", "s-maxage=60")
	f.Add(`no-cache="a, b", foo="\"",,private`, `x="`)
	f.Add(`private="x-a", private="b c"`, `no-cache=""`)
	f.Add("max-age=0060, max-age=99999999999", "=;")
	f.Add("s-maxage=x, must-understand", "proxy-revalidate, max-age")
	f.Fuzz(func(t *testing.T, a, b string) {
		lines := []string{a, b}
		said := rfc9111.ParseControl(lines)
		if joined := rfc9111.ParseControl([]string{a + "," + b}); !said.Malformed && !reflect.DeepEqual(joined, said) {
			t.Errorf("%q say %+v, and %+v in one line", lines, said, joined)
		}
		made := rfc9111.MakePrivate(lines)
		now := rfc9111.ParseControl(made)
		if len(made) != 1 || !now.Private || now.Public || now.SMaxAge != unsaid || now.PrivateFields != nil || now.Malformed {
			t.Fatalf("%q becomes %q: %+v", lines, made, now)
		}
		if again := rfc9111.MakePrivate(made); !slices.Equal(made, again) {
			t.Errorf("%q becomes %q, and that becomes %q", lines, made, again)
		}
		if said.Malformed {
			if !now.NoStore {
				t.Errorf("%q becomes %q", lines, made)
			}
			return
		}
		want := said // but for a time that was that of an s-maxage
		want.Private, want.PrivateFields, want.Public, want.SMaxAge, want.BadTime = true, nil, false, unsaid, now.BadTime
		if !reflect.DeepEqual(now, want) || now.BadTime && !said.BadTime {
			t.Errorf("%q becomes %q: %+v, want %+v", lines, made, now, want)
		}
	})
}

// FuzzAsk: nothing panics, and what does not fit fits no better when it is older.
func FuzzAsk(f *testing.F) {
	f.Add("max-age=10, max-stale", int64(60e9), int64(-1e9), uint32(1e9))
	f.Add("min-fresh=0, max-stale=5", int64(60e9), int64(0), uint32(1))
	f.Add("no-cache, =", int64(0), int64(60e9), uint32(0))
	f.Add(`max-age="x"`, int64(math.MaxInt64), int64(math.MinInt64), uint32(1))
	f.Fuzz(func(t *testing.T, line string, age, left int64, later uint32) {
		a := rfc9111.ParseAsk([]string{line})
		fit := a.Fit(time.Duration(age), time.Duration(left))
		if fit == rfc9111.FitsExpired && (left > 0 || a.MaxStale < 0) || fit != rfc9111.Unfit && (a.NoCache || a.MaxAge >= 0 && age > int64(a.MaxAge)) {
			t.Errorf("%q of age %v with %v left: %d", line, age, left, fit)
		}
		if age > math.MaxInt64-int64(later) || left < math.MinInt64+int64(later) {
			return
		}
		if then := a.Fit(time.Duration(age+int64(later)), time.Duration(left-int64(later))); fit == rfc9111.Unfit && then != rfc9111.Unfit {
			t.Errorf("%q of age %v with %v left does not fit, but %v later", line, age, left, later)
		}
	})
}
