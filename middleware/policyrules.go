package middleware

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/store"
)

// storable judges the head of an answer: why it must not be kept, or "". Cache-Control counts whoever set it, and so does
// a nonce, which has gone into the body. The rest is about what the handler itself did, since outer middleware does its part
// again on every hit.
func (rt *Route) storable(rec *recorder, h http.Header) Reason {
	status, c, private := rec.status, *rec.control, rt.Scheme.Private
	c.NoCache = c.NoCache || len(c.NoCacheFields) > 0
	c.Private = c.Private || len(c.PrivateFields) > 0
	ranged := status == http.StatusPartialContent && rec.part && rec.r.Method == http.MethodGet
	switch {
	case status == http.StatusPartialContent && !ranged, status == http.StatusNotModified:
		return ReasonPartial
	case status != http.StatusOK && !ranged && rt.StatusTTL[status] <= 0:
		return ReasonStatus
	case c.Malformed || c.BadTime:
		return ReasonControl
	case c.NoStore || c.NoCache:
		return ReasonNoStore
	case c.Private && !private:
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
		if reason := rt.storableField(rec.canonical(name), values, before, h); reason != "" {
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
		return ReasonCookie
	case "Www-Authenticate", "Proxy-Authenticate", "Authentication-Info", "Clear-Site-Data":
		return ReasonPersonal
	case "Content-Range":
		return ReasonPartial
	case "Trailer":
		return ReasonTrailer
	case "Access-Control-Allow-Origin":
		if !slices.Equal(values, []string{"*"}) && !rt.Scheme.Keyed("Origin") {
			return ReasonOrigin
		}
	case "Content-Encoding":
		if !rt.Scheme.Keyed("Accept-Encoding") && !identity(values) {
			return ReasonEncoding
		}
	case "Vary":
		if len(values) > len(before) && slices.Equal(before, values[:len(before)]) {
			values = values[len(before):]
		}
		return rt.storableVary(values, h)
	}
	if strings.HasPrefix(name, http.TrailerPrefix) {
		return ReasonTrailer
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
			if n++; n > rfc9111.MaxVary || name == "*" {
				return ReasonVary
			}
			if name != "" && !rt.Scheme.Keyed(name) && !rt.mayVary(name) {
				return ReasonVary
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

// lifetime is what an answer's directives are, how long they allow to keep it, -1 if they do not say, and how old it was
// already when it came: it may be another cache's (RFC 9111 §4.2.3). Its other fields are the policy's business.
func (rt *Route) lifetime(h http.Header, began time.Time) (c *rfc9111.Control, life, age time.Duration) {
	c = rt.control(h)
	a := rfc9111.Answer{Header: h, Private: rt.Scheme.Private}
	if dated := h["Age"] != nil || h["Date"] != nil; dated || h["Expires"] != nil {
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

// controlLine is a Cache-Control of one line, and what it says.
type controlLine struct {
	line    string
	control rfc9111.Control
}

// control is what the header's directives say. A route's answers often say the same.
func (rt *Route) control(h http.Header) *rfc9111.Control {
	lines := h["Cache-Control"]
	switch {
	case len(lines) == 0 && h["Cdn-Cache-Control"] == nil:
		return &noControl
	case len(lines) != 1 || h["Cdn-Cache-Control"] != nil:
		c := rfc9111.Effective(h, rt.Scheme.Private)
		return &c
	}
	last := rt.said.Load()
	if last == nil || last.line != lines[0] {
		last = &controlLine{lines[0], rfc9111.ParseControl(lines)}
		rt.said.Store(last)
	}
	return &last.control
}

var noControl = rfc9111.ParseControl(nil)

// times sets how long the entry lives: as the policy says, or shorter if the answer or the handler says so. What the answer
// says counts from when it was made, and an entry counts from then, too; the policy and the handler say for how long it is
// kept here.
func (rt *Route) times(e *store.Entry, rec *recorder, said time.Duration, now time.Time) {
	if rt.Standard {
		rt.standardTimes(e, rec, said)
		return
	}
	ttl := rt.TTL
	if rec.status != http.StatusOK {
		ttl = rt.StatusTTL[rec.status]
	}
	ttl = Spread(ttl, e.Key)
	if said > 0 {
		ttl = min(ttl, said)
	}
	e.Stored, e.Aged, e.Fresh = now.Add(-rec.age), rec.age, rec.age+ttl
	if rec.lifetime >= 0 {
		e.Fresh = min(e.Fresh, rec.lifetime)
	}
	if !rec.control.NeverStale(rt.Scheme.Private) {
		e.WhileRevalidate, e.IfError = rt.WhileRevalidate, rt.IfError
	}
}
