package middleware

import (
	"context"
	"net/http"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

var (
	NotModified = notModified
	AgeLine     = ageLine
)

func Capture(h, outer http.Header) (set, added []store.Field) {
	rec := &recorder{headers: headers{outer: outer, odd: true}}
	new(policyRules).fields(rec, h)
	return rec.fields, rec.added
}

func (rt *Route) Storable(status int, h, outer http.Header) Reason {
	return rt.rules.storable(&recorder{status: status, headers: headers{outer: outer, odd: true, captured: &captured{asking: time.Now()}}}, h)
}

func (c *Common) HitLine(ttl int64) []string { return c.near.of(ttl) }

func (c *Common) Detached() int64 { return c.detached.Load() }

func (c *Common) Recording() int64 { return c.recording.Load() }

type RunContext = runContext

func (c *Common) Start(parent context.Context) (context.Context, *RunContext) {
	return new(runContext).start(parent, c)
}

func (c *RunContext) FollowClient() { c.followClient() }

func (c *RunContext) End() { c.end() }

// Writer is what a handler gets that writes to w.
func (rt *Route) Writer(w http.ResponseWriter) http.ResponseWriter {
	rec := new(recorder)
	rec.begin(rt, w, nil, nil)
	return rec.writer()
}

func (c *Common) Reserve(n int) bool { return c.reserve(n) }

type Variants = variants

func (v *variants) Admit(resource keying.Label, key keying.Key, now, until time.Time) keying.Key {
	return v.admit(resource, key, now, until)
}

// Shut sets whether the next refresh is inline, as it is after one that did not reach the route.
func (rt *Route) Shut(inline bool) { rt.inline.Store(inline) }

func (rt *Route) Common() *Common { return rt.common }
