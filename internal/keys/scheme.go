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
	"unicode/utf8"

	"github.com/larder-go/cache/keying"
)

// Limits of what a key is made of. A request that exceeds one has no key: it goes to its handler, and its response is not stored.
const (
	MaxInput  = 16 << 10 // bytes that are hashed
	MaxParams = 128      // query parameters
	MaxBy     = 1 << 10  // bytes of what a selecting function returns
)

// ErrTooLarge is the error of a request that exceeds [MaxInput], [MaxParams] or [MaxBy].
var ErrTooLarge = errors.New("keying: the request exceeds the limits of a key")

// errTarget is the error of a request target without a path, as in "GET mailto:x HTTP/1.1".
var errTarget = errors.New("keying: the request's target is no path")

// A Scheme says what selects a response. Set its fields, call [Scheme.Compile], and change nothing after that. Then it is safe for
// concurrent use.
//
// The handler of a Private scheme sees the whole request, because its response is for one user only. That of an Open scheme sees it, too:
// its Vary says what its response depends on. All other schemes are shared, and hide what does not select.
type Scheme struct {
	Realm      string       // responses of different realms never mix; the class of the policy
	Headers    []string     // canonical names of the headers that select
	Cookies    []string     // names of the cookies that select
	Query      keying.Query // which parameters select; by default the raw query does
	Pass       []string     // canonical names of headers that are visible although they do not select
	TrustProxy bool         // X-Forwarded-Proto and X-Forwarded-Host select, too
	Private    bool
	Open       bool
	By         string // the name of a function whose text selects, too; "" if there is none
	Secret     []byte // if it is not empty, keys are HMACs

	sorted bool // the query has rules
	macs   *sync.Pool
	prefix []byte // what all texts begin with; see constant
}

// Compile prepares the scheme for use, and returns it.
func (s *Scheme) Compile() *Scheme {
	if s.TrustProxy {
		s.Headers = append(s.Headers[:len(s.Headers):len(s.Headers)], "X-Forwarded-Proto", "X-Forwarded-Host")
	}
	s.sorted = !s.Query.Raw()
	s.macs = newMACs(s.Secret)
	s.prefix = s.constant()
	return s
}

// Key returns the key of a GET or HEAD request; both methods have the same one. The request has matched the route pattern. user is the
// user that the response is for, "" if it is for everybody, and by is what the function of By returned.
//
// Fields are hashed as they are. Nothing is normalized that an application could tell apart. An error means that the request has no key:
// do not cache the response. The request is not changed.
func (s *Scheme) Key(r *http.Request, pattern, user, by string) (keying.Key, error) {
	t, err := s.Text(r, pattern, user, by)
	if err != nil {
		return keying.Key{}, err
	}
	defer t.Free()
	return t.Key()
}

// Selects returns what identifies the scheme: requests of two schemes can only have the same key if this is the same.
func (s *Scheme) Selects() string { return string(s.prefix) }

// values adds a list of fields and how many there are.
func (d *digester) values(values []string) {
	d.count(len(values))
	for _, v := range values {
		d.text(v)
	}
}

// cookies adds the selecting cookies, in the order of the scheme. A cookie that was sent twice counts twice, in the order sent: nobody
// knows which of the two the handler reads.
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

// eachCookie calls f with the name of every cookie of the lines, and with its text as it was sent, "name=value".
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

// Protocol returns "https" if the connection has TLS, and otherwise "http".
func Protocol(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// A Normal turns the lines of a request header into a text. Lines of the same meaning may get the same text (RFC 9111 §4.1). present is
// false if the request does not have the header.
type Normal func(name string, lines []string) (text string, present bool)

// Select returns the key of a variant of a resource: the one that the request selects by the headers that its Vary names, in canonical form
// (RFC 9111 §4.1). The request is not changed.
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

// tracing reports whether the header is for tracing. Every handler may see it. It does not select, since each request has a different
// one, so a response must not depend on it.
func tracing(name string) bool {
	switch name {
	case "Traceparent", "Tracestate", "Baggage", "B3", "X-B3-Traceid", "X-B3-Spanid", "X-B3-Parentspanid", "X-B3-Sampled",
		"X-B3-Flags", "X-Cloud-Trace-Context", "X-Amzn-Trace-Id", "Uber-Trace-Id", "Sentry-Trace", "X-Datadog-Trace-Id",
		"X-Datadog-Parent-Id", "X-Datadog-Sampling-Priority":
		return true
	}
	return false
}

// answeredHere are the conditions and ranges, which the cache handles itself (RFC 9110 §13, §14). The handler must make a whole response,
// for everybody.
var answeredHere = []string{
	"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range",
}

// offers are the fields of an offer to upgrade the connection (RFC 9110 §7.8). The cache does not upgrade, so the handler must not
// either.
var offers = []string{"Upgrade", "Http2-Settings"}

// elsewhere are fields in which a proxy passes on the URL that the client requested. Frameworks read them, and put their host into links.
// Any client can send them: if no proxy is trusted, one client could poison the response that everybody gets.
var elsewhere = []string{
	"X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Forwarded-Protocol", "X-Forwarded-Scheme", "X-Forwarded-Ssl",
	"X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Prefix", "X-Forwarded-Path", "X-Forwarded-Uri", "X-Url-Scheme", "X-Scheme",
	"X-Host", "X-Original-Host", "X-Original-Url", "X-Original-Uri", "X-Rewrite-Url", "X-Http-Host-Override", "Front-End-Https",
}

// View returns the request as the handler may see it if its response is stored under the scheme's key. It is a copy; r is not changed.
//
// With a shared scheme the handler sees the headers, cookies and parameters that select, the headers of Pass and those for tracing. It
// sees nothing else of the client: no address, no certificate, no protocol version, no parsed form. With a Private or Open scheme it sees
// the headers, except conditions, ranges, Connection and offers to upgrade. It never sees a body or a trailer, because they do not
// select. The context, the path values and the pattern are those of r.
func (s *Scheme) View(r *http.Request) *http.Request {
	both := &struct { // one allocation for both
		request http.Request
		url     url.URL
	}{*r, *r.URL}
	v, u := &both.request, &both.url
	v.URL = u
	v.Form, v.PostForm, v.MultipartForm, v.Response = nil, nil, nil, nil
	v.Body, v.ContentLength, v.TransferEncoding, v.Trailer = http.NoBody, 0, nil, nil // only of the copy: the server still closes its own body
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
		delete(v.Header, "Connection") // a proxy inside would remove the fields that it names, even those that the cache adds
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

// requestURI is the path of the request line with the query of u. If that is the request's own, no new string is built.
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

// header copies the headers that are visible with a shared scheme.
func (s *Scheme) header(from http.Header) http.Header {
	to := http.Header{}
	for name, values := range from {
		if len(values) > 0 && s.visible(name) { // to the key, a header without lines is absent
			to[name] = slices.Clone(values)
		}
	}
	if len(s.Cookies) == 0 {
		return to
	}
	var texts []string
	for _, name := range s.Cookies { // in the order of the key: the client's order does not select, so it must not be visible
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

// Sees reports whether a handler sees the request header of this canonical name, or a part of it.
func (s *Scheme) Sees(name string) bool {
	return s.Private || s.Open || s.visible(name) || name == "Cookie" && len(s.Cookies) > 0
}

// Hides reports whether View hides the request header of this canonical name from a handler whose response could depend on it.
func (s *Scheme) Hides(name string) bool {
	if s.Private || s.Open {
		return !s.Private && !s.TrustProxy && slices.Contains(elsewhere, name) && !s.Keyed(name)
	}
	return !s.Sees(name)
}

// visible reports whether a handler sees the header with a shared scheme. Cookie has rules of its own.
func (s *Scheme) visible(name string) bool {
	return slices.Contains(s.Headers, name) || tracing(name) || slices.Contains(s.Pass, name)
}

// Unselected reports whether the lines of a Cookie field have a cookie that does not select.
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

// Keyed reports whether the request header of this canonical name selects.
func (s *Scheme) Keyed(name string) bool { return slices.Contains(s.Headers, name) }

// Varies reports whether one URL may have several responses: headers, cookies or a function select.
func (s *Scheme) Varies() bool { return len(s.Headers)+len(s.Cookies) > 0 || s.By != "" }

// NoVarySearch returns the value of a No-Vary-Search header (draft-ietf-httpbis-no-vary-search), which tells other caches the rules of a
// Query. It returns "" if there are no rules.
//
// Other caches may distinguish more URLs than this one: the header cannot express names that end in "*", so they are left out. In one
// respect they distinguish fewer: they compare decoded parameters, while a key has them as they were written. So do not send the header
// if a handler reads the raw query.
//
// Drafts differ in whether except comes with params or alone. It is sent with params, because browsers ignore it alone. A cache that only
// understands it alone ignores this header, which does no harm.
func NoVarySearch(q keying.Query) string {
	const order = "key-order"
	names, complete := expressible(q)
	all, only := q.Names()
	switch {
	case q.Raw():
		return ""
	case only && len(all) == 0:
		return "params" // no parameter counts, so there is no order to speak of
	case only && complete:
		return order + ", params, except=" + innerList(names)
	case !only && len(names) > 0:
		return order + ", params=" + innerList(names)
	}
	return order
}

// expressible returns the names that No-Vary-Search can express, sorted, and whether those are all of them. It cannot express a name that
// is not UTF-8, or that contains U+FFFD: after decoding, both are the same.
func expressible(q keying.Query) (names []string, complete bool) {
	all, _ := q.Names()
	for _, name := range all {
		if !strings.HasSuffix(name, "*") && utf8.ValidString(name) && !strings.ContainsRune(name, utf8.RuneError) {
			names = append(names, name)
		}
	}
	complete = len(names) == len(all)
	slices.Sort(names)
	return slices.Compact(names), complete
}

// innerList returns the names as an inner list of Strings (RFC 9651 §3.1.1). They are escaped as in a URL, which a cache decodes, so they
// have no characters that a String would have to escape.
func innerList(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = `"` + url.QueryEscape(name) + `"`
	}
	return "(" + strings.Join(quoted, " ") + ")"
}

// effective returns the query that selects the response and that the handler sees: raw itself, or what the rules leave of it, in a fixed
// order.
func effective(q keying.Query, raw string) (string, error) {
	if err := checkQuery(raw); err != nil || raw == "" || q.Raw() {
		return raw, err
	}
	return canonical(raw, q.Selects), nil
}

// canonical returns what appendCanonical makes of the query.
func canonical(raw string, keeps func(name string) bool) string {
	if isCanonical(raw, keeps) { // most queries are
		return raw
	}
	return string(appendCanonical(nil, raw, keeps))
}
