package keys

import (
	"crypto/tls"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

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
	if !s.Query.Raw() {
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
