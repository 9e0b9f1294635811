package middleware

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware/rfc9111"
	"github.com/larder-go/cache/store"
)

// maxVary is how many request headers an answer may vary by.
const maxVary = 8

// storable judges the head of an answer: why it must not be kept, or "". Cache-Control counts whoever set it, and so does
// a nonce, which has gone into the body. The rest is about what the handler itself did, since outer middleware does its part
// again on every hit.
func (rt *Route) storable(rec *recorder, h http.Header) Reason {
	status, c, private := rec.status, rec.control, rt.Scheme.Private
	c.NoCache = c.NoCache || len(c.NoCacheFields) > 0
	c.Private = c.Private || len(c.PrivateFields) > 0
	switch {
	case status == http.StatusPartialContent || status == http.StatusNotModified:
		return PartialReason
	case status != http.StatusOK && rt.StatusTTL[status] <= 0:
		return StatusReason
	case c.Malformed || c.BadTime:
		return ControlReason
	case c.NoStore || c.NoCache:
		return NoStoreReason
	case c.Private && !private:
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

// changed reports whether the handler has set the field, or added to it.
func (rec *recorder) changed(h http.Header, name string) bool {
	for spelled, values := range h {
		if http.CanonicalHeaderKey(spelled) == name && !slices.Equal(rec.outer[spelled], values) {
			return true
		}
	}
	return false
}

// reflected reports whether the answer allows the very origin that asked, and does not say that it varies by it.
func reflected(r *http.Request, h http.Header, vary []string) bool {
	origin, allowed := first(r.Header["Origin"]), first(h["Access-Control-Allow-Origin"])
	return origin != "" && origin == allowed && !slices.Contains(vary, "Origin")
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
	switch {
	case !rec.wrote:
		return EmptyReason
	case rec.declared >= 0 && rec.declared != rec.written:
		return LengthReason
	}
	for name := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return TrailerReason
		}
	}
	e := rec.run.Entry
	e.Status, e.Header, e.Added, e.Body = rec.status, rec.header, rec.added, compact(rec.body)
	if e.Status == http.StatusPartialContent {
		rec.extend()
	}
	rec.describe(e)
	return rt.settle(l, said)
}

// describe adds the fields that tell of the body: its length, and a validator where nobody has set one (RFC 9110 §8.8.3).
func (rec *recorder) describe(e *store.Entry) {
	if bodyAllowed(e.Status) {
		e.Header = append(e.Header, store.Field{Name: "Content-Length", Values: []string{strconv.Itoa(len(e.Body))}})
	}
	if !rec.rt.Standard && e.Status == http.StatusOK && rec.outer["Etag"] == nil && fieldOf(e, "Etag") == nil {
		e.Header = append(e.Header, store.Field{Name: "Etag", Values: []string{entityTag(e.Body)}})
	}
}

// entityTag is a strong validator for the bytes.
func entityTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// settle gives an entry whose fields and body are there its life, key and labels, or says why it must not be kept.
func (rt *Route) settle(l *leading, said *Steering) Reason {
	e := l.rec.run.Entry
	tags, ttl, noStore := said.Said()
	rt.times(e, l.rec, ttl)
	rt.place(l, l.rec.verdict.Vary)
	if noStore {
		return HandlerReason
	}
	if reason := rt.labels(l, e, tags); reason != "" {
		return reason
	}
	if e.Validate() != nil {
		return HeaderReason
	}
	varies := rt.Scheme.Varies() || rt.Standard && e.Key != l.p.resource
	now, counts := time.Now(), e.Fresh
	if rt.Standard {
		counts = max(e.Left(now), counted)
	}
	if varies && !rt.Common.variants.admit(rt.resource(l), e.Key, now, counts) {
		return VariantsReason
	}
	if e.Keep(now) <= 0 {
		return AgeReason
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

// Spread shortens a lifetime by up to a tenth, by the key, so that answers made together do not expire together.
func Spread(ttl time.Duration, key keying.Key) time.Duration {
	return ttl - ttl/10*time.Duration(key[0])/256
}

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
	if len(texts) > 0 {
		e.Labels = distinct(e.Labels)
	}
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

// canceled reports whether the context ended, whoever ended it.
func canceled(ctx context.Context) bool { return ctx.Err() != nil }
