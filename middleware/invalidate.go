package middleware

import (
	"context"
	"net/http"
	"net/url"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// unsafe reports whether the method may change something (RFC 9110 §9.2.1): all may that are not registered as safe
// (§16.1.1).
func unsafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "PRI", "PROPFIND", "QUERY", "REPORT", "SEARCH":
		return false
	}
	return true
}

// heed does what the head of an answer asks for beside being an answer: after a success of an unsafe method it forgets what
// that may have changed, and on a user's leave that user's answers. It does so before the client has the answer, so that
// whoever acts on it finds the cache in step.
func (rec *recorder) heed(status int, h http.Header) {
	rt := rec.rt
	if rt.Purge == nil || status < 200 || status >= 400 {
		return
	}
	var r store.Record
	if rec.changes && rt.Standard {
		r.Labels = rt.changed(rec.r, h, rec.level)
	}
	if rec.changes {
		scheme, host := rt.origin(rec.r)
		for _, group := range rfc9111.ParseGroups(h["Cache-Group-Invalidation"]) {
			r.Labels = append(r.Labels, rt.Labeler.Group(scheme, host, group))
		}
	}
	if rec.user != "" && rfc9111.ClearsCache(h["Clear-Site-Data"]) {
		r.Labels = append(r.Labels, rt.Labeler.User(rec.user))
	}
	if len(r.Labels) > 0 {
		_ = rt.Purge(context.WithoutCancel(rec.r.Context()), r) // an error is an event: the answer is right all the same
	}
}

// changed are the URLs that a successful unsafe request invalidates (RFC 9111 §4.4): its own, and those of Location and
// Content-Location where they are of the same origin. Anybody may send such requests: when there are too many, they become
// one of the area at that level.
func (rt *Route) changed(r *http.Request, h http.Header, level uint8) []keying.Label {
	scheme, host := rt.origin(r)
	base := &url.URL{Scheme: scheme, Host: host, Path: r.URL.Path, RawPath: r.URL.RawPath}
	labels := rt.originLabels(nil, r, r.URL, level)
	for _, name := range [...]string{"Location", "Content-Location"} {
		if lines := h[name]; len(lines) == 1 {
			u, err := base.Parse(lines[0])
			if err == nil && u.Opaque == "" && sameOrigin(u, base) {
				labels = rt.originLabels(labels, r, u, level)
			}
		}
	}
	return labels
}

// originLabels adds the label of a URL of the request's origin, as its answers carry it, and of where it lies.
func (rt *Route) originLabels(labels []keying.Label, r *http.Request, u *url.URL, level uint8) []keying.Label {
	of := *r
	of.URL = &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	if u != r.URL {
		of.RequestURI = ""
	}
	scheme, host := rt.origin(r)
	view := rt.Scheme.View(&of)
	_, label := rt.Labeler.URLs(view.URL, scheme, host)
	labels = append(labels, label, keys.Within(rt.Labeler.Place(keys.Path(view.URL)), level))
	if u := asked(view); u != nil {
		_, label = rt.Labeler.URLs(u, scheme, host)
		labels = append(labels, label, keys.Within(rt.Labeler.Place(keys.Path(u)), level))
	}
	return labels
}

// sameOrigin compares scheme, host and port (RFC 9110 §4.3.1).
func sameOrigin(a, b *url.URL) bool {
	aScheme, aHost := keys.Origin(a.Scheme, a.Host)
	bScheme, bHost := keys.Origin(b.Scheme, b.Host)
	return aScheme == bScheme && aHost == bHost
}
