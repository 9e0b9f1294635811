package rfc9111_test

import (
	"math"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
)

func TestParseAsk(t *testing.T) {
	asks := func(change func(a *rfc9111.Ask)) rfc9111.Ask {
		a := rfc9111.Ask{MaxAge: unsaid, MinFresh: unsaid, MaxStale: unsaid}
		change(&a)
		return a
	}
	nothing := asks(func(*rfc9111.Ask) {})
	maxAge := func(d time.Duration) rfc9111.Ask { return asks(func(a *rfc9111.Ask) { a.MaxAge = d }) }
	minFresh := func(d time.Duration) rfc9111.Ask { return asks(func(a *rfc9111.Ask) { a.MinFresh = d }) }
	maxStale := func(d time.Duration) rfc9111.Ask { return asks(func(a *rfc9111.Ask) { a.MaxStale = d }) }
	tests := []struct {
		name  string
		lines []string
		want  rfc9111.Ask
	}{
		{"no line", nil, nothing},
		{"an empty line (RFC 9110 §5.6.1.2)", []string{" , "}, nothing},
		{"max-age (§5.2.1.1)", []string{"max-age=60"}, maxAge(time.Minute)},
		{"max-age=0 (§5.2.1.1)", []string{"Max-Age=0"}, maxAge(0)},
		{"max-age, quoted (§5.2)", []string{`max-age="60"`}, maxAge(time.Minute)},
		{"the shorter of two (§5.2.1.1)", []string{"max-age=60, max-age=5", "max-age=7"}, maxAge(5 * time.Second)},
		{"the largest (§1.2.2)", []string{"max-age=99999999999999999999"}, maxAge(huge)},
		{"max-age of no time", []string{"max-age=x"}, maxAge(0)},
		{"max-age of nothing", []string{"max-age"}, maxAge(0)},
		{"max-stale (§5.2.1.2)", []string{"max-stale=60"}, maxStale(time.Minute)},
		{"max-stale without a bound (§5.2.1.2)", []string{"max-stale"}, maxStale(huge)},
		{"max-stale=0 (§5.2.1.2)", []string{"max-stale=0"}, maxStale(0)},
		{"the shorter of two (§5.2.1.2)", []string{"max-stale=60, max-stale=5"}, maxStale(5 * time.Second)},
		{"a bound and none (§5.2.1.2)", []string{"max-stale, max-stale=5"}, maxStale(5 * time.Second)},
		{"none and a bound (§5.2.1.2)", []string{"max-stale=5", "max-stale"}, maxStale(5 * time.Second)},
		{"max-stale of no time (§5.2.1.2)", []string{"max-stale=x"}, nothing},
		{"max-stale of an empty time (§5.2.1.2)", []string{`max-stale=""`}, nothing},
		{"min-fresh (§5.2.1.3)", []string{"min-fresh=60"}, minFresh(time.Minute)},
		{"the longer of two (§5.2.1.3)", []string{"min-fresh=60, min-fresh=5"}, minFresh(time.Minute)},
		{"min-fresh of no time (§5.2.1.3)", []string{"min-fresh"}, nothing},
		{"no-cache (§5.2.1.4)", []string{"No-Cache"}, asks(func(a *rfc9111.Ask) { a.NoCache = true })},
		{"no-cache with an argument (§5.2.1.4)", []string{`no-cache="x"`}, asks(func(a *rfc9111.Ask) { a.NoCache = true })},
		{"no-store (§5.2.1.5)", []string{"no-store"}, asks(func(a *rfc9111.Ask) { a.NoStore = true })},
		{"no-transform (§5.2.1.6)", []string{"no-transform"}, nothing},
		{"only-if-cached (§5.2.1.7)", []string{"only-if-cached"}, asks(func(a *rfc9111.Ask) { a.OnlyIfCached = true })},
		{"a response's (§5.2.3)", []string{"private, s-maxage=60, must-revalidate, foo=bar"}, nothing},
		{"one that cannot be parsed (§5.2)", []string{"max-age=", "min-fresh= 5", `max-stale="6`, "no store"}, nothing},
		{"after one that cannot be parsed (§5.2)", []string{"=, no-store", "no-cache"}, asks(func(a *rfc9111.Ask) { a.NoCache = true })},
		{"all of them (§5.2.1)", []string{"max-age=1, max-stale=2, min-fresh=3", "no-cache, no-store, only-if-cached"},
			rfc9111.Ask{NoStore: true, NoCache: true, OnlyIfCached: true, MaxAge: time.Second, MaxStale: 2 * time.Second, MinFresh: 3 * time.Second}},
	}
	for _, tt := range tests {
		if got := rfc9111.ParseAsk(tt.lines); got != tt.want {
			t.Errorf("%s: %q asks %+v, want %+v", tt.name, tt.lines, got, tt.want)
		}
	}
}

func TestFit(t *testing.T) {
	const unfit, fits, expired = rfc9111.Unfit, rfc9111.Fits, rfc9111.FitsExpired
	const s = time.Second
	tests := []struct {
		name, ask string
		age, left time.Duration
		want      rfc9111.Fit
	}{
		{"nothing asked (§4.2)", "", 10 * s, 50 * s, fits},
		{"nothing asked of a stale one (§4.2.4: the answer may allow it)", "", 60 * s, -s, fits},
		{"younger (§5.2.1.1)", "max-age=10", 9 * s, 50 * s, fits},
		{"as old (§5.2.1.1: less than or equal)", "max-age=10", 10 * s, 50 * s, fits},
		{"older (§5.2.1.1)", "max-age=10", 10*s + 1, 50 * s, unfit},
		{"new (§5.2.1.1)", "max-age=0", 0, 60 * s, fits},
		{"not new (§5.2.1.1)", "max-age=0", 1, 60 * s, unfit},
		{"older, whatever its staleness (§5.2.1.1)", "max-age=10, max-stale=99", 11 * s, -s, unfit},
		{"stale, although young (§5.2.1.1: max-stale is not present)", "max-age=100", 60 * s, -s, unfit},
		{"stale as soon as it is made (§5.2.1.1)", "max-age=0", 0, 0, unfit},
		{"just stale (§5.2.1.1)", "max-age=100", 60 * s, 0, unfit},
		{"stale, and takes it (§5.2.1.1: max-stale is also present)", "max-age=100, max-stale=5", 60 * s, -s, expired},

		{"fresh (§5.2.1.2)", "max-stale=5", 10 * s, 50 * s, fits},
		{"just stale (§4.2: fresh is what has freshness left)", "max-stale=5", 60 * s, 0, expired},
		{"stale (§5.2.1.2)", "max-stale=5", 64 * s, -4 * s, expired},
		{"as stale (§5.2.1.2: no more than)", "max-stale=5", 65 * s, -5 * s, expired},
		{"more stale (§5.2.1.2)", "max-stale=5", 66 * s, -5*s - 1, unfit},
		{"more stale, and young (§5.2.1.2)", "max-stale=5, max-age=100", 66 * s, -6 * s, unfit},
		{"stale, takes none (§5.2.1.2)", "max-stale=0", 61 * s, -s, unfit},
		{"as stale as can be counted (§5.2.1.2)", "max-stale=5", 60 * s, math.MinInt64, unfit},
		{"no bound (§5.2.1.2)", "max-stale", 1e6 * s, -1e6 * s, expired},
		{"just stale, no bound (§5.2.1.2)", "max-stale", 60 * s, 0, expired},
		{"just stale, takes none (§5.2.1.2)", "max-stale=0", 60 * s, 0, expired},

		{"fresh for longer (§5.2.1.3)", "min-fresh=10", 49 * s, 11 * s, fits},
		{"fresh for just as long (§5.2.1.3: no less than)", "min-fresh=10", 50 * s, 10 * s, fits},
		{"not fresh for so long (§5.2.1.3)", "min-fresh=10", 51 * s, 10*s - 1, unfit},
		{"not fresh (§5.2.1.3)", "min-fresh=10", 61 * s, -s, unfit},
		{"not fresh, and takes it (§5.2.1.3: it asks for both)", "min-fresh=10, max-stale=10", 61 * s, -s, unfit},
		{"fresh no more (§5.2.1.3)", "min-fresh=0", 61 * s, -s, unfit},
		{"fresh at all (§5.2.1.3)", "min-fresh=0", 59 * s, s, fits},

		{"not validated (§5.2.1.4)", "no-cache", 0, 60 * s, unfit},
		{"not validated, and takes stale ones (§5.2.1.4)", "no-cache, max-stale", 60 * s, -s, unfit},
		{"not to be stored (§5.2.1.5: does not prevent reuse)", "no-store", 10 * s, 50 * s, fits},
		{"stored (§5.2.1.7)", "only-if-cached", 10 * s, 50 * s, fits},
	}
	for _, tt := range tests {
		if got := rfc9111.ParseAsk([]string{tt.ask}).Fit(tt.age, tt.left); got != tt.want {
			t.Errorf("%s: %q of age %v with %v left is %d, want %d", tt.name, tt.ask, tt.age, tt.left, got, tt.want)
		}
	}
}

// TestUnaskedFits: a request that wants nothing takes everything as it is.
func TestUnaskedFits(t *testing.T) {
	for _, left := range []time.Duration{math.MinInt64, -1, 0, 1, math.MaxInt64} {
		if got := rfc9111.ParseAsk(nil).Fit(math.MaxInt64, left); got != rfc9111.Fits {
			t.Errorf("%v left: %d", left, got)
		}
	}
}
