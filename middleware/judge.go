package middleware

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// maxVary is how many request headers an answer may vary by.
const maxVary = 8

// storable judges the head of an answer: why it must not be kept, or "". Cache-Control counts whoever set it, and so does
// a nonce, which has gone into the body. The rest is about what the handler itself did, since outer middleware does its part
// again on every hit.
func (rt *Route) storable(rec *recorder, h http.Header) Reason {
	status, c, private := rec.status, rec.control, rt.Scheme.Private
	switch {
	case status == http.StatusPartialContent || status == http.StatusNotModified:
		return PartialReason
	case status != http.StatusOK && rt.StatusTTL[status] <= 0:
		return StatusReason
	case c.invalid:
		return ControlReason
	case c.noStore || c.noCache:
		return NoStoreReason
	case c.private && !private:
		return PrivateReason
	case rec.lifetime == 0:
		return AgeReason
	}
	if nonce(h["Content-Security-Policy"]) || nonce(h["Content-Security-Policy-Report-Only"]) {
		return NonceReason
	}
	for name, values := range h {
		before, ok := rec.outer[name]
		if ok && slices.Equal(before, values) {
			continue
		}
		if reason := rt.storableField(http.CanonicalHeaderKey(name), values, before, h); reason != "" {
			return reason
		}
	}
	return ""
}

// nonce reports whether a Content-Security-Policy has one: the body has it too, and it is good for one response.
func nonce(policies []string) bool {
	return slices.ContainsFunc(policies, func(p string) bool { return strings.Contains(strings.ToLower(p), "'nonce-") })
}

// storableField judges one field that the handler set or added to.
func (rt *Route) storableField(name string, values, before []string, h http.Header) Reason {
	switch name {
	case "Set-Cookie", "Set-Cookie2":
		return CookieReason
	case "Www-Authenticate", "Proxy-Authenticate", "Authentication-Info", "Clear-Site-Data":
		return PersonalReason
	case "Content-Range":
		return PartialReason
	case "Trailer":
		return TrailerReason
	case "Access-Control-Allow-Origin":
		if !slices.Equal(values, []string{"*"}) && !rt.Scheme.Keyed("Origin") {
			return OriginReason
		}
	case "Content-Encoding":
		if !rt.Scheme.Keyed("Accept-Encoding") && !identity(values) {
			return EncodingReason
		}
	case "Vary":
		if len(values) > len(before) && slices.Equal(before, values[:len(before)]) {
			values = values[len(before):]
		}
		return rt.storableVary(values, h)
	}
	if strings.HasPrefix(name, http.TrailerPrefix) {
		return TrailerReason
	}
	return ""
}

func identity(codings []string) bool {
	return !slices.ContainsFunc(codings, func(c string) bool { return c != "" && !strings.EqualFold(c, "identity") })
}

// storableVary judges what the handler says its answer varies by (RFC 9111 §4.1). On a shared route a header that is not
// in the key was hidden from the handler, so that the answer is right for everyone; but a handler that says it varies by
// it expected something else, and the policy should be told. Accept-Encoding alone is harmless: what is not encoded,
// everyone can read.
func (rt *Route) storableVary(lines []string, h http.Header) Reason {
	n := 0
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if n++; n > maxVary || name == "*" {
				return VaryReason
			}
			if name != "" && !rt.Scheme.Keyed(name) && !rt.mayVary(name) {
				return VaryReason
			}
		}
	}
	return ""
}

func (rt *Route) mayVary(name string) bool {
	switch name {
	case "Accept-Encoding": // what is encoded is judged by its Content-Encoding
		return !rt.Scheme.Private
	case "Cookie", "Authorization": // one user's: they are where the identity comes from
		return rt.Scheme.Private || name == "Cookie" && len(rt.Scheme.Cookies) > 0
	}
	return false
}

// complete judges a whole answer and fills the run's entry with it.
func (rt *Route) complete(l *leading, said *Steering) Reason {
	rec, h := l.rec, l.rec.Header()
	tags, ttl, noStore := said.Said()
	switch {
	case !rec.wrote:
		return EmptyReason
	case rec.declared >= 0 && rec.declared != rec.written:
		return LengthReason
	case noStore:
		return HandlerReason
	}
	for name := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return TrailerReason
		}
	}
	e := rec.run.Entry
	var reason Reason
	if e.Labels, reason = rt.labels(l, tags); reason != "" {
		return reason
	}
	rt.times(e, rec, ttl)
	e.Status, e.Header, e.Added, e.Body = rec.status, rec.header, rec.added, compact(rec.body)
	if bodyAllowed(rec.status) {
		e.Header = append(e.Header, store.Field{Name: "Content-Length", Values: []string{strconv.Itoa(len(e.Body))}})
	}
	if e.Validate() != nil {
		return HeaderReason
	}
	if rt.Scheme.Varies() && !rt.Common.variants.admit(rt.resource(l), e.Key, e.Stored, e.Fresh) {
		return VariantsReason
	}
	return ""
}

// compact returns the body without much spare room behind it: an entry must not cost more than it counts.
func compact(body []byte) []byte {
	if cap(body) > len(body)+len(body)/8 {
		return append(make([]byte, 0, len(body)), body...)
	}
	return body
}

// times sets how long the entry lives: as the policy says, or shorter if the answer or the handler says so.
func (rt *Route) times(e *store.Entry, rec *recorder, said time.Duration) {
	e.Stored = time.Now()
	e.Fresh = rt.TTL
	if rec.status != http.StatusOK {
		e.Fresh = rt.StatusTTL[rec.status]
	}
	e.Fresh = Spread(e.Fresh, e.Key)
	if rec.lifetime >= 0 {
		e.Fresh = min(e.Fresh, rec.lifetime)
	}
	if said > 0 {
		e.Fresh = min(e.Fresh, said)
	}
	if !rec.control.mustRevalidate {
		e.WhileRevalidate, e.IfError = rt.WhileRevalidate, rt.IfError
	}
}

// Spread shortens a lifetime by up to a tenth, by the key, so that answers made together do not expire together.
func Spread(ttl time.Duration, key keying.Key) time.Duration {
	return ttl - ttl/10*time.Duration(key[0])/256
}

// labels are what a purge can name the entry by.
func (rt *Route) labels(l *leading, added []string) ([]keying.Label, Reason) {
	labels := make([]keying.Label, 0, 6+len(rt.Tags)+len(added))
	labels = append(labels, rt.Labeler.Route(l.p.pattern))
	labels = rt.urlLabels(labels, l.view)
	if l.p.user != "" {
		labels = append(labels, rt.Labeler.User(l.p.user))
	}
	for _, tag := range rt.Tags {
		text, ok := tag.Fill(func(name string) string { return l.param(l.view, name) })
		if !ok {
			return nil, TagReason
		}
		labels = append(labels, rt.Labeler.Tag(text))
	}
	for _, text := range added {
		labels = append(labels, rt.Labeler.Tag(text))
	}
	if len(labels) > store.MaxLabels {
		return nil, LabelsReason
	}
	return labels, ""
}

// resource is what variants are variants of: the URL, of this route and user.
func (rt *Route) resource(l *leading) keying.Label {
	return rt.Labeler.Tag(l.p.pattern + "\x00" + l.p.user + "\x00" + l.view.Host + l.view.URL.RequestURI())
}

// urlLabels adds the URL that the handler saw and, where a prefix was stripped from it or it was rewritten, the one that the
// client asked for: with and without its origin.
func (rt *Route) urlLabels(labels []keying.Label, view *http.Request) []keying.Label {
	seen := *view.URL
	urls := []*url.URL{&seen}
	if asked, err := url.ParseRequestURI(view.RequestURI); err == nil && asked.EscapedPath() != seen.EscapedPath() {
		asked.RawQuery = seen.RawQuery
		urls = append(urls, asked)
	}
	for _, u := range urls {
		u.Scheme, u.Host = "", ""
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

// canceled reports whether the context ended, whoever ended it.
func canceled(ctx context.Context) bool { return ctx.Err() != nil }
