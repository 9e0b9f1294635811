package middleware

import (
	"net/http"
	"slices"
	"strings"
)

// bypass says why the request is not for a cache, or "".
func (rt *Route) bypass(r *http.Request) Reason {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return MethodReason
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return BodyReason
	case r.Header["Upgrade"] != nil && upgrades(r.Header["Connection"]):
		return UpgradeReason
	case !rt.Scheme.Private && !rt.HideAuth && !rt.Standard && r.Header["Authorization"] != nil:
		return AuthReason
	}
	if overridden(r.Header) {
		return OverrideReason
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
