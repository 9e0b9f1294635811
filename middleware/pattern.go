package middleware

import (
	"context"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A router tells a request's pattern when it has matched it. A policy that is put around a router, or around a part of one,
// is asked before: it is told nothing then, or the beginning of a pattern, "/v2/*". Its keys have that, and the whole path, so
// they are right. Labels and events are to have the whole pattern, which is known once the handler has run.

// A teller is what a router puts into the request's context to tell its pattern and parameters, as chi does.
type teller interface {
	RoutePattern() string
	URLParam(name string) string
}

// matching is the context of a run whose pattern may be told by a router further in. Only the router knows by which key it
// is found there; when it looks itself up, it is known to this, too.
type matching struct {
	context.Context
	by atomic.Pointer[teller]
}

func (c *matching) Value(key any) any {
	value := c.Context.Value(key)
	if by, ok := value.(teller); ok {
		c.by.Store(&by)
	}
	return value
}

// matching returns the context for a run whose pattern is not known as a whole, or nil.
func (l *leading) matching(ctx context.Context) *matching {
	if l.rt.Pattern != "" || !openPattern(l.p.pattern) {
		return nil
	}
	return &matching{Context: ctx}
}

// maxWhole bounds the patterns that hits are told by.
const maxWhole = 256

// wholes are patterns that were not known before the handler had run, by their labels. They are read without a lock, by hits,
// too. The zero value is ready to use.
type wholes struct {
	mu  sync.Mutex
	all atomic.Pointer[map[keying.Label]string] // never changed, but replaced under mu
}

func (ws *wholes) add(label keying.Label, pattern string) {
	if known := ws.all.Load(); known != nil && (*known)[label] == pattern {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	all := map[keying.Label]string{}
	if known := ws.all.Load(); known != nil {
		if len(*known) >= maxWhole {
			return
		}
		all = maps.Clone(*known)
	}
	all[label] = pattern
	ws.all.Store(&all)
}

// of returns the pattern that the entry was made under, if it is known, or else the one that was told beforehand.
func (ws *wholes) of(e *store.Entry, pattern string) string {
	known := ws.all.Load()
	if known == nil || len(e.Labels) == 0 {
		return pattern
	}
	if whole, ok := (*known)[e.Labels[0]]; ok {
		return whole
	}
	return pattern
}

// match makes the passage's pattern the whole one, if it was not before.
func (l *leading) match(ctx *matching) {
	if ctx == nil {
		return
	}
	whole := l.view.Pattern
	if by := ctx.by.Load(); by != nil { // it may have had a copy of the request
		l.routed = (*by).URLParam
		if whole == l.r.Pattern {
			whole = (*by).RoutePattern()
		}
	}
	if whole == "" || whole == l.p.pattern {
		return
	}
	l.within, l.matched, l.p.pattern = l.p.pattern, true, whole
	l.rt.wholes.add(l.rt.label(whole), whole)
	l.rt.Common.Names.meet(whole)
}

// openPattern reports whether a pattern says only how paths begin.
func openPattern(pattern string) bool {
	last := pattern[strings.LastIndexByte(pattern, '/')+1:]
	return last == "" || last == "*" || strings.HasSuffix(last, "...}")
}
