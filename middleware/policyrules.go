package middleware

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// policyRules is the rule book of policy mode. The policy says what selects a response and how long it is fresh. The response's own
// fields can only shorten that, or forbid to store the response: Cache-Control and Expires do either, Set-Cookie forbids, and so does a Vary
// that names what the policy does not select by.
//
// The idea is "visible means keyed": on shared routes the handler sees only what is in the key. So its response cannot depend on anything
// else in the request, and may be served to everyone with the same key. storable refuses what breaks this: cookies, credentials, nonces,
// fields that name one origin.
type policyRules struct {
	rt   *Route
	last atomic.Pointer[controlLine] // the Cache-Control of the last response that had one
}

// answer serves the response that the key selects. A request for less than a whole response is served from the whole one; if that is not
// stored, the handler makes the part, and nothing is stored.
func (p *policyRules) answer(f *fetch) error {
	if f.part = isPart(f.r); f.part {
		f.p.reason = partReason(f.r)
	}
	return f.get(nil)
}

// locate does nothing: what the policy selects by is in the request, so its key is known from the start.
func (p *policyRules) locate(*fetch) {}

// ask adds no conditions. It only restores the range of a client that gets a part: on shared routes the key does not contain it, so it
// was hidden.
func (p *policyRules) ask(f *fetch, _ *store.Entry, h http.Header) {
	if f.rec.purpose == toShare && f.r.Method == http.MethodGet {
		copyFields(h, f.r.Header, "Range", "If-Range")
	}
}

// otherVariants looks in the table of variants, which knows what this process has stored lately.
func (p *policyRules) otherVariants(f *fetch) bool {
	return p.rt.scheme.Varies() && p.rt.common.variants.any(f.resource(), f.p.key, time.Now())
}

// storable judges the head of a response: why it must not be stored, or "".
//
// Cache-Control counts no matter who set it, and so does a nonce, because the body has it too. The rest is about what the handler itself
// has set: outer middleware adds its fields again on every hit.
func (p *policyRules) storable(rec *recorder, h http.Header) Reason {
	rec.control, rec.lifetime, rec.age = p.freshness(h, rec.asking)
	status, c := rec.status, rec.control
	ranged := status == http.StatusPartialContent && rec.purpose == toShare && rec.r.Method == http.MethodGet
	switch {
	case status == http.StatusPartialContent && !ranged, status == http.StatusNotModified:
		return ReasonPartial
	case status != http.StatusOK && !ranged && p.rt.statusTTL[status] <= 0:
		return ReasonStatus
	case c.Malformed || c.BadTime:
		return ReasonControl
	case c.NoStore || c.NoCache || len(c.NoCacheFields) > 0:
		return ReasonNoStore
	case (c.Private || len(c.PrivateFields) > 0) && !p.rt.scheme.Private:
		return ReasonPrivate
	case rec.lifetime >= 0 && rec.lifetime <= rec.age:
		return ReasonAge
	}
	if nonce(h["Content-Security-Policy"]) || nonce(h["Content-Security-Policy-Report-Only"]) {
		return ReasonNonce
	}
	for name, values := range h {
		before, ok := rec.outer[name]
		if ok && slices.Equal(before, values) || ranged && name == "Content-Range" {
			continue
		}
		if reason := p.storableField(rec.canonical(name), values, before); reason != "" {
			return reason
		}
	}
	return ""
}

// storableField judges one field that the handler set or added to. A cookie is for one client, whatever else the response says.
func (p *policyRules) storableField(name string, values, before []string) Reason {
	switch name {
	case "Set-Cookie", "Set-Cookie2":
		return ReasonCookie
	case "Www-Authenticate", "Proxy-Authenticate", "Authentication-Info", "Clear-Site-Data":
		return ReasonPersonal
	case "Content-Range":
		return ReasonPartial
	case "Trailer":
		return ReasonTrailer
	case "Access-Control-Allow-Origin":
		if !slices.Equal(values, []string{"*"}) && !p.rt.scheme.Keyed("Origin") {
			return ReasonOrigin
		}
	case "Content-Encoding":
		if !p.rt.scheme.Keyed("Accept-Encoding") && !identity(values) {
			return ReasonEncoding
		}
	case "Vary":
		if len(values) > len(before) && slices.Equal(before, values[:len(before)]) {
			values = values[len(before):]
		}
		return p.storableVary(values)
	}
	if strings.HasPrefix(name, http.TrailerPrefix) {
		return ReasonTrailer
	}
	return ""
}

// storableVary judges the fields that the handler's Vary names (RFC 9111 §4.1). On a shared route a field that is not in the key was
// hidden from the handler, so the response is right for everyone. But a handler that names such a field expected to see it, and whoever
// wrote the policy should know.
func (p *policyRules) storableVary(lines []string) Reason {
	n := 0
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if n++; n > rfc9111.MaxVary || name == "*" {
				return ReasonVary
			}
			if name != "" && !p.rt.scheme.Keyed(name) && !p.rt.mayVary(name) {
				return ReasonVary
			}
		}
	}
	return ""
}

// mayVary reports whether a response may vary by the field although the policy does not name it.
func (s *settings) mayVary(name string) bool {
	switch name {
	case "Accept-Encoding": // everyone can read what is not encoded; what is encoded has a Content-Encoding
		return !s.scheme.Private
	case "Cookie", "Authorization": // on per-user routes they are where the identity comes from
		return s.scheme.Private || name == "Cookie" && len(s.scheme.Cookies) > 0
	}
	return false
}

// identity reports whether the codings leave the body as it is.
func identity(codings []string) bool {
	return !slices.ContainsFunc(codings, func(c string) bool { return c != "" && !strings.EqualFold(c, "identity") })
}

// nonce reports whether a Content-Security-Policy has a nonce: it is in the body too, and good for one response only.
func nonce(policies []string) bool {
	return slices.ContainsFunc(policies, func(p string) bool { return strings.Contains(strings.ToLower(p), "'nonce-") })
}

// freshness returns the response's directives, the lifetime that its fields allow, -1 if they give none, and its age when it came: it may
// have been stored in another cache (RFC 9111 §4.2.3).
func (p *policyRules) freshness(h http.Header, began time.Time) (c *rfc9111.Control, life, age time.Duration) {
	c = p.control(h)
	dated := h["Age"] != nil || h["Date"] != nil
	if !dated && h["Expires"] == nil && c == &noControl {
		return c, -1, 0
	}
	a := rfc9111.Answer{Header: h, Private: p.rt.scheme.Private}
	if dated || h["Expires"] != nil {
		if a.Received = time.Now(); dated {
			a.Delay = a.Received.Sub(began)
			age = min(a.Age(), year).Truncate(time.Second)
		}
	}
	if d, said := a.Lifetime(*c); said {
		return c, d, age
	}
	return c, -1, age
}

// controlLine is a Cache-Control of one line, parsed.
type controlLine struct {
	line    string
	control rfc9111.Control
}

// control returns the directives of the header. Do not change them: a route's responses often have the same line, which is parsed once.
func (p *policyRules) control(h http.Header) *rfc9111.Control {
	lines := h["Cache-Control"]
	switch {
	case len(lines) == 0 && h["Cdn-Cache-Control"] == nil:
		return &noControl
	case len(lines) != 1 || h["Cdn-Cache-Control"] != nil:
		c := rfc9111.Effective(h, p.rt.scheme.Private)
		return &c
	}
	last := p.last.Load()
	if last == nil || last.line != lines[0] {
		last = &controlLine{lines[0], rfc9111.ParseControl(lines)}
		p.last.Store(last)
	}
	return &last.control
}

var noControl = rfc9111.ParseControl(nil)

// fields captures what the handler set, without the fields that are made anew for each response.
func (p *policyRules) fields(rec *recorder, h http.Header) {
	omit := rfc9111.Connection(h["Connection"])
	rec.capture(h, func(name string) bool { return perResponse(name) || slices.Contains(omit, name) })
}

// perResponse reports whether the field is made anew for each response, by the handler or by the layers around it (RFC 9111 §3.1).
func perResponse(name string) bool {
	switch name {
	case "Content-Length", "Date", "Age", "Server-Timing", "X-Request-Id", "X-Correlation-Id", "X-Trace-Id",
		"Traceparent", "Tracestate", "Retry-After":
		return true
	}
	return rfc9111.Hop(name) || strings.HasPrefix(name, "X-Ratelimit-") || strings.HasPrefix(name, "Ratelimit")
}

// invalidates returns nothing: in policy mode the app purges.
func (p *policyRules) invalidates(*recorder, http.Header) []keying.Label { return nil }

// settle sets how long the entry lives: as the policy says, or less if the response or the handler says so.
//
// The response's lifetime counts from when it was made, as an entry's does. The policy and the handler say how long it is stored here,
// whatever its age was when it came.
func (p *policyRules) settle(f *fetch, said time.Duration, now time.Time) (variant bool) {
	rt, rec, e := p.rt, f.rec, f.rec.run.Entry
	ttl := rt.ttl
	if rec.status != http.StatusOK {
		ttl = rt.statusTTL[rec.status]
	}
	ttl = readthrough.Spread(ttl, e.Key)
	if said > 0 {
		ttl = min(ttl, said)
	}
	e.Stored, e.Aged, e.Fresh = now.Add(-rec.age), rec.age, rec.age+ttl
	if rec.lifetime >= 0 {
		e.Fresh = min(e.Fresh, rec.lifetime)
	}
	if rec.control == &noControl || !rec.control.NeverStale(rt.scheme.Private) {
		e.WhileRevalidate, e.IfError = rt.whileRevalidate, rt.ifError
	}
	return rt.scheme.Varies()
}

const year = 365 * 24 * time.Hour // no response is fresh for longer

// part shares the response with requests that wait for the same part. It is never stored.
func (p *policyRules) part(f *fetch) readthrough.Verdict { return f.shareOnly(f.p.key, false) }

// outdates does nothing: what is stored was good when it was stored, and stays so for its TTL.
func (p *policyRules) outdates(*fetch) bool { return false }

// A response to HEAD, or to a range, is not the whole response that a key stands for. If the store has nothing to make it from, the
// handler makes it: once for all concurrent requests that want exactly the same, under a separate key. Nothing is ever stored under that
// key, but only what could be stored is shared.

// isPart reports whether the request is for less than a whole response.
func isPart(r *http.Request) bool { return r.Method == http.MethodHead || r.Header["Range"] != nil }
