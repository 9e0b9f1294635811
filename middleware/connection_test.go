package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/keying"
)

// upstream is an origin behind a proxy: it answers with the fields that it was sent.
type upstream struct{ fields []string }

func (u upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	var b strings.Builder
	for _, name := range u.fields {
		fmt.Fprintf(&b, "%s: %q\n", name, r.Header[name])
	}
	body := b.String()
	return &http.Response{
		StatusCode: http.StatusOK, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)), Request: r,
		Header: http.Header{"Vary": {strings.Join(u.fields, ", ")}, "Cache-Control": {"public, max-age=60"}, "Content-Type": {"text/x"}},
	}, nil
}

// proxy is a handler that sends its requests on, to an origin whose answers vary by the fields.
func proxy(before func(http.Header), fields ...string) handler {
	reverse := &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL.Scheme, pr.Out.URL.Host = "http", "origin.example"
		},
		Transport: upstream{fields},
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		if before != nil {
			before(r.Header)
		}
		reverse.ServeHTTP(w, r)
		return nil
	}
}

// Fields that a Connection field names are taken away by a proxy behind the cache (RFC 9110 §7.6.1): what is made without
// them is no answer to requests that have them.
func TestConnectionOptionsPoisonNothing(t *testing.T) {
	names := []string{"Accept-Language", "Accept", "Origin", "X-Tenant"}
	for _, p := range []cache.Policy{{RFC9111: true}, {Vary: names}, {RFC9111: true, Vary: names}} {
		run(t, func(t *testing.T, s *site) {
			s.handle("GET /x", p, proxy(nil, names...))
			for i, name := range names {
				for j, options := range [][]string{
					{name}, {strings.ToLower(name)}, {"keep-alive, " + name}, {"close", "x ,\t" + strings.ToUpper(name) + " , y"}, {"," + name},
				} {
					value := header(name, fmt.Sprintf("v%d.%d", i, j))
					nominated := []option{value}
					for _, line := range options {
						nominated = append(nominated, header("Connection", line))
					}
					before := s.count(cache.Bypass, "connection")
					s.get("/x", nominated...)
					if n := s.count(cache.Bypass, "connection"); n != before+1 {
						t.Errorf("%v: Connection: %q does not pass by the cache", p, options)
					}
					got := s.miss("/x", value)
					if want := fmt.Sprintf(`%s: ["v%d.%d"]`, name, i, j); !strings.Contains(got.body, want) {
						t.Errorf("%v: after Connection: %q the answer has %q; want %s", p, options, got.body, want)
					}
					s.hit("/x", value, header("Connection", "keep-alive, te"), header("Te", "trailers"))
				}
			}
		})
	}
}

// A field that the client names and does not send, but that the app puts there on the way to its proxy, stays there.
func TestConnectionOptionsTakeNothingAwayThatTheAppPutThere(t *testing.T) {
	for _, p := range []cache.Policy{{RFC9111: true}, {}} {
		run(t, func(t *testing.T, s *site) {
			s.handle("GET /x", p, proxy(func(h http.Header) { h.Set("X-Tenant", "acme") }, "X-Tenant"))
			s.get("/x", header("Connection", "X-Tenant, close"))
			got := s.get("/x")
			if want := `X-Tenant: ["acme"]`; !strings.Contains(got.body, want) {
				t.Errorf("the answer has %q; want %s", got.body, want)
			}
		})
	}
}

// Credentials that a Connection field names are credentials to the handler, and so to the cache.
func TestConnectionOptionsHideNoCredentials(t *testing.T) {
	for _, p := range []cache.Policy{{RFC9111: true}, {}} {
		run(t, func(t *testing.T, s *site) {
			s.handle("GET /x", p, func(w http.ResponseWriter, r *http.Request) error {
				w.Header().Set("Cache-Control", "max-age=60")
				_, err := fmt.Fprintf(w, "for %q %q", r.Header["Authorization"], r.Header["Cookie"])
				return err
			})
			s.get("/x", header("Authorization", "Bearer alice"), header("Connection", "Authorization"))
			if got := s.get("/x"); strings.Contains(got.body, "Bearer") {
				t.Errorf("an anonymous client has %q", got.body)
			}
		}, shared...)
	}
}

// Options that name nothing, or nothing but fields of the connection, cost no hit.
func TestConnectionOptionsOfHonestClients(t *testing.T) {
	for _, p := range []cache.Policy{{RFC9111: true}, {Vary: []string{"Accept-Language"}}} {
		run(t, func(t *testing.T, s *site) {
			s.handle("GET /x", p, setting("Cache-Control: max-age=60", "Vary: Accept-Language"))
			s.miss("/x", header("Connection", "keep-alive"), header("Accept-Language", "de"))
			for _, fields := range [][]string{
				{"Connection: close"}, {"Connection: Keep-Alive", "Keep-Alive: timeout=5"}, {"Connection: TE, close", "Te: trailers"},
				{"Connection: HTTP2-Settings", "Http2-Settings: AAMAAABkAAQAAP__"}, {"Connection: "}, {"Connection: host"},
			} {
				options := []option{header("Accept-Language", "de")}
				for _, field := range fields {
					name, value, _ := strings.Cut(field, ": ")
					options = append(options, header(name, value))
				}
				s.hit("/x", options...)
			}
		})
	}
}

// What a handler cannot see, no option of the client's makes a reason to pass by the cache.
func TestConnectionOptionsForWhatIsHidden(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		s.miss("/x")
		s.hit("/x", header("X-Odd", "1"), header("Connection", "X-Odd"))
		s.hit("/x", header("Connection", "Cookie, User-Agent"), header("User-Agent", "odd"))
	}, shared...)
}

// A field of the connection cannot select, and cannot pass.
func TestConnectionFieldsSelectNothing(t *testing.T) {
	c, err := cache.New(cache.Options{Far: fartest.New(), User: keying.FromContext()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	for _, name := range []string{"Connection", "keep-alive", "TE", "Upgrade", "Proxy-Connection", "Proxy-Authorization", "HTTP2-Settings"} {
		for _, p := range []cache.Policy{{Vary: []string{name}}, {Pass: []string{name}}, {Vary: []string{name}, RFC9111: true}} {
			p.Class = cache.SharedGlobal
			if _, err := c.Compile(p, "GET /x"); err == nil {
				t.Errorf("%v is not refused", p)
			}
		}
	}
}
