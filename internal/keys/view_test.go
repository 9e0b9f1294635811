package keys_test

import (
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
)

// busy is a request that carries something in every field a client has influence on.
func busy(t testing.TB, target string) *http.Request {
	r := request(t, target, "Accept-Language: en", "Accept-Language: de", "X-Forwarded-Host: evil", "X-Forwarded-Proto: evil", "Authorization: evil",
		"Cookie: sid=evil; theme=dark; lang=x", "Cookie: theme=light", "User-Agent: agent", "Traceparent: 00-abc", "Range: bytes=0-evil",
		"If-None-Match: \"evil\"", "Connection: close, evil", "Referer: http://evil/")
	r.RemoteAddr = "evil:1234"
	r.Form, r.PostForm = url.Values{"a": {"evil"}}, url.Values{"b": {"evil"}}
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	r.SetPathValue("id", "7")
	r.Pattern = "GET /{id}"
	return r.WithContext(context.WithValue(t.Context(), contextKey{}, "mine"))
}

type contextKey struct{}

// TestASharedViewHasNothingElse lists what a handler of a shared answer sees, and that nothing of the rest is there.
func TestASharedViewHasNothingElse(t *testing.T) {
	r := over(busy(t, "http://user:evil@shop.example/p/7?a=1&b=2"))
	r.URL.Fragment = "evil"
	r.Header["X-Empty"] = []string{}
	r.Trailer = http.Header{"Evil": nil} // HTTP/2 fills it from a GET's header
	r.Body, r.MultipartForm, r.Response = io.NopCloser(strings.NewReader("evil")), &multipart.Form{}, &http.Response{}
	s := compiled(keys.Scheme{Headers: []string{"Accept-Language", "X-Absent", "X-Empty"}, Cookies: []string{"lang", "theme"}, Pass: []string{"User-Agent"}})
	before := snapshot(r)
	v := s.View(r)
	sameRequest(t, before, r)

	if want := (&url.URL{Path: "/p/7", RawQuery: "a=1&b=2"}); !reflect.DeepEqual(v.URL, want) {
		t.Errorf("URL = %+v, want %+v", *v.URL, *want)
	}
	wantHeader := http.Header{"Accept-Language": {"en", "de"}, "User-Agent": {"agent"}, "Traceparent": {"00-abc"},
		"Cookie": {"lang=x; theme=dark; theme=light"}}
	if !reflect.DeepEqual(v.Header, wantHeader) {
		t.Errorf("Header = %v, want %v", v.Header, wantHeader)
	}
	if v.RequestURI != "/p/7?a=1&b=2" || v.Host != "shop.example" || v.Method != "GET" {
		t.Errorf("RequestURI %q, Host %q, Method %q", v.RequestURI, v.Host, v.Method)
	}
	if v.RemoteAddr != "" || v.Proto != "HTTP/1.1" || v.ProtoMajor != 1 || v.ProtoMinor != 1 || v.Close {
		t.Errorf("RemoteAddr %q, Proto %q (%d.%d), Close %v", v.RemoteAddr, v.Proto, v.ProtoMajor, v.ProtoMinor, v.Close)
	}
	if v.Form != nil || v.PostForm != nil || v.MultipartForm != nil {
		t.Errorf("parsed forms are left: %v, %v", v.Form, v.PostForm)
	}
	if v.Trailer != nil || v.Body != http.NoBody || v.Response != nil {
		t.Errorf("Trailer %v, Body %v, Response %v", v.Trailer, v.Body, v.Response)
	}
	if v.TLS == nil || v.TLS.ServerName != "" || len(v.TLS.PeerCertificates) != 0 || !v.TLS.HandshakeComplete {
		t.Errorf("TLS = %+v", v.TLS)
	}
	if v.PathValue("id") != "7" || v.Pattern != r.Pattern || v.Context() != r.Context() {
		t.Error("path values, pattern or context are not the request's own")
	}
}

// TestAViewIsItsOwn: what a handler does to the view does not reach the request.
func TestAViewIsItsOwn(t *testing.T) {
	for _, private := range []bool{false, true} {
		r := busy(t, "/p/7?a=1")
		before := snapshot(r)
		v := compiled(keys.Scheme{Headers: []string{"Accept-Language"}, Private: private}).View(r)
		v.URL.Path, v.URL.RawQuery, v.RequestURI, v.Host = "/x", "x", "x", "x"
		v.Header["Accept-Language"][0] = "x"
		v.Header.Set("X-New", "x")
		_ = v.ParseForm()
		sameRequest(t, before, r)
	}
}

// TestDroppedParametersAreInvisible looks for them in every form in which a handler can read a query.
func TestDroppedParametersAreInvisible(t *testing.T) {
	const target = "/p?utm_source=evil&b=2&a=1&a=0&gclid=evil"
	tests := []struct {
		name   string
		query  keying.Query
		target string
		want   string
	}{
		{"only", keying.Only("a", "b"), target, "a=1&a=0&b=2"},
		{"only one", keying.Only("b"), target, "b=2"},
		{"only prefix", keying.Only("a*"), "/p?b=evil&ab=1&a=2", "a=2&ab=1"},
		{"only none", keying.Only(), target, ""},
		{"only what is not there", keying.Only("c"), target, ""},
		{"except", keying.Except("utm_*", "gclid"), target, "a=1&a=0&b=2"},
		{"except all", keying.Except("*"), target, ""},
		{"escaped name", keying.Except("evil"), "/p?%65vil=evil&ev%69l=1", ""},
		{"a bare question mark", keying.Only("a"), "/p?", ""},
	}
	for _, private := range []bool{false, true} {
		for _, tt := range tests {
			r := request(t, tt.target)
			if err := r.ParseForm(); err != nil {
				t.Fatal(err)
			}
			before := snapshot(r)
			v := compiled(keys.Scheme{Query: tt.query, Private: private}).View(r)
			sameRequest(t, before, r)
			wantURI := strings.TrimSuffix("/p?"+tt.want, "?")
			if v.URL.RawQuery != tt.want || v.RequestURI != wantURI || v.URL.String() != wantURI {
				t.Errorf("%s: RawQuery %q, RequestURI %q, URL %q; want %q", tt.name, v.URL.RawQuery, v.RequestURI, v.URL, tt.want)
			}
			if text := v.FormValue("evil") + v.FormValue("gclid") + v.URL.Query().Get("utm_source"); text != "" {
				t.Errorf("%s: a dropped parameter is seen: %q", tt.name, text)
			}
		}
	}
}

// TestTheRawQueryIsSeenAsItStands covers the forms that differ by a byte.
func TestTheRawQueryIsSeenAsItStands(t *testing.T) {
	for _, target := range []string{"/p", "/p?", "/p?b=1&a=2&&", "/p?%61=1", "/a%2Fb?x"} {
		v := compiled(keys.Scheme{}).View(request(t, target))
		if v.RequestURI != target || v.URL.String() != target {
			t.Errorf("%s is seen as %q, %q", target, v.RequestURI, v.URL)
		}
	}
}

func TestOpaqueTargetsAreInvisible(t *testing.T) {
	s := compiled(keys.Scheme{})
	for _, target := range []string{"evil:payload", "http:evil", "http:/p", "http:///p"} {
		r, err := readRequest(target, "Host: shop.example")
		if err != nil {
			continue // the server refuses it
		}
		if _, err := s.Key(r, "", "", ""); r.URL.Opaque != "" && err == nil {
			t.Errorf("%s has a key", target)
		}
		v := s.View(r)
		if v.URL.Opaque != "" || v.URL.OmitHost || v.URL.Scheme != "" || strings.Contains(v.RequestURI+v.URL.String(), "evil") {
			t.Errorf("%s is seen: %+v, RequestURI %q", target, *v.URL, v.RequestURI)
		}
	}
}

// TestTheStrippedPrefixStays in the request line, as it does without a cache.
func TestTheStrippedPrefixStays(t *testing.T) {
	v := compiled(keys.Scheme{Query: keying.Only("b")}).View(stripped(request(t, "/api/p%2Fq?a=1&b=2"), "/api"))
	if v.RequestURI != "/api/p%2Fq?b=2" || v.URL.EscapedPath() != "/p%2Fq" {
		t.Errorf("RequestURI %q, path %q", v.RequestURI, v.URL.EscapedPath())
	}
}

// TestProxyHeaders are visible just where they select.
func TestProxyHeaders(t *testing.T) {
	for _, trust := range []bool{false, true} {
		v := compiled(keys.Scheme{TrustProxy: trust}).View(busy(t, "/"))
		if _, seen := v.Header["X-Forwarded-Host"]; seen != trust {
			t.Errorf("TrustProxy %v: X-Forwarded-Host seen: %v", trust, seen)
		}
		if _, seen := v.Header["X-Forwarded-Proto"]; seen != trust {
			t.Errorf("TrustProxy %v: X-Forwarded-Proto seen: %v", trust, seen)
		}
	}
}

func TestCompileLeavesTheCallersHeaders(t *testing.T) {
	headers := append(make([]string, 0, 4), "Accept")
	compiled(keys.Scheme{Headers: headers, TrustProxy: true})
	if got := headers[:2][1]; got != "" {
		t.Errorf("Compile wrote %q into the caller's slice", got)
	}
}

// TestAPrivateViewIsWhole but for conditions and ranges, which the cache answers, and for what is about the connection.
func TestAPrivateViewIsWhole(t *testing.T) {
	r := over(busy(t, "/p/7?b=1&a=2"))
	r.Header.Set("If-Modified-Since", "x")
	r.Header.Set("If-Match", "x")
	r.Header.Set("If-Unmodified-Since", "x")
	r.Header.Set("If-Range", "x")
	before := snapshot(r)
	v := compiled(keys.Scheme{Private: true}).View(r)
	sameRequest(t, before, r)
	want := r.Header.Clone()
	for _, name := range []string{"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range", "Connection"} {
		delete(want, name)
	}
	if !reflect.DeepEqual(v.Header, want) {
		t.Errorf("Header = %v, want %v", v.Header, want)
	}
	if v.RemoteAddr != r.RemoteAddr || v.TLS != r.TLS || v.Proto != r.Proto || v.RequestURI != r.RequestURI || !reflect.DeepEqual(v.URL, r.URL) {
		t.Error("a private view hides more than conditions, ranges and Connection")
	}
}

func TestKeyed(t *testing.T) {
	s := compiled(keys.Scheme{Headers: []string{"Accept"}, Pass: []string{"User-Agent"}, TrustProxy: true})
	for name, want := range map[string]bool{"Accept": true, "X-Forwarded-Host": true, "X-Forwarded-Proto": true, "User-Agent": false, "Traceparent": false} {
		if s.Keyed(name) != want {
			t.Errorf("Keyed(%s) = %v", name, !want)
		}
	}
}

// TestEveryHandlerSeesTracing, and no header that is not tracing's.
func TestEveryHandlerSeesTracing(t *testing.T) {
	for _, name := range []string{"Traceparent", "Tracestate", "Baggage", "B3", "X-B3-Traceid", "X-Cloud-Trace-Context", "X-Amzn-Trace-Id", "Uber-Trace-Id", "Sentry-Trace", "X-Datadog-Trace-Id"} {
		if !tracing(name) {
			t.Errorf("%s is hidden", name)
		}
	}
	for _, name := range []string{"Accept", "Cookie", "Authorization", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Scheme", "Forwarded", "X-Host",
		"X-Original-Url", "X-Rewrite-Url", "X-Real-Ip", "User-Agent", "Referer", "Origin", "Range", "If-None-Match", "X-Http-Method-Override", "X-Request-Id", "Host"} {
		if tracing(name) {
			t.Errorf("%s is seen", name)
		}
	}
}
