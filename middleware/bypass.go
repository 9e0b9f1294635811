package middleware

import (
	"net/http"
	"slices"
	"strings"

	"github.com/larder-go/cache/middleware/rfc9111"
)

// bypass says why the request is not for a cache, or "".
func (rt *Route) bypass(r *http.Request) Reason {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return MethodReason
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return BodyReason
	case !rt.Scheme.Private && !rt.HideAuth && !rt.Standard && r.Header["Authorization"] != nil:
		return AuthReason
	}
	if overridden(r.Header) {
		return OverrideReason
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
	if h["Upgrade"] != nil && upgrades(options) {
		return UpgradeReason
	}
	for _, name := range rfc9111.Connection(options) {
		if h[name] != nil && !rfc9111.Hop(name) && rt.Scheme.Sees(name) {
			return ConnectionReason
		}
	}
	return ""
}

// overridden reports whether a field may turn the request's method into another behind a cache's back.
func overridden(h http.Header) bool {
	return h["X-Http-Method-Override"] != nil || h["X-Http-Method"] != nil || h["X-Method-Override"] != nil
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
