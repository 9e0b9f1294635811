package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/internal/steering"
	"github.com/larder-go/cache/keying"
)

// A response shows when a policy does not fit its app, or when middleware is on the wrong side of the cache. Such mistakes are quiet: a
// route never hits, or it serves the wrong page. So a warning reports what was seen, once per route and subject, and names the setting
// that helps:
//
//	what was seen                                             the reason of the warning
//	the response varies by a field that is not in the key     hidden-header
//	a per-user response depends on what the client accepts    negotiated
//	a shared handler asks who the user is                     user-in-shared
//	middleware outside sets a cookie on a shared response     outer-cookie
//	one route stores responses and refuses others             check-inside
//	another cache is around this one                          nested
//
// Only runs of the handler are checked; hits skip all of this.

// notice checks the handler's own part of a response. What middleware outside adds is checked later, in noticeOuter.
func (rt *Route) notice(f *fetch, outcome readthrough.Verdict) {
	rec := f.rec
	if rec.said.AskedWho() {
		rt.warn(f.p.pattern, ReasonUserInShared, "", steering.AskedWho)
	}
	if outcome != readthrough.Cacheable { // label adds those of a stored response: a purge may name these, too
		added, _, _ := rec.said.Said()
		rt.common.Names.AddTags(added...)
	}
	h := rec.own
	if h == nil { // others send it: see surrender
		return
	}
	rt.noticeCheck(f, h, outcome == readthrough.Cacheable && rec.reason == "" && f.p.reason == "")
	switch rec.reason {
	case "", ReasonVary, ReasonCookie, ReasonOrigin, ReasonEncoding: // the first reason that was found: there may be more
		if vary := h["Vary"]; vary != nil {
			rt.noticeVary(f, vary)
		}
	}
	if rt.scheme.Private && !rt.scheme.Open {
		rt.noticeNegotiation(f, h, outcome)
	}
}

// noticeVary warns about request fields that the response varies by and the key does not contain. Compressors and CORS middleware outside
// the cache are right to name such fields: they run on every request. If the handler itself varies its response by one, it is not stored
// (ReasonVary), and somebody should know why the route never hits.
func (rt *Route) noticeVary(f *fetch, lines []string) {
	outer, _ := rfc9111.VaryNames(f.rec.outer["Vary"])
	names, _ := rfc9111.VaryNames(lines)
	for _, name := range names {
		if rt.scheme.Keyed(name) || rt.mayVary(name) || rt.scheme.Open && !rt.scheme.Hides(name) { // RFC 9111 mode keys it by its Vary
			continue
		}
		outside := slices.Contains(outer, name)
		switch name {
		case "Accept-Encoding", "Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers", "Access-Control-Request-Private-Network":
			if outside {
				continue
			}
		case "Cookie": // see noticeOuter
			if outside && !rt.scheme.Private {
				continue
			}
		}
		rt.warn(f.p.pattern, ReasonHidden, name, rt.hiddenText(name, outside))
	}
}

// hiddenText says what to do about a response that varies by the field: the remedy depends on the field.
func (rt *Route) hiddenText(name string, outside bool) string {
	what := "the answer varies by " + name + " (its Vary says so), which does not select it"
	if rt.scheme.Hides(name) {
		what += " and is hidden from its handler"
	}
	if outside {
		what += "; middleware outside of the cache says it, and what that has put into the context is kept for whoever asks next"
	}
	switch name {
	case "X-Forwarded-Proto", "X-Forwarded-Host":
		return what + ": set Options.TrustProxy, if a proxy in front sets it"
	case "Cookie":
		return what + ": name a harmless cookie in cookies=, or use per-user"
	case "Authorization":
		return what + ": use per-user"
	}
	return what + ": add vary=" + name + " to the policy; or take it out of Vary where the answer is the same whatever it says"
}

// noticeNegotiation warns about a per-user handler that chooses its response by what the client accepts. It sees the whole request, so it
// may choose, but it often forgets to say so in Vary. Then the user's phone gets what the laptop requested. Signs are a 406, a
// Content-Encoding, and a response whose type or language differs from the stored one and suits this client better.
func (rt *Route) noticeNegotiation(f *fetch, h http.Header, outcome readthrough.Verdict) {
	rec, by, of := f.rec, "", ""
	old := rec.run.Old
	switch {
	case rec.reason == ReasonEncoding:
		by, of = "Accept-Encoding", "Content-Encoding"
	case rec.status == http.StatusNotAcceptable || statusOf(f) == http.StatusNotAcceptable:
		by, of = "Accept", "Content-Type"
	case outcome != readthrough.Cacheable || old == nil:
		return
	case prefers(f.r.Header["Accept"], h["Content-Type"], old.Lines("Content-Type")):
		by, of = "Accept", "Content-Type"
	case prefers(f.r.Header["Accept-Language"], h["Content-Language"], old.Lines("Content-Language")):
		by, of = "Accept-Language", "Content-Language"
	default:
		return
	}
	if f.r.Header[by] == nil || rt.scheme.Keyed(by) {
		return
	}
	rt.warn(f.p.pattern, ReasonNegotiated, by, fmt.Sprintf("its handler seems to choose %s by the request's %s, which does not select the answer: "+
		"add vary=%[2]s to the policy", of, by))
}

// prefers reports whether both responses have the field, and the client prefers the new value to the earlier one, parameters aside. If it
// does not, the content itself has changed: it is a picture now, or the user has set another language.
func prefers(accept, is, was []string) bool {
	if len(is) == 0 || len(was) == 0 {
		return false
	}
	value := func(field string) string {
		value, _, _ := strings.Cut(field, ";")
		return strings.TrimSpace(value)
	}
	return rfc9111.Prefers(accept, value(is[0]), value(was[0]))
}

// statusOf is the status of the handler's response, or the one that the framework will send for the error that the handler returned.
func statusOf(f *fetch) int {
	if f.err == nil || f.rec.head != noHead {
		return f.rec.status
	}
	if status := new(StatusError); errors.As(f.err, status) {
		return status.Status
	}
	return f.rec.status
}

// noticeOuter warns about cookies that middleware outside the cache sets on a response that is stored for everyone. It checks once the
// response is sent, since many set their cookie with the first byte. The cookie itself is not stored, but it shows that there is a
// session: what the handler takes from it through the context, everyone gets.
func (rt *Route) noticeOuter(f *fetch) {
	if rt.scheme.Private || f.rec.reason != "" || f.p.reason != "" {
		return
	}
	h, what := f.w.Header(), ""
	switch {
	case h["Set-Cookie"] != nil: // not the handler's: that response would not be stored
		what = "sets a cookie on"
	case rt.scheme.Open: // a response that varies by cookies is stored for those
		return
	case len(rt.scheme.Cookies) == 0 && hasName(h["Vary"], "Cookie"), hasName(f.rec.outer["Vary"], "Cookie"):
		what = `says "Vary: Cookie" of`
	default:
		return
	}
	rt.warn(f.p.pattern, ReasonOuterCookie, "", "middleware outside of the cache "+what+" an answer that is kept for everyone, as sessions and "+
		"CSRF protection do: what the handler takes from the context, everyone gets; use per-user, or NoStore, where it takes the session or a token, "+
		"and put that middleware around other routes where it does not")
}

// hasName reports whether a Vary names the field.
func hasName(vary []string, name string) bool {
	if vary == nil {
		return false
	}
	names, _ := rfc9111.VaryNames(vary)
	return slices.Contains(names, name)
}

// seen records whether handlers have stored or refused responses. The zero value is ready to use; it is safe for concurrent use.
type seen struct {
	mu sync.Mutex
	// By pattern, or by path.
	places map[string]answers
	// The keys under which a client was refused.
	refused map[keying.Key]struct{}
}

// answers are the sorts of responses that one pattern or path has given.
type answers struct{ kept, refused bool }

// both notes a response, and reports whether both sorts have been seen by now.
func (s *seen) both(place string, kept, refused bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places == nil {
		s.places = map[string]answers{}
	}
	known := s.places[place]
	if now := (answers{known.kept || kept, known.refused || refused}); now != known {
		forget(s.places, place)
		s.places[place], known = now, now
	}
	return known.kept && known.refused
}

// refuse notes that a client was refused under the key.
func (s *seen) refuse(key keying.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == nil {
		s.refused = map[keying.Key]struct{}{}
	}
	forget(s.refused, key)
	s.refused[key] = struct{}{}
}

// wasRefused reports whether a client has been refused under the key.
func (s *seen) wasRefused(key keying.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, refused := s.refused[key]
	return refused
}

// forget removes an arbitrary key if the map is full and lacks this one: clients can make keys up, so the map must be bounded.
func forget[K comparable, V any](m map[K]V, key K) {
	if _, known := m[key]; known || len(m) < maxWarnings {
		return
	}
	for other := range m {
		delete(m, other)
		return
	}
}

// noticeCheck warns about permission checks inside the cache. A hit skips them: the first user who may see the page opens it for
// everyone. A sign of such a check is a route that both stores responses and refuses (401, 403, a redirect to a login). On per-user
// routes that is fine: each user has a separate key.
func (rt *Route) noticeCheck(f *fetch, h http.Header, kept bool) {
	refused := refuses(f, h)
	if rt.scheme.Private || !kept && !refused {
		return
	}
	if refused && statusOf(f) != http.StatusForbidden && rt.hidesWho(f.r.Header) {
		rt.warn(f.p.pattern, ReasonCheckInside, "hidden", "its handler asks to log in, and what the client has sent to say who it is (a cookie that cookies= does not name, "+
			"Authorization, an API key) is hidden from it: a check inside the cache that goes by that lets nobody in; put the check around the cache, or use per-user")
	}
	if rt.checks(f, h, refused) {
		rt.warn(f.p.pattern, ReasonCheckInside, "", "its answers are kept for everyone, and its handler also refuses (401, 403, or the way to a login): "+
			"a check inside the cache is not asked on hits, so that one visit opens the page for all; put the check around the cache, or use per-user")
	}
}

// checks notes a response that refuses or is stored, and reports whether the route has given both. A 401 or a redirect to a login counts
// anywhere on the route, because it depends on who the user is. A 403 may depend on something else: the page is forbidden for all, or a
// signature in the URL is wrong. And the policy may select by what the check uses, a role for example. In these cases both must occur
// under one key. Without a pattern there are many resources, so each path counts separately.
func (rt *Route) checks(f *fetch, h http.Header, refused bool) bool {
	switch {
	case refused && (statusOf(f) == http.StatusForbidden || rt.selectsWho()):
		rt.seen.refuse(f.p.key)
		return f.rec.run.Old != nil // it was stored before
	case !refused && rt.scheme.Open && variesByWho(h["Vary"]): // a response that says so is served to nobody else
		return false
	}
	place := f.p.pattern
	if place == "" || openPattern(place) {
		place = f.url.Path
	}
	return rt.seen.both(place, !refused, refused) || !refused && rt.seen.wasRefused(f.p.key)
}

// credentials are the fields, besides Cookie, in which clients say who the user is.
var credentials = []string{"Authorization", "X-Api-Key", "Api-Key", "X-Auth-Token", "X-Access-Token"}

// hidesWho reports whether the request says who the user is, but only in fields that are hidden from the handler.
func (rt *Route) hidesWho(h http.Header) bool {
	if rt.scheme.Open || rt.selectsWho() { // a check may use what it sees
		return false
	}
	return rt.scheme.Unselected(h["Cookie"]) || slices.ContainsFunc(credentials, func(name string) bool { return h[name] != nil && rt.scheme.Hides(name) })
}

// selectsWho reports whether the policy selects responses by something that tells clients apart.
func (rt *Route) selectsWho() bool {
	return len(rt.scheme.Cookies) > 0 || rt.scheme.By != "" || slices.ContainsFunc(rt.scheme.Headers, tellsWho)
}

// variesByWho is selectsWho for the Vary of a response.
func variesByWho(vary []string) bool {
	names, _ := rfc9111.VaryNames(vary)
	return slices.ContainsFunc(names, tellsWho)
}

// tellsWho reports whether the request field tells more about a client than what it accepts and which site it is on.
func tellsWho(name string) bool {
	switch name {
	case "Origin", "X-Forwarded-Proto", "X-Forwarded-Host":
		return false
	}
	return !strings.HasPrefix(name, "Accept")
}

// refuses reports whether the response denies access or asks to log in first.
func refuses(f *fetch, h http.Header) bool {
	switch statusOf(f) {
	case http.StatusUnauthorized, http.StatusForbidden:
		return true
	case http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect: // a permanent one leads everybody there
		return toLogin(&f.url, rfc9111.First(h["Location"]))
	}
	return false
}

// warnings are those that were given. The zero value is ready to use; it is safe for concurrent use.
type warnings struct {
	mu    sync.Mutex
	given map[warning]struct{}
}

// A warning identifies what is reported once: a pattern, a reason, and a subject, such as the name of a field.
type warning struct {
	pattern string
	reason  Reason
	subject string
}

// maxWarnings bounds the warnings of one route. A subject may contain what a client sends.
const maxWarnings = 64

// first reports whether the warning is new, and there is room to remember it.
func (ws *warnings) first(w warning) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if _, given := ws.given[w]; given || len(ws.given) >= maxWarnings {
		return false
	}
	if ws.given == nil {
		ws.given = map[warning]struct{}{}
	}
	ws.given[w] = struct{}{}
	return true
}

// warn reports something that works but may surprise, once for each pattern, reason and subject. The text names the fault and the setting
// that fixes it. Hits never come here.
func (rt *Route) warn(pattern string, reason Reason, subject, text string) {
	if rt.warnings.first(warning{pattern, reason, subject}) {
		rt.alert(Event{Route: pattern, Outcome: Warning, Reason: reason, Err: errors.New(routeText(pattern, text))})
	}
}

// routeText begins a sentence with the route, if its pattern is known.
func routeText(pattern, text string) string {
	if pattern == "" {
		return text
	}
	return fmt.Sprintf("route %q: %s", pattern, text)
}

// inRecorder reports whether a recorder is behind the writer, as far as the writers in between can be unwrapped.
func inRecorder(w http.ResponseWriter) bool {
	for {
		switch layer := w.(type) {
		case interface{ recording() }: // it must not be unwrapped: that ends its copy
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = layer.Unwrap()
		default:
			return false
		}
	}
}

// recording marks the recorder for inRecorder.
func (rec *recorder) recording() {}

// warnNested warns about another cache around this one.
func (rt *Route) warnNested(f *fetch) {
	if inRecorder(f.w) {
		rt.warn(f.p.pattern, ReasonNested, "", "another cache is around this one: both keep the answer, each for its own time, and the outer one serves it without asking the inner one; give the route one policy, by a middleware or in a table")
	}
}
