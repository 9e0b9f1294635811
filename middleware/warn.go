package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
)

// Reasons of warnings.
const (
	ReasonUserInShared Reason = "user-in-shared" // the handler of a shared route, or a shared load, asks who is asking or tells it: nobody is known there
	ReasonOuterCookie  Reason = "outer-cookie"   // middleware outside sets a cookie, or says Vary: Cookie, on answers that are kept for everyone
	ReasonCheckInside  Reason = "check-inside"   // the handler of a shared route whose answers are kept also refuses: 401, 403, or the way to a login
	ReasonHidden       Reason = "hidden-header"  // the answer varies by a request header that does not select it, and on shared routes is hidden
	ReasonNegotiated   Reason = "negotiated"     // a per-user route chooses by what the client accepts, and that does not select the answer
)

// maxWarnings bounds what one route is warned of. What a client sends may be part of a subject.
const maxWarnings = 64

// A warning is what is told once: of a pattern, for a reason, about a subject, such as the name of a field.
type warning struct {
	pattern string
	reason  Reason
	subject string
}

// warnings are those that were told. The zero value is ready to use; it is safe for concurrent use.
type warnings struct {
	mu   sync.Mutex
	told map[warning]struct{}
}

// first reports whether the warning is new, and there is room to remember it.
func (ws *warnings) first(w warning) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if _, told := ws.told[w]; told || len(ws.told) >= maxWarnings {
		return false
	}
	if ws.told == nil {
		ws.told = map[warning]struct{}{}
	}
	ws.told[w] = struct{}{}
	return true
}

// warn tells, once for each pattern, reason and subject, of what works but may surprise: the fault, and the setting that
// remedies it. It is no business of a hit's.
func (rt *Route) warn(pattern string, reason Reason, subject, text string) {
	if rt.Tell != nil && rt.warnings.first(warning{pattern, reason, subject}) {
		rt.Tell(Event{Route: pattern, Outcome: Warning, Reason: reason, Err: errors.New(routeText(pattern, text))})
	}
}

// routeText begins a sentence with the route, if a router tells one.
func routeText(pattern, text string) string {
	if pattern == "" {
		return text
	}
	return fmt.Sprintf("route %q: %s", pattern, text)
}

// recorded reports whether a recorder is behind the writer, as far as the writers in between tell.
func recorded(w http.ResponseWriter) bool {
	for {
		switch layer := w.(type) {
		case interface{ recording() }: // not to be unwrapped, which would end its copy
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = layer.Unwrap()
		default:
			return false
		}
	}
}

func (rec *recorder) recording() {}

// warnNested tells of a cache around this one.
func (rt *Route) warnNested(l *leading) {
	if rt.Tell != nil && recorded(l.w) {
		rt.warn(l.p.pattern, ReasonNested, "", "another cache is around this one: both keep the answer, each for its own time, and the outer one serves it without asking the inner one; give the route one policy, by a middleware or in a table")
	}
}
