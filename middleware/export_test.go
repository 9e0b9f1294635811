package middleware

import (
	"context"
	"net/http"
	"time"
)

// Control is what a Cache-Control says, for tests.
type Control struct {
	NoStore, NoCache, Private, Public, MustRevalidate, Invalid bool

	MaxAge, SMaxAge time.Duration
}

func ParseControl(lines []string) Control {
	c := parseControl(lines)
	return Control{c.noStore, c.noCache, c.private, c.public, c.mustRevalidate, c.invalid, c.maxAge, c.sMaxAge}
}

func Lifetime(h http.Header, private bool, now time.Time) time.Duration {
	return parseControl(h["Cache-Control"]).lifetime(h, private, now)
}

var (
	MatchesAny  = matchesAny
	NotModified = notModified
	Capture     = capture
	AgeLine     = ageLine
)

func (rt *Route) Storable(status int, h, outer http.Header) Reason {
	c := parseControl(h["Cache-Control"])
	return rt.storable(&recorder{status: status, outer: outer, control: c, lifetime: c.lifetime(h, rt.Scheme.Private, time.Now())}, h)
}

func (c *Common) HitLine(ttl int64) []string { return c.near.of(ttl) }

func (c *Common) Detached() int64 { return c.detached.Load() }

func (c *Common) Recording() int64 { return c.recording.Load() }

type Tether = tether

func (c *Common) Tie(parent context.Context) (context.Context, *Tether) { return c.tie(parent) }

func (t *Tether) Follow() { t.follow() }

func (t *Tether) End() { t.end() }

// Writer is what a handler gets that writes to w.
func (rt *Route) Writer(w http.ResponseWriter) http.ResponseWriter {
	return rt.newRecorder(w, nil, nil).writer()
}

func (c *Common) Reserve(n int) bool { return c.reserve(n) }
