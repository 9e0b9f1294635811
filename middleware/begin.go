package middleware

import (
	"net/http"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/store"
)

// Begin answers the request from memory if it can, without I/O or allocation, and then returns true. Otherwise the
// passage goes to Finish. The pattern is the router's, where it tells one.
func (rt *Route) Begin(w http.ResponseWriter, r *http.Request, pattern string) (p Passage, done bool) {
	return rt.BeginFor(w, r, pattern, nil)
}

// BeginFor is Begin where several handlers may serve the pattern: by is the standing for it of the one that does.
func (rt *Route) BeginFor(w http.ResponseWriter, r *http.Request, pattern string, by *Standing) (p Passage, done bool) {
	if rt.Pattern != "" {
		pattern = rt.Pattern
	}
	p.pattern, p.keyed = pattern, pattern
	if by != nil {
		p.keyed = by.keyed
	}
	if p.reason = rt.bypass(r); p.reason != "" {
		return p, false
	}
	if by != nil && by.refused {
		p.reason = ReasonHandlers
		return p, false
	}
	if rt.Scheme.Private {
		user, ok := rt.asker(r, pattern)
		if !ok || user == "" {
			p.reason = ReasonIdentity
			return p, false
		}
		p.user = user
	}
	if rt.Standard {
		p.outer = w.Header()
	}
	chosen := ""
	if rt.VaryBy != nil {
		var ok bool
		if chosen, ok = rt.VaryBy(r); !ok {
			p.reason = ReasonVaryBy
			return p, false
		}
	}
	now := rt.Common.Now()
	var f readthrough.Found
	if !rt.recall(&p, r, chosen, now, &f) {
		p.reason = ReasonKey
		return p, false
	}
	if by != nil && by.claims && !rt.claims(&p, by, f.Entry) {
		p.reason = ReasonHandlers
		return p, false
	}
	e, use := f.Entry, f.Use
	nearing := use == readthrough.Fresh && e.NearingAt(f.Left)
	if use == readthrough.Fresh && !nearing {
		rt.replay(w, r, e, e.Fresh-f.Left, f.Left, &source{outcome: Hit, tier: near, pattern: pattern})
		return p, true
	}
	if p.way = through; e != nil {
		p.key = e.Key
	}
	switch {
	case markOf(r.Context()) != nil: // to a refresh it is no answer
		return p, false
	case nearing:
		rt.replayNow(w, r, e, now, &source{outcome: Hit, tier: near, pattern: pattern})
		rt.early(&p, r, e, now)
		return p, true
	case use == readthrough.WhileRefreshed:
		p.outer = w.Header().Clone()
		rt.replayNow(w, r, e, now, &source{outcome: Stale, tier: near, pattern: pattern})
		done = rt.refreshLater(&p, r) // which changes p
		return p, done
	}
	return p, false
}

// recall looks for what memory holds for the request. If there is nothing, or it is to be chosen from, it makes the key of
// the request the passage's: a plain hit does not even look at it. It is false for a request that cannot be keyed.
func (rt *Route) recall(p *Passage, r *http.Request, chosen string, now time.Time, f *readthrough.Found) bool {
	text, err := rt.Scheme.Text(r, p.keyed, p.user, chosen)
	if err != nil {
		return false
	}
	err = rt.Through.Find(text, now, f)
	text.Free()
	if f.Entry == nil {
		p.key = f.Key
	}
	if rt.Standard {
		rt.choose(p, r, f, now)
	}
	return err == nil
}

// claims reports whether the handler may serve what was looked for.
func (rt *Route) claims(p *Passage, by *Standing, found *store.Entry) bool {
	key := &p.key
	if rt.Standard {
		key = &p.resource
	} else if found != nil {
		key = &found.Key
	}
	return rt.Common.handlers.claim(key, by)
}
