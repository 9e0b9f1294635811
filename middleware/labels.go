package middleware

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// labels adds what a purge can name the entry by. Its tags are cache groups too (RFC 9875 §2), and the other way round.
func (rt *Route) labels(l *leading, e *store.Entry, added []string) Reason {
	e.Labels = append(e.Labels, rt.label(l.p.pattern)) // the first one: see wholes
	if l.matched {
		e.Labels = append(e.Labels, rt.Labeler.Route(l.within))
	}
	e.Labels = rt.urlLabels(e.Labels, l)
	if l.p.user != "" {
		e.Labels = append(e.Labels, rt.Labeler.User(l.p.user))
	}
	texts, ok := l.tags(e, added)
	if !ok {
		return ReasonTag
	}
	rt.Common.Names.keep(l.scheme, texts[:len(texts)-len(rt.Tags)])
	for _, text := range texts {
		e.Labels = append(e.Labels, rt.Labeler.Tag(text), rt.Labeler.Group(l.scheme, l.host, text))
	}
	e.Labels = distinct(e.Labels)
	if len(e.Labels) > store.MaxLabels {
		return ReasonLabels
	}
	return ""
}

// tags are those that the answer's groups, the handler and the policy name; false if one of the policy's has no text.
func (l *leading) tags(e *store.Entry, added []string) (texts []string, ok bool) {
	if lines := fieldOf(e, "Cache-Groups"); lines != nil {
		texts = rfc9111.ParseGroups(lines)
	}
	return l.fill(append(texts, added...))
}

// patternLabel is the label of a route's pattern.
type patternLabel struct {
	pattern string
	label   keying.Label
}

// label is the label of the pattern, which is the same for all requests of a route as a rule.
func (rt *Route) label(pattern string) keying.Label {
	last := rt.labelled.Load()
	if last == nil || last.pattern != pattern {
		last = &patternLabel{pattern, rt.Labeler.Route(pattern)}
		rt.labelled.Store(last)
	}
	return last.label
}

// few is up to how many labels are compared with each other rather than put into a set.
const few = 16

// distinct leaves each label once: a renewed entry has those of the one before.
func distinct(labels []keying.Label) []keying.Label {
	if len(labels) <= few {
		kept := labels[:0]
		for _, label := range labels {
			if !slices.Contains(kept, label) {
				kept = append(kept, label)
			}
		}
		return kept
	}
	seen := make(map[keying.Label]struct{}, len(labels))
	return slices.DeleteFunc(labels, func(label keying.Label) bool {
		_, twice := seen[label]
		seen[label] = struct{}{}
		return twice
	})
}

// resource is what variants are variants of: the URL, of this route and user.
func (rt *Route) resource(l *leading) keying.Label {
	return rt.Labeler.Tag(l.p.keyed + "\x00" + l.p.user + "\x00" + l.seen.Host + l.url.RequestURI())
}

// asked is the URL that the client asked for, where a prefix was stripped from it or it was rewritten on its way to the
// handler; else nil.
func asked(view *http.Request) *url.URL {
	path, _, _ := strings.Cut(view.RequestURI, "?")
	seen := view.URL.EscapedPath()
	if path == "" || path == seen && path[0] == '/' {
		return nil
	}
	u, err := url.ParseRequestURI(view.RequestURI)
	if err != nil || u.EscapedPath() == seen {
		return nil
	}
	u.RawQuery = view.URL.RawQuery
	return u
}

// urlLabels adds the labels of the URL that the handler saw and of the one that the client asked for, with and without
// their origin, and of where they lie.
func (rt *Route) urlLabels(labels []keying.Label, l *leading) []keying.Label {
	anywhere, there := rt.Labeler.URLs(&l.url, l.scheme, l.host)
	labels = append(labels, anywhere, there, rt.Labeler.Place(keys.Path(&l.url)))
	if u := asked(&l.seen); u != nil {
		anywhere, there = rt.Labeler.URLs(u, l.scheme, l.host)
		labels = append(labels, anywhere, there, rt.Labeler.Place(keys.Path(u)))
	}
	return labels
}

// origin is the scheme and host that the client asked, as far as the proxy in front may be believed.
func (rt *Route) origin(r *http.Request) (scheme, host string) {
	scheme, host = keys.Protocol(r), r.Host
	if rt.Scheme.TrustProxy {
		if proto := first(r.Header["X-Forwarded-Proto"]); proto != "" {
			scheme = proto
		}
		if forwarded := first(r.Header["X-Forwarded-Host"]); forwarded != "" {
			host = forwarded
		}
	}
	return scheme, host
}

// note takes down what a purge can name the answer by: the parameters in the policy's tags, the URL and its origin. It is
// done before the handler runs, for the handler may be another router, or rewrite the URL in place, and a copy of a request
// shares its path values with it: afterwards they are those of whoever came last. A second run of the handler has the notes
// of the first.
func (l *leading) note() {
	if l.seen.URL != nil {
		return
	}
	l.seen, l.url = *l.view, *l.view.URL
	l.seen.URL = &l.url
	l.scheme, l.host = l.rt.origin(l.view)
	for _, tag := range l.rt.Tags {
		for _, name := range tag.Params() {
			l.params = append(l.params, l.value(l.paramsOf(l.r), l.p.pattern, name))
		}
	}
}

// paramsOf are the path parameters of the request.
func (l *leading) paramsOf(r *http.Request) func(name string) string {
	return func(name string) string { return l.param(r, name) }
}

// value is a path parameter of a request that matched the pattern. ServeMux gives parameters unescaped. Routers that
// match the URL's escaped form, where that is not the usual one, give them as they are in it, as chi and echo do: then the
// pattern with its parameters filled in is the escaped path again, or ends in it, where a prefix has been stripped since.
// What cannot be unescaped stays as it is.
func (l *leading) value(param func(name string) string, pattern, name string) string {
	value := param(name)
	if l.url.RawPath == "" || !strings.Contains(value, "%") || !strings.HasSuffix(keying.Expand(pattern, param), l.url.RawPath) {
		return value
	}
	if text, err := url.PathUnescape(value); err == nil {
		return text
	}
	return value
}

// fill returns the texts of the policy's tags, or false if a parameter has no value. One that the pattern does not have is
// asked for once more: a router behind the policy may have it.
func (l *leading) fill(texts []string) ([]string, bool) {
	params := l.params
	for _, tag := range l.rt.Tags {
		text, ok := tag.Fill(func(name string) string {
			value := params[0]
			params = params[1:]
			if value == "" && (l.matched || !keys.HasParam(l.p.pattern, name)) {
				value = l.further(name)
			}
			return value
		})
		if !ok {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, true
}

// further is a path parameter that a router behind the policy has.
func (l *leading) further(name string) string {
	pattern := l.view.Pattern
	if l.matched {
		pattern = l.p.pattern
	}
	if value := l.value(l.paramsOf(l.view), pattern, name); value != "" || l.routed == nil {
		return value
	}
	return l.value(l.routed, pattern, name)
}

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
