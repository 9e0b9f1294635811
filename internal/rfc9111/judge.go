package rfc9111

import (
	"net/http"
	"slices"
	"time"
)

// An Answer is a response, as a cache judges it: only these fields are read.
type Answer struct {
	Status     int
	Header     http.Header
	Private    bool          // the cache is one user's
	Authorized bool          // the request carried Authorization
	Received   time.Time     // when the response's head came
	Delay      time.Duration // from the request to Received
	Default    time.Duration // freshness of a response that gives none; 0: the heuristic of §4.2.2
}

// Refusal is why a cache must not store a response.
type Refusal uint8

const (
	Storable      Refusal = iota
	NoStore               // §5.2.2.5, and §5.2.2.3 for a status that is not understood
	Private               // §5.2.2.7, in a shared cache
	Malformed             // its Cache-Control cannot be parsed
	Authorization         // §3.5
	Status                // nothing permits storing a response of this status
	Partial               // a 206 without a usable Content-Range; a 304, a 416
	Varying               // §4.1: no later request can match
)

// A Verdict is what a cache may do with a response.
type Verdict struct {
	Refusal    Refusal
	Control    Control       // the one that applies: targeted, or Cache-Control
	Fresh      time.Duration // the freshness lifetime (§4.2.1); 0: validate before each use
	Guessed    bool          // the response gives none: Fresh is the cache's own, the default or the heuristic (§4.2.2)
	Age        time.Duration // the corrected initial age (§4.2.3)
	NeverStale bool          // it must not be served past its freshness (§4.2.4)
	Omit       []string      // fields that must not be stored (§3.1)
	Vary       []string      // request fields that select it, canonical and sorted (§4.1)
}

// Judge says what a cache may do with the response: one pass over RFC 9111 §3 and §4.2.
func Judge(a Answer) Verdict {
	var v Verdict
	var explicit bool
	v.Control = Effective(a.Header, a.Private)
	v.Age = a.Age()
	v.Fresh, explicit = a.Lifetime(v.Control)
	if !explicit && heuristic(a.Status, v.Control) {
		v.Fresh = a.guess()
	}
	if v.Control.NoCache || v.Control.BadTime {
		v.Fresh = 0
	}
	v.Guessed = !explicit && v.Fresh > 0
	v.NeverStale = v.Control.NeverStale(a.Private)
	v.Omit = append(Connection(a.Header["Connection"]), v.Control.NoCacheFields...)
	if !a.Private {
		v.Omit = append(v.Omit, v.Control.PrivateFields...)
	}
	var ok bool
	v.Vary, ok = VaryNames(a.Header["Vary"])
	v.Refusal = a.refusal(v.Control)
	if v.Refusal == Storable && !ok {
		v.Refusal = Varying
	}
	return v
}

// Effective returns the directives that apply to a response in a cache: those of CDN-Cache-Control if a shared cache finds
// a valid one (RFC 9213 §2.1), else those of Cache-Control.
func Effective(h http.Header, private bool) Control {
	if lines := h["Cdn-Cache-Control"]; len(lines) > 0 && !private {
		if directives, ok := ParseTargeted(lines); ok {
			return targeted(directives)
		}
	}
	return ParseControl(h["Cache-Control"])
}

func targeted(directives []Directive) Control {
	c := ParseControl(nil)
	for _, d := range directives {
		c.add(d)
	}
	c.Targeted = true
	return c
}

// NeverStale reports whether the directives forbid serving the response stale (§4.2.4, §5.2.2.10).
func (c Control) NeverStale(private bool) bool {
	return c.MustRevalidate || c.NoCache || !private && (c.ProxyRevalidate || c.SMaxAge >= 0)
}

// ForAuthorized reports whether a shared cache may reuse a response to a request with Authorization (§3.5).
func (c Control) ForAuthorized() bool { return c.Public || c.MustRevalidate || c.SMaxAge >= 0 }

// refusal is §3, clause by clause.
func (a Answer) refusal(c Control) Refusal {
	switch {
	case c.Malformed:
		return Malformed
	case a.Status == http.StatusNotModified, a.Status == http.StatusPartialContent && !a.partKnown():
		return Partial
	case a.Status == http.StatusRequestedRangeNotSatisfiable: // or one bad range would deny everyone the whole response
		return Partial
	case c.MustUnderstand && !understood(a.Status), c.NoStore && !c.MustUnderstand:
		return NoStore
	case c.Private && !a.Private:
		return Private
	case a.Authorized && !a.Private && !c.ForAuthorized():
		return Authorization
	case a.Status < 200, !a.allowed(c): // 1xx are not final
		return Status
	}
	return Storable
}

// allowed reports whether the response has one of the permissions to store it that §3 lists. An invalid time is none.
func (a Answer) allowed(c Control) bool {
	switch {
	case c.MaxAge >= 0, c.SMaxAge >= 0 && !a.Private, c.Private && a.Private, len(a.Header["Expires"]) > 0 && !c.Targeted:
		return true
	}
	return heuristic(a.Status, c)
}

// partKnown reports whether a 206 says which part of how many bytes it is, and that it has just one part (§3.3).
func (a Answer) partKnown() bool {
	part, ok := ParseContentRange(a.Header["Content-Range"])
	return ok && part.Complete >= 0
}

// Lifetime is the freshness lifetime that the response gives under the directives (§4.2.1), and whether it gives one.
func (a Answer) Lifetime(c Control) (time.Duration, bool) {
	switch {
	case c.BadTime:
		return 0, true
	case c.SMaxAge >= 0 && !a.Private:
		return c.SMaxAge, true
	case c.MaxAge >= 0:
		return c.MaxAge, true
	case c.Targeted: // it replaces Expires too (RFC 9213 §2.1)
		return 0, false
	}
	lines, ok := a.Header["Expires"]
	if !ok || len(lines) == 0 {
		return 0, false
	}
	expires, ok := ParseDate(lines[0], a.Received)
	if !ok || len(lines) > 1 && slices.ContainsFunc(lines, func(l string) bool { return l != lines[0] }) {
		return 0, true // invalid dates, 0 above all, are in the past (§5.3)
	}
	return max(0, expires.Sub(a.date())), true
}

// date is when the response was made: its Date, or when it came (RFC 9110 §6.6.1).
func (a Answer) date() time.Time {
	if lines := a.Header["Date"]; len(lines) > 0 {
		if t, ok := ParseDate(lines[0], a.Received); ok {
			return t
		}
	}
	return a.Received
}

// mostGuessed bounds the heuristic: a page that has not changed for years may well change today.
const mostGuessed = 24 * time.Hour

// guess is the freshness of a response that gives none: the cache's default, or a tenth of the time since the last change
// (§4.2.2).
func (a Answer) guess() time.Duration {
	if a.Default > 0 {
		return a.Default
	}
	lines := a.Header["Last-Modified"]
	if len(lines) == 0 {
		return 0
	}
	modified, ok := ParseDate(lines[0], a.Received)
	if !ok {
		return 0
	}
	return min(mostGuessed, max(0, a.date().Sub(modified)/10))
}

// Age is the corrected initial age (§4.2.3).
func (a Answer) Age() time.Duration {
	value, _ := ParseAge(a.Header["Age"])
	return max(a.Received.Sub(a.date()), value+a.Delay, 0)
}

// heuristic reports whether a response of this status may get a lifetime that it does not give itself (RFC 9110 §15.1, RFC
// 9111 §4.2.2).
func heuristic(status int, c Control) bool {
	switch status {
	case 200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return c.Public
}

// understood reports whether the cache knows what the status means for caching (§5.2.2.3): the statuses of RFC 9110 whose
// requirements it meets.
func understood(status int) bool {
	switch {
	case status >= 200 && status <= 206, status >= 300 && status <= 303, status == 307, status == 308:
		return true
	}
	return status >= 400 && status <= 417 || status == 421 || status == 422 || status == 426 || status >= 500 && status <= 505
}
