package middleware

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware/rfc9111"
	"github.com/larder-go/cache/store"
)

// labels adds what a purge can name the entry by. Its tags are cache groups too (RFC 9875 §2), and the other way round.
func (rt *Route) labels(l *leading, e *store.Entry, added []string) Reason {
	e.Labels = append(e.Labels[:len(e.Labels):len(e.Labels)], rt.Labeler.Route(l.p.pattern))
	e.Labels = rt.urlLabels(e.Labels, l.view)
	if l.p.user != "" {
		e.Labels = append(e.Labels, rt.Labeler.User(l.p.user))
	}
	texts := append(rfc9111.ParseGroups(fieldOf(e, "Cache-Groups")), added...)
	for _, tag := range rt.Tags {
		text, ok := tag.Fill(func(name string) string { return l.param(l.view, name) })
		if !ok {
			return TagReason
		}
		texts = append(texts, text)
	}
	scheme, host := rt.origin(l.view)
	for _, text := range texts {
		e.Labels = append(e.Labels, rt.Labeler.Tag(text), rt.Labeler.Group(scheme, host, text))
	}
	e.Labels = distinct(e.Labels)
	if len(e.Labels) > store.MaxLabels {
		return LabelsReason
	}
	return ""
}

// distinct leaves each label once: a renewed entry has those of the one before.
func distinct(labels []keying.Label) []keying.Label {
	seen := make(map[keying.Label]struct{}, len(labels))
	return slices.DeleteFunc(labels, func(label keying.Label) bool {
		_, twice := seen[label]
		seen[label] = struct{}{}
		return twice
	})
}

// resource is what variants are variants of: the URL, of this route and user.
func (rt *Route) resource(l *leading) keying.Label {
	return rt.Labeler.Tag(l.p.pattern + "\x00" + l.p.user + "\x00" + l.view.Host + l.view.URL.RequestURI())
}

// urls are the URL that the handler saw and, where a prefix was stripped from it or it was rewritten, the one that the
// client asked for, both without their origin.
func (rt *Route) urls(view *http.Request) []*url.URL {
	seen := *view.URL
	seen.Scheme, seen.Host = "", ""
	urls := []*url.URL{&seen}
	if asked, err := url.ParseRequestURI(view.RequestURI); err == nil && asked.EscapedPath() != seen.EscapedPath() {
		asked.RawQuery, asked.Scheme, asked.Host = seen.RawQuery, "", ""
		urls = append(urls, asked)
	}
	return urls
}

// urlLabels adds the answer's URLs, with and without its origin.
func (rt *Route) urlLabels(labels []keying.Label, view *http.Request) []keying.Label {
	for _, u := range rt.urls(view) {
		labels = append(labels, rt.Labeler.URL(u))
		u.Scheme, u.Host = rt.origin(view)
		labels = append(labels, rt.Labeler.URL(u))
	}
	return labels
}

// origin is the scheme and host that the client asked, as far as the proxy in front may be believed.
func (rt *Route) origin(r *http.Request) (scheme, host string) {
	scheme, host = keying.Protocol(r), r.Host
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
