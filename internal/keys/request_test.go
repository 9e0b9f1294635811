package keys_test

import (
	"bufio"
	"crypto/tls"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
)

// readRequest parses a request as a server does: the request line's target, and header lines with Host among them.
func readRequest(target string, lines ...string) (*http.Request, error) {
	text := "GET " + target + " HTTP/1.1\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	return http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
}

// request is readRequest for requests that are well-formed. Without a Host line the host is shop.example.
func request(t testing.TB, target string, lines ...string) *http.Request {
	t.Helper()
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Host:") }) {
		lines = append([]string{"Host: shop.example"}, lines...)
	}
	r, err := readRequest(target, lines...)
	if err != nil {
		t.Fatalf("%s %q: %v", target, lines, err)
	}
	return r
}

// over returns the request as it comes over TLS.
func over(r *http.Request) *http.Request {
	r.TLS = &tls.ConnectionState{Version: tls.VersionTLS12, HandshakeComplete: true, ServerName: "shop.example"}
	return r
}

// stripped returns the request as a handler behind http.StripPrefix gets it.
func stripped(r *http.Request, prefix string) *http.Request {
	inner := r
	http.StripPrefix(prefix, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { inner = r })).
		ServeHTTP(nobody{}, r)
	return inner
}

type nobody struct{}

func (nobody) Header() http.Header         { return http.Header{} }
func (nobody) Write(p []byte) (int, error) { return len(p), nil }
func (nobody) WriteHeader(int)             {}

// compiled returns a compiled copy of the scheme.
func compiled(s keys.Scheme) *keys.Scheme {
	if s.Realm == "" {
		s.Realm = "shared-global"
	}
	return s.Compile()
}

func mustKey(t testing.TB, s *keys.Scheme, r *http.Request, user string) keying.Key {
	t.Helper()
	key, err := s.Key(r, "GET /{rest...}", user, "")
	if err != nil {
		t.Fatalf("Key(%s) = %v", r.RequestURI, err)
	}
	return key
}

// sight is everything that a handler can see of a request: all exported fields, whatever net/http adds to them, but for
// the method, which no key has because HEAD is answered from GET, and the body, which no cached request has. Headers
// that select nothing by agreement are left out.
func sight(s *keys.Scheme, r *http.Request) map[string]any {
	seen := map[string]any{}
	v := reflect.ValueOf(r).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch f.Name {
		case "Method", "Body", "GetBody", "Cancel":
		case "Header":
			h := r.Header.Clone()
			maps.DeleteFunc(h, func(name string, _ []string) bool {
				return !s.Keyed(name) && (tracing(name) || slices.Contains(s.Pass, name))
			})
			seen[f.Name] = h
		default:
			if f.IsExported() {
				seen[f.Name] = v.Field(i).Interface()
			}
		}
	}
	return seen
}

// tracing reports whether handlers see the header whatever the scheme.
func tracing(name string) bool {
	r := &http.Request{URL: &url.URL{}, Header: http.Header{name: {"x"}}}
	return (&keys.Scheme{}).View(r).Header[name] != nil
}

// snapshot is a deep copy of what Key and View must not change.
func snapshot(r *http.Request) (copied http.Request) {
	u := *r.URL
	copied = *r
	copied.URL, copied.Header = &u, r.Header.Clone()
	copied.Form, copied.PostForm = cloneValues(r.Form), cloneValues(r.PostForm)
	return copied
}

func cloneValues(v url.Values) url.Values { return url.Values(http.Header(v).Clone()) }

func sameRequest(t testing.TB, before http.Request, after *http.Request) {
	t.Helper()
	if !reflect.DeepEqual(&before, after) {
		t.Fatalf("the request was changed:\nbefore %+v\nafter  %+v", before, *after)
	}
}
