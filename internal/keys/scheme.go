package keys

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/larder-go/cache/keying"
)

// Limits on what may enter a key. Beyond them a request has no key and goes to its handler.
const (
	MaxInput  = 16 << 10 // bytes of everything that is hashed
	MaxParams = 128      // query parameters
	MaxBy     = 1 << 10  // bytes of what a function selects by
)

// ErrTooLarge is returned for a request whose key would be made of more than [MaxInput] bytes, [MaxParams] parameters
// or [MaxBy] bytes of a function's text.
var ErrTooLarge = errors.New("keying: the request exceeds the limits of a key")

// errTarget marks a target without a path, as in "GET mailto:x HTTP/1.1"; such a request is never kept.
var errTarget = errors.New("keying: the request's target is no path")

// A Scheme says what selects an answer. It is read-only after the first use and safe for concurrent use; [Scheme.Compile]
// must have been called.
type Scheme struct {
	Realm      string       // what must never mix: the class
	Headers    []string     // canonical names of the headers that select
	Cookies    []string     // names of the cookies that select
	Query      keying.Query // zero: the raw query
	Pass       []string     // canonical names of headers that are visible although they select nothing
	TrustProxy bool         // X-Forwarded-Proto and -Host select, and are visible
	Private    bool         // the answer is for one user, whose handler sees the whole request
	Open       bool         // the handler sees the whole request, and says itself what its answer varies by
	By         string       // what the function is called whose text selects, too; "": there is none
	Secret     []byte       // not empty: keys are HMACs

	sorted bool // the query has rules, and counts in a fixed order; set by Compile
	macs   *sync.Pool
	prefix []byte // of every text: what is the same in all of them
}

// Compile prepares the scheme for use and returns it.
func (s *Scheme) Compile() *Scheme {
	if s.TrustProxy {
		s.Headers = append(s.Headers[:len(s.Headers):len(s.Headers)], "X-Forwarded-Proto", "X-Forwarded-Host")
	}
	s.sorted = !s.Query.Raw()
	s.macs = newMACs(s.Secret)
	s.prefix = s.constant()
	return s
}

// Key returns the key of a GET or HEAD request that matched the route pattern, for the user if one is given, and by what the
// function of By says of it. Both methods have the same key. The fields are hashed as they are, length-prefixed and counted: nothing is folded, cleaned
// or reordered that an app could tell apart. What selects is named too, so that a policy that was changed does not find
// what was kept under the old one. An error means that the request cannot be keyed and must not be cached. The request is
// not changed.
func (s *Scheme) Key(r *http.Request, pattern, user, by string) (keying.Key, error) {
	t, err := s.Text(r, pattern, user, by)
	if err != nil {
		return keying.Key{}, err
	}
	defer t.Free()
	return t.Key()
}

// Selects returns what all keys of the scheme have in common, and keys of schemes with another one never.
func (s *Scheme) Selects() string { return string(s.prefix) }

func (d *digester) values(values []string) {
	d.count(len(values))
	for _, v := range values {
		d.text(v)
	}
}

// cookies adds the selecting cookies. Every occurrence counts, in the order sent.
func (s *Scheme) cookies(d *digester, lines []string) {
	for _, name := range s.Cookies {
		n := 0
		eachCookie(lines, func(got, _ string) {
			if got == name {
				n++
			}
		})
		d.count(n)
		eachCookie(lines, func(got, text string) {
			if got == name {
				d.text(text)
			}
		})
	}
}

// eachCookie calls f with every cookie of the lines and its text as sent, "name=value".
func eachCookie(lines []string, f func(name, text string)) {
	for _, line := range lines {
		for text := range strings.SplitSeq(line, ";") {
			text = textproto.TrimString(text)
			name, _, _ := strings.Cut(text, "=")
			if name = textproto.TrimString(name); name != "" {
				f(name, text)
			}
		}
	}
}

// Protocol returns "https" or "http", as the connection says.
func Protocol(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// A Normal gives a request header's lines the form in which equal selections are equal texts; present is false for a
// header that is not there.
type Normal func(name string, lines []string) (text string, present bool)

// Select returns the key of the variant that the request selects under a resource's key, by the headers of these
// canonical names (RFC 9111 §4.1). The request is not changed.
func (s *Scheme) Select(resource keying.Key, names []string, r *http.Request, normal Normal) keying.Key {
	d := newDigester("variant")
	d.buf = append(d.buf, resource[:]...)
	d.count(len(names))
	for _, name := range names {
		text, present := normal(name, r.Header[name])
		d.text(name)
		d.flag(present)
		d.text(text)
	}
	return d.key(s.macs)
}

// tracing reports whether every handler may see the header: it follows a request and selects nothing.
func tracing(name string) bool {
	switch name {
	case "Traceparent", "Tracestate", "Baggage", "B3", "X-B3-Traceid", "X-B3-Spanid", "X-B3-Parentspanid", "X-B3-Sampled",
		"X-B3-Flags", "X-Cloud-Trace-Context", "X-Amzn-Trace-Id", "Uber-Trace-Id", "Sentry-Trace", "X-Datadog-Trace-Id",
		"X-Datadog-Parent-Id", "X-Datadog-Sampling-Priority":
		return true
	}
	return false
}

// answeredHere are the conditions and ranges that a cache answers itself: a handler must make the whole answer.
var answeredHere = []string{
	"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range",
}

// offers are fields of an upgrade that the server does not take, so that no handler may answer by them (RFC 9110 §7.8).
var offers = []string{"Upgrade", "Http2-Settings"}

// elsewhere are fields by which a proxy tells that the client has asked for another URL than the server is asked for, as
// frameworks read them. Where no proxy is trusted anybody may have sent them, and the answer is for everybody.
var elsewhere = []string{
	"X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Forwarded-Protocol", "X-Forwarded-Scheme", "X-Forwarded-Ssl",
	"X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Prefix", "X-Forwarded-Path", "X-Forwarded-Uri", "X-Url-Scheme", "X-Scheme",
	"X-Host", "X-Original-Host", "X-Original-Url", "X-Original-Uri", "X-Rewrite-Url", "X-Http-Host-Override", "Front-End-Https",
}

// View returns the request as the handler may see it when its answer is kept under the scheme's key. On shared schemes
// that is a copy with the declared headers, cookies and query parameters, tracing headers and Pass, and nothing else
// of the client's: no address, no TLS certificate, no protocol version, no parsed form. On private and open ones the headers
// stay, except conditions, ranges, Connection and offered upgrades. No body or trailer is ever seen: neither selects anything.
// The context, path values and pattern are the request's own; r is not changed.
func (s *Scheme) View(r *http.Request) *http.Request {
	room := &struct { // one allocation for both
		request http.Request
		url     url.URL
	}{*r, *r.URL}
	v, u := &room.request, &room.url
	v.URL = u
	v.Form, v.PostForm, v.MultipartForm, v.Response = nil, nil, nil, nil
	v.Body, v.ContentLength, v.TransferEncoding, v.Trailer = http.NoBody, 0, nil, nil // of the copy: the server ends its own
	if s.sorted {
		if query, err := effective(s.Query, u.RawQuery); err == nil {
			u.RawQuery, u.ForceQuery = query, false
			v.RequestURI = requestURI(r, u)
		}
	}
	if s.Private || s.Open {
		v.Header = r.Header.Clone()
		if !s.Private && !s.TrustProxy {
			for _, name := range elsewhere {
				if !s.Keyed(name) {
					delete(v.Header, name)
				}
			}
		}
		for _, name := range slices.Concat(answeredHere, offers) {
			delete(v.Header, name)
		}
		delete(v.Header, "Connection") // it would have a proxy take away what handlers in between, or the cache, put there
		return v
	}
	*u = url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}
	v.RequestURI = requestURI(r, u)
	v.Header = s.header(r.Header)
	v.RemoteAddr, v.Close = "", false
	v.Proto, v.ProtoMajor, v.ProtoMinor = "HTTP/1.1", 1, 1
	if r.TLS != nil {
		v.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true}
	}
	return v
}

// requestURI is the request line's path with the query of u.
func requestURI(r *http.Request, u *url.URL) string {
	path := targetPath(r)
	if u.RawQuery == "" && !u.ForceQuery {
		return path
	}
	if rest, ok := strings.CutPrefix(r.RequestURI, path); ok && rest != "" && rest[0] == '?' && rest[1:] == u.RawQuery {
		return r.RequestURI
	}
	return path + "?" + u.RawQuery
}

// header copies the visible headers.
func (s *Scheme) header(from http.Header) http.Header {
	to := http.Header{}
	for name, values := range from {
		if len(values) > 0 && s.visible(name) { // the key cannot tell none from absent
			to[name] = slices.Clone(values)
		}
	}
	if len(s.Cookies) == 0 {
		return to
	}
	var texts []string
	for _, name := range s.Cookies { // in the key's order, not the client's
		eachCookie(from["Cookie"], func(got, text string) {
			if got == name {
				texts = append(texts, text)
			}
		})
	}
	if len(texts) > 0 {
		to["Cookie"] = []string{strings.Join(texts, "; ")}
	}
	return to
}

// Sees reports whether a handler gets to see the request header of this canonical name, if only a part of it.
func (s *Scheme) Sees(name string) bool {
	return s.Private || s.Open || s.visible(name) || name == "Cookie" && len(s.Cookies) > 0
}

// Hides reports whether the view takes the request header of this canonical name away from a handler that could answer by it.
func (s *Scheme) Hides(name string) bool {
	if s.Private || s.Open {
		return !s.Private && !s.TrustProxy && slices.Contains(elsewhere, name) && !s.Keyed(name)
	}
	return !s.Sees(name)
}

// visible reports whether a handler may see the header.
func (s *Scheme) visible(name string) bool {
	return slices.Contains(s.Headers, name) || tracing(name) || slices.Contains(s.Pass, name)
}

// Unselected reports whether the lines of a Cookie field have a cookie that does not select the answer.
func (s *Scheme) Unselected(lines []string) bool {
	for _, line := range lines {
		for text := range strings.SplitSeq(line, ";") {
			text = textproto.TrimString(text)
			name, _, _ := strings.Cut(text, "=")
			if text != "" && !slices.Contains(s.Cookies, textproto.TrimString(name)) {
				return true
			}
		}
	}
	return false
}

// Keyed reports whether the request header of this canonical name selects the answer.
func (s *Scheme) Keyed(name string) bool { return slices.Contains(s.Headers, name) }

// Varies reports whether headers, cookies or a function select the answer, so that a URL may have several.
func (s *Scheme) Varies() bool { return len(s.Headers)+len(s.Cookies) > 0 || s.By != "" }
