package middleware

import (
	"net/http"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// early refreshes a fresh answer that was served and nears its end, where that holds up nobody: in the background.
func (rt *Route) early(p *Passage, r *http.Request, e *store.Entry, now time.Time) {
	if !rt.Through.Early(e, now) || markOf(r.Context()) != nil {
		return
	}
	if server := rt.entrance(r); server != nil {
		rt.refreshThrough(server, p, r)
	}
}

// renewed reports whether the memory has an answer that needs no refresh: it was served to one that came too late.
func (rt *Route) renewed(key keying.Key) bool {
	now := time.Now()
	e, use := rt.Through.Peek(key, now)
	return use == readthrough.Fresh && !e.Nearing(now)
}
