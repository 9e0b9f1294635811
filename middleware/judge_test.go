package middleware_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/steering"
	"github.com/larder-go/cache/internal/surrogate"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store"
)

// TestStorable has a head for every reason not to store a response, and heads that just do not have that reason.
func TestStorable(t *testing.T) {
	past := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	const (
		kept  = middleware.Reason("")
		shy   = middleware.ReasonPrivate
		vary  = middleware.ReasonVary
		store = middleware.ReasonNoStore
	)
	tests := []struct {
		name            string
		status          int
		outer, h        http.Header // h is what the handler made of outer
		shared, private middleware.Reason
	}{
		{"plain", 200, nil, http.Header{"Content-Type": {"text/html"}}, kept, kept},
		{"bare", 200, nil, nil, kept, kept},
		{"a status of the policy", 404, nil, nil, kept, kept},
		{"another status", 410, nil, nil, middleware.ReasonStatus, middleware.ReasonStatus},
		{"an error", 500, nil, nil, middleware.ReasonStatus, middleware.ReasonStatus},
		{"no content", 204, nil, nil, middleware.ReasonStatus, middleware.ReasonStatus},
		{"a part", 206, nil, nil, middleware.ReasonPartial, middleware.ReasonPartial},
		{"not modified", 304, nil, nil, middleware.ReasonPartial, middleware.ReasonPartial},

		{"no-store", 200, nil, http.Header{"Cache-Control": {"no-store"}}, store, store},
		{"no-cache", 200, nil, http.Header{"Cache-Control": {"max-age=60, no-cache"}}, store, store},
		{"no-cache of a field", 200, nil, http.Header{"Cache-Control": {`no-cache="x"`}}, store, store},
		{"private", 200, nil, http.Header{"Cache-Control": {"private"}}, shy, kept},
		{"private on a second line", 200, nil, http.Header{"Cache-Control": {"max-age=60", "private"}}, shy, kept},
		{"public", 200, nil, http.Header{"Cache-Control": {"public, max-age=60"}}, kept, kept},
		{"outer no-store", 200, http.Header{"Cache-Control": {"no-store"}}, http.Header{"Cache-Control": {"no-store"}}, store, store},
		{"malformed", 200, nil, http.Header{"Cache-Control": {"max-age=x"}}, middleware.ReasonControl, middleware.ReasonControl},
		{"malformed, and no-store", 200, nil, http.Header{"Cache-Control": {"=, no-store"}}, middleware.ReasonControl, middleware.ReasonControl},
		{"max-age=0", 200, nil, http.Header{"Cache-Control": {"max-age=0"}}, middleware.ReasonAge, middleware.ReasonAge},
		{"s-maxage=0", 200, nil, http.Header{"Cache-Control": {"s-maxage=0, max-age=9"}}, middleware.ReasonAge, kept},
		{"expired", 200, nil, http.Header{"Expires": {past}}, middleware.ReasonAge, middleware.ReasonAge},
		{"expired for ever", 200, nil, http.Header{"Expires": {"-1"}}, middleware.ReasonAge, middleware.ReasonAge},

		{"cookie", 200, nil, http.Header{"Set-Cookie": {"a=b"}}, middleware.ReasonCookie, middleware.ReasonCookie},
		{"cookie in another spelling", 200, nil, http.Header{"set-COOKIE": {"a=b"}}, middleware.ReasonCookie, middleware.ReasonCookie},
		{"cookie of old", 200, nil, http.Header{"Set-Cookie2": {"a=b"}}, middleware.ReasonCookie, middleware.ReasonCookie},
		{"outer cookie", 200, http.Header{"Set-Cookie": {"a=b"}}, http.Header{"Set-Cookie": {"a=b"}}, kept, kept},
		{"a cookie more", 200, http.Header{"Set-Cookie": {"a=b"}}, http.Header{"Set-Cookie": {"a=b", "c=d"}}, middleware.ReasonCookie, middleware.ReasonCookie},
		{"login", 200, nil, http.Header{"Www-Authenticate": {"Basic"}}, middleware.ReasonPersonal, middleware.ReasonPersonal},
		{"login of a proxy", 200, nil, http.Header{"Proxy-Authenticate": {"Basic"}}, middleware.ReasonPersonal, middleware.ReasonPersonal},
		{"logged in", 200, nil, http.Header{"Authentication-Info": {"x"}}, middleware.ReasonPersonal, middleware.ReasonPersonal},
		{"logout", 200, nil, http.Header{"Clear-Site-Data": {`"*"`}}, middleware.ReasonPersonal, middleware.ReasonPersonal},
		{"a range", 200, nil, http.Header{"Content-Range": {"bytes 0-1/2"}}, middleware.ReasonPartial, middleware.ReasonPartial},
		{"trailers announced", 200, nil, http.Header{"Trailer": {"X-Sum"}}, middleware.ReasonTrailer, middleware.ReasonTrailer},
		{"a trailer", 200, nil, http.Header{http.TrailerPrefix + "X-Sum": {"1"}}, middleware.ReasonTrailer, middleware.ReasonTrailer},
		{"nonce", 200, nil, http.Header{"Content-Security-Policy": {"default-src 'self'", "script-src 'NONCE-abc'"}}, middleware.ReasonNonce, middleware.ReasonNonce},
		{"nonce, reported", 200, nil, http.Header{"Content-Security-Policy-Report-Only": {"script-src 'nonce-abc'"}}, middleware.ReasonNonce, middleware.ReasonNonce},
		{"no nonce", 200, nil, http.Header{"Content-Security-Policy": {"default-src 'self' nonce-free.example"}}, kept, kept},
		{"outer nonce", 200, http.Header{"Content-Security-Policy": {"'nonce-1'"}}, http.Header{"Content-Security-Policy": {"'nonce-1'"}}, middleware.ReasonNonce, middleware.ReasonNonce},
		{"one origin", 200, nil, http.Header{"Access-Control-Allow-Origin": {"https://a"}}, middleware.ReasonOrigin, middleware.ReasonOrigin},
		{"null origin", 200, nil, http.Header{"Access-Control-Allow-Origin": {"null"}}, middleware.ReasonOrigin, middleware.ReasonOrigin},
		{"all origins", 200, nil, http.Header{"Access-Control-Allow-Origin": {"*"}}, kept, kept},
		{"outer origin", 200, http.Header{"Access-Control-Allow-Origin": {"https://a"}}, http.Header{"Access-Control-Allow-Origin": {"https://a"}}, kept, kept},
		{"gzip", 200, nil, http.Header{"Content-Encoding": {"gzip"}}, middleware.ReasonEncoding, middleware.ReasonEncoding},
		{"identity", 200, nil, http.Header{"Content-Encoding": {"Identity"}}, kept, kept},
		{"identity and gzip", 200, nil, http.Header{"Content-Encoding": {"identity", "gzip"}}, middleware.ReasonEncoding, middleware.ReasonEncoding},

		{"vary by the key", 200, nil, http.Header{"Vary": {"accept-language"}}, kept, kept},
		{"vary by all", 200, nil, http.Header{"Vary": {"*"}}, vary, vary},
		{"vary by all on a second line", 200, nil, http.Header{"Vary": {"Accept-Language", "Accept-Language, *"}}, vary, vary},
		{"vary by more than the key", 200, nil, http.Header{"Vary": {"Accept-Language, User-Agent"}}, vary, vary},
		{"vary by encoding", 200, nil, http.Header{"Vary": {"Accept-Encoding"}}, kept, vary},
		{"vary by cookie", 200, nil, http.Header{"Vary": {"Cookie"}}, vary, kept},
		{"vary by authorization", 200, nil, http.Header{"Vary": {"Authorization"}}, vary, kept},
		{"vary by 8", 200, nil, http.Header{"Vary": {strings.TrimSuffix(strings.Repeat("Accept-Language,", 8), ",")}}, kept, kept},
		{"vary by 9", 200, nil, http.Header{"Vary": {strings.TrimSuffix(strings.Repeat("Accept-Language,", 9), ",")}}, vary, vary},
		{"vary in another spelling", 200, nil, http.Header{"vary": {"User-Agent"}}, vary, vary},
		{"outer vary", 200, http.Header{"Vary": {"Origin"}}, http.Header{"Vary": {"Origin"}}, kept, kept},
		{"outer vary and the key", 200, http.Header{"Vary": {"Origin"}}, http.Header{"Vary": {"Origin", "Accept-Language"}}, kept, kept},
		{"outer vary replaced", 200, http.Header{"Vary": {"Origin"}}, http.Header{"Vary": {"User-Agent"}}, vary, vary},
	}
	for _, secluded := range []bool{false, true} {
		rt := newRoute(t, func(c *middleware.Config) {
			c.Scheme.Headers = []string{"Accept-Language"}
			c.StatusTTL = map[int]time.Duration{404: time.Minute}
			if secluded {
				private(c)
			}
		})
		for _, tt := range tests {
			want := tt.shared
			if secluded {
				want = tt.private
			}
			if got := rt.Storable(tt.status, tt.h, tt.outer); got != want {
				t.Errorf("%s, private %v: %q, want %q", tt.name, secluded, got, want)
			}
		}
	}
}

// TestWhatTheKeyHasMayVary: a response may vary by headers that are in the key.
func TestWhatTheKeyHasMayVary(t *testing.T) {
	for name, h := range map[string]http.Header{
		"Origin":          {"Access-Control-Allow-Origin": {"https://a"}, "Vary": {"Origin"}},
		"Accept-Encoding": {"Content-Encoding": {"gzip"}, "Vary": {"Accept-Encoding"}},
		"User-Agent":      {"Vary": {"User-Agent"}},
	} {
		rt := newRoute(t, func(c *middleware.Config) { c.Scheme.Headers = []string{name} })
		if got := rt.Storable(200, h, nil); got != "" {
			t.Errorf("%s is in the key: %q", name, got)
		}
	}
	rt := newRoute(t, func(c *middleware.Config) { c.Scheme.Cookies = []string{"theme"} })
	if got := rt.Storable(200, http.Header{"Vary": {"Cookie"}}, nil); got != "" {
		t.Errorf("a cookie is in the key: %q", got)
	}
	if got := rt.Storable(200, http.Header{"Vary": {"Authorization"}}, nil); got != middleware.ReasonVary {
		t.Errorf("Authorization is not in the key: %q", got)
	}
}

// TestReasons has a handler for every reason that appears while it runs. It checks the reason, and that nothing was stored.
func TestReasons(t *testing.T) {
	write := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
	}
	tests := []struct {
		reason  middleware.Reason // "": it is kept
		change  func(*middleware.Config)
		handler http.HandlerFunc
	}{
		{"", nil, write("hello")},
		{"", nil, write(strings.Repeat("x", 1<<20))},
		{middleware.ReasonSize, nil, write(strings.Repeat("x", 1<<20+1))},
		{middleware.ReasonSize, nil, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(1<<20+1))
			w.WriteHeader(200)
		}},
		{middleware.ReasonEmpty, nil, func(http.ResponseWriter, *http.Request) {}},
		{"", nil, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }},
		{middleware.ReasonLength, nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "6")
			write("hello")(w, r)
		}},
		{middleware.ReasonLength, nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "4")
			write("hello")(w, r)
		}},
		{"", nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			write("hello")(w, r)
		}},
		{middleware.ReasonStream, nil, func(w http.ResponseWriter, r *http.Request) { write("hello")(w, r); w.(http.Flusher).Flush() }},
		{middleware.ReasonUnwrap, nil, func(w http.ResponseWriter, r *http.Request) {
			write("hello")(w.(interface{ Unwrap() http.ResponseWriter }).Unwrap(), r)
		}},
		{middleware.ReasonHandler, nil, func(w http.ResponseWriter, r *http.Request) { steering.NoStore(r.Context()); write("hello")(w, r) }},
		{middleware.ReasonHandler, nil, func(w http.ResponseWriter, r *http.Request) { write("hello")(w, r); steering.SetTTL(r.Context(), 0) }},
		{"", nil, func(w http.ResponseWriter, r *http.Request) {
			steering.SetTTL(r.Context(), 1e9)
			write("hello")(w, r)
		}},
		{middleware.ReasonTag, func(c *middleware.Config) { tag, _ := surrogate.ParseTag("p:{id}"); c.Tags = []surrogate.Tag{tag} }, write("hello")},
		{"", nil, func(w http.ResponseWriter, r *http.Request) {
			steering.AddTags(r.Context(), make([]string, 125)...)
			write("hello")(w, r)
		}},
		{middleware.ReasonLabels, nil, func(w http.ResponseWriter, r *http.Request) {
			for i := range store.MaxLabels / 2 {
				steering.AddTags(r.Context(), strconv.Itoa(i)) // two labels each, as tags and as cache groups
			}
			write("hello")(w, r)
		}},
		{middleware.ReasonTrailer, nil, func(w http.ResponseWriter, r *http.Request) {
			write("hello")(w, r)
			w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
		}},
		{middleware.ReasonHeader, nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-A", "a\r\nSet-Cookie: x")
			write("hello")(w, r)
		}},
		{middleware.ReasonHeader, nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-A", strings.Repeat("x", 16<<10))
			write("hello")(w, r)
		}},
	}
	for _, tt := range tests {
		var seen []middleware.Event
		rt := newRoute(t, func(c *middleware.Config) {
			c.Observe = func(ev middleware.Event) { seen = append(seen, ev) }
			if tt.change != nil {
				tt.change(c)
			}
		})
		runs := 0
		for range 2 {
			serve(rt, httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) { runs++; tt.handler(w, r) })
		}
		wantRuns := 2
		if tt.reason == "" {
			wantRuns = 1
		}
		if seen[0].Outcome != middleware.Miss || seen[0].Reason != tt.reason || runs != wantRuns {
			t.Errorf("%q: event %+v, %d runs", tt.reason, seen[0], runs)
		}
		if n := rt.Common().Recording(); n != 0 {
			t.Errorf("%q: %d bytes are still accounted for", tt.reason, n)
		}
	}
}

// TestBypassReasons has requests that must bypass the cache.
func TestBypassReasons(t *testing.T) {
	type change = func(r *http.Request)
	set := func(fields ...string) change {
		return func(r *http.Request) {
			for i := 0; i < len(fields); i += 2 {
				r.Header.Add(fields[i], fields[i+1])
			}
		}
	}
	tests := []struct {
		reason middleware.Reason // "": none
		change change
	}{
		{"", set()},
		{middleware.ReasonMethod, func(r *http.Request) { r.Method = "POST" }},
		{middleware.ReasonMethod, func(r *http.Request) { r.Method = "get" }},
		{middleware.ReasonBody, func(r *http.Request) { r.ContentLength = 1 }},
		{"", func(r *http.Request) { r.ContentLength = -1 }},
		{middleware.ReasonBody, func(r *http.Request) { r.ContentLength = -1; r.TransferEncoding = []string{"chunked"} }},
		{middleware.ReasonBody, func(r *http.Request) { r.ContentLength = -1; r.Header.Set("Content-Length", "1") }},
		{middleware.ReasonBody, func(r *http.Request) { r.ContentLength = -1; r.Header.Set("Expect", "100-continue") }},
		{middleware.ReasonBody, func(r *http.Request) { r.ContentLength = -1; r.Trailer = http.Header{"X": nil} }},
		{middleware.ReasonBody, func(r *http.Request) { r.TransferEncoding = []string{"chunked"} }},
		{middleware.ReasonUpgrade, set("Upgrade", "websocket", "Connection", "keep-alive, UPGRADE")},
		{middleware.ReasonUpgrade, set("Upgrade", "h2c, websocket", "Connection", "upgrade")},
		{middleware.ReasonUpgrade, set("Upgrade", "h2c", "Upgrade", "unknown/1", "Connection", "upgrade")},
		{"", set("Upgrade", "h2c", "Connection", "Upgrade, HTTP2-Settings", "HTTP2-Settings", "AAMAAABk")},
		{"", set("Upgrade", "HTTP/2.0, TLS/1.3, H2C,", "Connection", "upgrade")},
		{"", set("Upgrade", "websocket")},
		{"", set("Connection", "upgrade")},
		{middleware.ReasonAuth, set("Authorization", "Basic x")},
		{middleware.ReasonAuth, set("Authorization", "")},
		{middleware.ReasonOverride, set("X-HTTP-Method-Override", "DELETE")},
		{middleware.ReasonOverride, set("X-HTTP-Method", "")},
		{middleware.ReasonOverride, set("X-Method-Override", "GET")},
		{middleware.ReasonKey, func(r *http.Request) { r.URL.RawQuery = "a=1;b=2" }},
		{middleware.ReasonKey, func(r *http.Request) { r.Host = strings.Repeat("x", keys.MaxInput) }},
	}
	for i, tt := range tests {
		var seen []middleware.Event
		rt := newRoute(t, func(c *middleware.Config) { c.Observe = func(ev middleware.Event) { seen = append(seen, ev) } })
		r := httptest.NewRequest("GET", "/", nil)
		tt.change(r)
		before := maps.Clone(r.Header)
		var got *http.Request
		serve(rt, httptest.NewRecorder(), r, func(w http.ResponseWriter, r *http.Request) { got = r; _, _ = w.Write([]byte("x")) })
		want := middleware.Event{Route: "GET /", Outcome: middleware.Bypass, Reason: tt.reason}
		if tt.reason == "" {
			want.Outcome, want.Cause, want.Status = middleware.Miss, middleware.CauseCold, 200
		} else if got != r {
			t.Errorf("%d: %s: the handler got another request", i, tt.reason)
		}
		if len(seen) != 1 || seen[0] != want {
			t.Errorf("%d: events %+v, want %+v", i, seen, want)
		}
		if !maps.EqualFunc(before, r.Header, func(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }) {
			t.Errorf("%d: the request was changed", i)
		}
	}
}
