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

// A purge names responses by labels: the pattern, the URL and where it lies, the user, and tags, which come from the policy,
// the handler and Cache-Groups. An entry has its labels from the start. They are made here, from what is noted before the
// handler runs and what it has set since.

// naming is what a fetch notes of its request to label the response by.
type naming struct {
	// The handler's view before the handler ran, with this URL.
	seen http.Request
	url  url.URL
	// Its origin.
	scheme, host string
	// Its path parameters, as the tags name them one after the other.
	params []string

	// The pattern that was known before the handler ran.
	within string
	// A router further in has told a narrower one since.
	matched bool
	// That router's path parameters; nil: it has no method of its own for them.
	routed func(name string) string
}

// label gives the entry the labels that a purge can name it by:
//
//	its route's pattern             Route; the narrower one too, where a router further in told it
//	its URL, on any host and this   URL; and the place where the URL lies, for purges of a whole area
//	its user                        User, on per-user routes
//	its tags                        Tag; tags are cache groups of the origin too, and the other way round (RFC 9875 §2)
//
// It says why the response must not be stored: a tag has no text, or there are too many labels.
func (f *fetch) label(e *store.Entry, added []string) Reason {
	rt, by := f.rt, f.rt.labeler
	e.Labels = append(e.Labels, rt.patternLabel(f.p.pattern)) // the first one: see patterns
	if f.matched {
		e.Labels = append(e.Labels, by.Route(f.within))
	}
	e.Labels = f.urlLabels(e.Labels)
	if f.p.user != "" {
		e.Labels = append(e.Labels, by.User(f.p.user))
	}
	texts, ok := f.tags(e, added)
	if !ok {
		return ReasonTag
	}
	noted := &rt.onHTTP
	if f.scheme == "https" {
		noted = &rt.onHTTPS
	}
	if added := texts[:len(texts)-len(rt.tags)]; len(added) > 0 || !noted.Load() {
		noted.Store(true)
		rt.common.Names.Keep(f.scheme, added)
	}
	for _, text := range texts {
		e.Labels = append(e.Labels, by.Tag(text), by.Group(f.scheme, f.host, text))
	}
	e.Labels = distinct(e.Labels)
	if len(e.Labels) > store.MaxLabels {
		return ReasonLabels
	}
	return ""
}

// tags are those of the response's Cache-Groups, of the handler's AddTags, and of the policy, in this order. It is false if a
// tag of the policy names a path parameter that the request does not have.
func (f *fetch) tags(e *store.Entry, added []string) (texts []string, ok bool) {
	if lines := e.Lines("Cache-Groups"); lines != nil {
		texts = rfc9111.ParseGroups(lines)
	}
	return f.fill(append(texts, added...))
}

// A patternLabel is the label of a pattern, remembered.
type patternLabel struct {
	pattern string
	label   keying.Label
}

// patternLabel is the label of the pattern. It is the same for all requests of a route as a rule, so it is made once.
func (rt *Route) patternLabel(pattern string) keying.Label {
	last := rt.lastLabel.Load()
	if last == nil || last.pattern != pattern {
		last = &patternLabel{pattern, rt.labeler.Route(pattern)}
		rt.lastLabel.Store(last)
	}
	return last.label
}

// few is the number of labels up to which it is cheaper to compare them with each other than to make a set.
const few = 16

// distinct removes duplicates: a renewed entry already has the labels of the one before it.
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

// resource identifies what the variants of one URL have in common: the route, the user, the host and the URL.
func (f *fetch) resource() keying.Label {
	return f.rt.labeler.Tag(f.p.keyed + "\x00" + f.p.user + "\x00" + f.seen.Host + f.url.RequestURI())
}

// askedURL is the URL that the client requested, if a prefix was stripped from it or it was rewritten on its way to the
// handler; else nil.
func askedURL(view *http.Request) *url.URL {
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

// urlLabels adds the labels of the URL that the handler saw and of the one that the client requested, with and without their
// origin, and of where they lie.
func (f *fetch) urlLabels(labels []keying.Label) []keying.Label {
	rt := f.rt
	anywhere, there := rt.labeler.URLs(&f.url, f.scheme, f.host)
	labels = append(labels, anywhere, there, rt.labeler.Place(keys.Path(&f.url)))
	if u := askedURL(&f.seen); u != nil {
		anywhere, there = rt.labeler.URLs(u, f.scheme, f.host)
		labels = append(labels, anywhere, there, rt.labeler.Place(keys.Path(u)))
	}
	return labels
}

// origin is the scheme and host that the client requested; a trusted proxy in front may state them.
func (rt *Route) origin(r *http.Request) (scheme, host string) {
	scheme, host = keys.Protocol(r), r.Host
	if rt.scheme.TrustProxy {
		if proto := rfc9111.First(r.Header["X-Forwarded-Proto"]); proto != "" {
			scheme = proto
		}
		if forwarded := rfc9111.First(r.Header["X-Forwarded-Host"]); forwarded != "" {
			host = forwarded
		}
	}
	return scheme, host
}

// invalidate does the purges that the head of a response calls for. A success of an unsafe method invalidates what it may
// have changed, and a response that clears the user's site data invalidates that user's responses. This is done before the
// client has the response, so that what it requests next is up to date.
func (rec *recorder) invalidate(status int, h http.Header) {
	rt := rec.rt
	if rt.purge == nil || status < 200 || status >= 400 {
		return
	}
	var r store.Record
	if rec.changes {
		r.Labels = rt.rules.invalidates(rec, h)
		scheme, host := rt.origin(rec.r)
		for _, group := range rfc9111.ParseGroups(h["Cache-Group-Invalidation"]) {
			r.Labels = append(r.Labels, rt.labeler.Group(scheme, host, group))
		}
	}
	if rec.user != "" && rfc9111.ClearsCache(h["Clear-Site-Data"]) {
		r.Labels = append(r.Labels, rt.labeler.User(rec.user))
	}
	if len(r.Labels) > 0 {
		_ = rt.purge(context.WithoutCancel(rec.r.Context()), r) // an error is an event: the response is right anyway
	}
}

// note records what a purge can name the response by: the parameters in the policy's tags, the URL and its origin. This is
// done before the handler runs: the handler may be another router, or rewrite the URL in place, and copies of a request share
// its path values, which belong to the last router afterwards. A second run of the handler uses the notes of the first.
func (f *fetch) note() {
	if f.seen.URL != nil {
		return
	}
	f.seen, f.url = *f.view, *f.view.URL
	f.seen.URL = &f.url
	f.scheme, f.host = f.rt.origin(f.view)
	for _, tag := range f.rt.tags {
		for _, name := range tag.Params() {
			f.params = append(f.params, f.value(f.paramsOf(f.r), f.p.pattern, name))
		}
	}
}

// paramsOf returns a function for the path parameters of the request.
func (f *fetch) paramsOf(r *http.Request) func(name string) string {
	return func(name string) string { return f.param(r, name) }
}

// value is a path parameter of a request that matched the pattern. ServeMux gives parameters unescaped. Routers that match
// the URL's escaped form if it is not the usual one, as chi and echo do, give them escaped. This can be recognized: the
// pattern with its parameters filled in is the escaped path again, or ends in it if a prefix has been stripped since. What
// cannot be unescaped stays as it is.
func (f *fetch) value(param func(name string) string, pattern, name string) string {
	value := param(name)
	if f.url.RawPath == "" || !strings.Contains(value, "%") || !strings.HasSuffix(keying.Expand(pattern, param), f.url.RawPath) {
		return value
	}
	if text, err := url.PathUnescape(value); err == nil {
		return text
	}
	return value
}

// fill returns the texts of the policy's tags, or false if a parameter has no value. A parameter that the pattern does not
// have is looked up once more: a router behind the policy may have it.
func (f *fetch) fill(texts []string) ([]string, bool) {
	params := f.params
	for _, tag := range f.rt.tags {
		text, ok := tag.Fill(func(name string) string {
			value := params[0]
			params = params[1:]
			if value == "" && (f.matched || !keys.HasParam(f.p.pattern, name)) {
				value = f.further(name)
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
func (f *fetch) further(name string) string {
	pattern := f.view.Pattern
	if f.matched {
		pattern = f.p.pattern
	}
	if value := f.value(f.paramsOf(f.view), pattern, name); value != "" || f.routed == nil {
		return value
	}
	return f.value(f.routed, pattern, name)
}

// A router knows a request's pattern once it has matched it. A policy around a router, or around a part of one, runs before
// that: it gets no pattern, or the beginning of one, "/v2/*". Its keys contain that, and the whole path, so they are right.
// Labels and events should have the whole pattern, which is known once the handler has run.

// A teller is what a router puts into the request's context to tell its pattern and parameters, as chi does.
type teller interface {
	RoutePattern() string
	URLParam(name string) string
}

// matching is the context of a run whose pattern may be told by a router further in. Only the router knows the key under
// which the context has it; when the router looks itself up, matching sees it.
type matching struct {
	context.Context
	by atomic.Pointer[teller]
}

// Value delegates to the context inside, and notices a router that looks itself up.
func (c *matching) Value(key any) any {
	value := c.Context.Value(key)
	if by, ok := value.(teller); ok {
		c.by.Store(&by)
	}
	return value
}

// matching returns the context for a run whose whole pattern is not known, or nil.
func (f *fetch) matching(ctx context.Context) *matching {
	if f.rt.pattern != "" || !openPattern(f.p.pattern) {
		return nil
	}
	return &matching{Context: ctx}
}

// maxWhole bounds the patterns that are remembered for the events of hits.
const maxWhole = 256

// patterns are those that were not known before the handler had run, by their labels. Reading them takes no lock: hits do it,
// too. The zero value is ready to use.
type patterns struct {
	mu  sync.Mutex
	all atomic.Pointer[map[keying.Label]string] // never changed, but replaced under mu
}

// add remembers the pattern of the label, if there is room.
func (ps *patterns) add(label keying.Label, pattern string) {
	if known := ps.all.Load(); known != nil && (*known)[label] == pattern {
		return
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	all := map[keying.Label]string{}
	if known := ps.all.Load(); known != nil {
		if len(*known) >= maxWhole {
			return
		}
		all = maps.Clone(*known)
	}
	all[label] = pattern
	ps.all.Store(&all)
}

// of returns the pattern that the entry was made under, if it is known, or else the one that was known beforehand.
func (ps *patterns) of(e *store.Entry, pattern string) string {
	known := ps.all.Load()
	if known == nil || len(e.Labels) == 0 {
		return pattern
	}
	if whole, ok := (*known)[e.Labels[0]]; ok {
		return whole
	}
	return pattern
}

// match makes the passage's pattern the whole one, if it was not before.
func (f *fetch) match(ctx *matching) {
	if ctx == nil {
		return
	}
	whole := f.view.Pattern
	if by := ctx.by.Load(); by != nil { // it may have had a copy of the request
		f.routed = (*by).URLParam
		if whole == f.r.Pattern {
			whole = (*by).RoutePattern()
		}
	}
	if whole == "" || whole == f.p.pattern {
		return
	}
	f.within, f.matched, f.p.pattern = f.p.pattern, true, whole
	f.rt.patterns.add(f.rt.patternLabel(whole), whole)
	f.rt.common.Names.Meet(whole)
}

// openPattern reports whether a pattern says only how paths begin.
func openPattern(pattern string) bool {
	last := pattern[strings.LastIndexByte(pattern, '/')+1:]
	return last == "" || last == "*" || strings.HasSuffix(last, "...}")
}
