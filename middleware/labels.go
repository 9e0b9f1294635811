package middleware

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

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
