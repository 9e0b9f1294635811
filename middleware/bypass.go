package middleware

import (
	"net/http"
	"slices"
	"strings"

	"github.com/larder-go/cache/internal/rfc9111"
)

// bypass says why the request is not for a cache, or "".
func (rt *Route) bypass(r *http.Request) Reason {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return ReasonMethod
	case r.ContentLength != 0 && hasBody(r) || len(r.TransferEncoding) > 0:
		return ReasonBody
	case rt.Skip != nil && rt.Skip(r):
		return ReasonSkip
	case !rt.Scheme.Private && !rt.HideAuth && !rt.Standard && r.Header["Authorization"] != nil:
		return ReasonAuth
	}
	if overridden(r.Header) {
		return ReasonOverride
	}
	if options := r.Header["Connection"]; options != nil {
		return rt.connected(r.Header, options)
	}
	return ""
}

// connected says why a request with these connection options is not for a cache, or "". Fields that the options name are
// for this hop alone (RFC 9110 §7.6.1): a proxy behind the cache takes them away, while a layer in front of it may have
// read them. Neither with them nor without would a key say what the handler's answer is for. Fields that are connection
// fields in any case are taken away in any case, and those that the handler does not get to see do nothing.
func (rt *Route) connected(h http.Header, options []string) Reason {
	if h["Upgrade"] != nil && upgrades(options) && mayTake(h["Upgrade"]) {
		return ReasonUpgrade
	}
	for _, name := range rfc9111.Connection(options) {
		if h[name] != nil && !rfc9111.Hop(name) && rt.Scheme.Sees(name) {
			return ReasonConnection
		}
	}
	return ""
}

// overridden reports whether a field may turn the request's method into another behind a cache's back.
func overridden(h http.Header) bool {
	return h["X-Http-Method-Override"] != nil || h["X-Http-Method"] != nil || h["X-Method-Override"] != nil
}

// hasBody reports whether a request whose length is not 0 says that it has a body. HTTP/3 servers, and HTTP/2 where the
// stream is not ended with the header, leave the length of a GET unknown, which mostly has none. To wait and see would give
// the client the time of those who wait; so it counts as none, and the handler sees none (RFC 9110 §9.3.1).
func hasBody(r *http.Request) bool {
	return r.ContentLength > 0 || r.Header["Content-Length"] != nil || r.Header["Transfer-Encoding"] != nil ||
		r.Header["Expect"] != nil || r.Trailer != nil
}

// mayTake reports whether an upgrade is offered that a handler could take. Other versions of HTTP, and TLS, are the server's
// matter, and one that has passed the request on has not taken them; clients offer them with any request (RFC 9110 §7.8).
func mayTake(upgrade []string) bool {
	return slices.ContainsFunc(upgrade, func(line string) bool {
		for protocol := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(protocol), "/")
			switch strings.ToLower(name) {
			case "", "http", "h2", "h2c", "h3", "tls":
			default:
				return true
			}
		}
		return false
	})
}

func upgrades(connection []string) bool {
	return slices.ContainsFunc(connection, func(line string) bool {
		for option := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(option), "upgrade") {
				return true
			}
		}
		return false
	})
}
