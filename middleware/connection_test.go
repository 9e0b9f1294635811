package middleware_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/keying"
)

// upstream is an origin behind a proxy: its responses show the fields that it received.
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

// proxy is a handler that forwards its requests to an origin whose responses vary by the fields.
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

// A proxy behind the cache removes the fields that Connection names (RFC 9110 §7.6.1). A response that was made without them
// must not be served to requests that have them.
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

// A field that the client names in Connection but does not send, and that the app adds on the way to its proxy, is not removed.
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

// Credentials that Connection names reach the handler, so they count as credentials for the cache, too.
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

// Connection options that name no field, or only hop-by-hop fields, do not prevent a hit.
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

// A connection option that names a field which the handler cannot see is no reason to bypass the cache.
func TestConnectionOptionsForWhatIsHidden(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		s.miss("/x")
		s.hit("/x", header("X-Odd", "1"), header("Connection", "X-Odd"))
		s.hit("/x", header("Connection", "Cookie, User-Agent"), header("User-Agent", "odd"))
	}, shared...)
}

// A hop-by-hop field cannot select a response, and is not passed on.
func TestConnectionFieldsSelectNothing(t *testing.T) {
	c, err := cache.New(cache.Options{Far: fartest.New(), FarBudget: time.Second, User: keying.FromContext()})
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

// The Age of the origin's response counts: hits send it with the time spent here added, and freshness ends when the origin said
// (RFC 9111 §4.2.3). The policy says how long the response is stored here.
func TestAnOriginsAgeCounts(t *testing.T) {
	short := cache.Policy{TTL: 10 * time.Second, StaleIfError: -1}
	long := cache.Policy{TTL: time.Hour, StaleIfError: -1}
	obey(t, []rule{
		{of: "§4.2.3: it goes on counting", policy: long, script: `
			origin 200 | Age: 30 | Cache-Control: public
			GET => run | Age: 30
			+5s
			GET => hit | Age: 35`},
		{of: "§4.2.3: it is a part of the answer's own lifetime", policy: long, script: `
			origin 200 | Age: 30 | Cache-Control: public, max-age=40
			GET => run
			+9s
			GET => hit | Age: 39
			+2s
			GET => run`},
		{of: "§4.2.3: and none of the policy's", policy: short, script: `
			origin 200 | Age: 30 | Cache-Control: public, max-age=100
			GET => run
			+8s
			GET => hit | Age: 38
			+3s
			GET => run`},
		{of: "§4.2: one that is stale when it comes is not kept", policy: long, script: `
			origin 200 | Age: 40 | Cache-Control: public, max-age=40
			GET => run | Cache-Status: ~detail=max-age
			GET => run`},
		{of: "§4.2.3: so does its Date", policy: long, script: `
			origin 200 | Date: {-30s} | Expires: {+10s}
			GET => run
			+9s
			GET => hit | Age: 39
			+2s
			GET => run`},
		{of: "§5.1: what is no age is none", policy: long, script: `
			origin 200 | Age: soon
			GET => run
			+5s
			GET => hit | Age: 5`},
		{of: "§1.2.2: one of many years", policy: long, script: `
			origin 200 | Age: 99999999999
			GET => run
			GET => hit`},
	})
}

// A browser rejects a page whose Access-Control-Allow-Origin names another origin than its own.
func TestAnswersForOneOriginAreNoOtherOnes(t *testing.T) {
	for name, p := range map[string]cache.Policy{"policy": {TTL: time.Minute}, "standard": {RFC9111: true, TTL: time.Minute}} {
		run(t, func(t *testing.T, s *site) {
			s.handle("GET /x", p, func(w http.ResponseWriter, r *http.Request) error {
				w.Header().Set("Cache-Control", "max-age=60")
				origin := r.Header.Get("Origin")
				if origin == "" {
					origin = "https://none.example"
				}
				w.Header().Set("Access-Control-Allow-Origin", origin)
				_, err := io.WriteString(w, "answer")
				return err
			})
			for _, origin := range []string{"https://a.example", "https://b.example"} {
				for range 2 {
					got := s.get("/x", header("Origin", origin)).header.Get("Access-Control-Allow-Origin")
					if p.RFC9111 && got != origin { // elsewhere the handler sees none
						t.Errorf("%s: a page of %s is answered for %q", name, origin, got)
					}
				}
			}
		})
	}
}

// Responses of which the cache serves ranges say so with Accept-Ranges, from the first one on, if no outer compressor touches
// them. Others do not say it, because caches in front would pass it on to clients that are served no ranges.
func TestAnswersOfWhichPartsAreServedSaySo(t *testing.T) {
	png := "\x89PNG\r\n\x1a\n"
	for name, at := range map[string]struct {
		serve handler
		want  []string
	}{
		"a picture":         {text(png), []string{"bytes"}},
		"a long picture":    {text(png + strings.Repeat("a", 10<<10)), []string{"bytes"}},
		"by its type":       {setting("Content-Type: video/mp4"), []string{"bytes"}},
		"what is coded":     {setting("Content-Type: text/html", "Content-Encoding: gzip"), []string{"bytes"}},
		"text":              {text("text"), nil},
		"text with a tag":   {setting(`Etag: "a"`), nil},
		"the handler's own": {setting("Content-Type: video/mp4", "Accept-Ranges: none"), []string{"none"}},
		"of another status": {answering(404, png), nil},
		"that is not kept":  {setting("Content-Type: video/mp4", "Cache-Control: no-store"), nil},
		"that is not whole": {setting("Content-Type: video/mp4", "Content-Length: 100"), nil},
	} {
		for mode, p := range map[string]cache.Policy{
			"policy":   {TTL: time.Minute, Vary: []string{"Accept-Encoding"}, StatusTTL: map[int]time.Duration{404: time.Minute}},
			"standard": {RFC9111: true, TTL: time.Minute},
		} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				run(t, func(t *testing.T, s *site) {
					s.handle("GET /x", p, at.serve)
					wantHeader(t, s.get("/x", as("")), "Accept-Ranges", at.want...)
					wantHeader(t, s.get("/x", as("")), "Accept-Ranges", at.want...)
				}, cache.SharedGlobal, cache.FleetShared)
			})
		}
	}
}

// An Accept-Ranges that outer middleware has set stays as it is.
func TestOuterAcceptRangesIsLeftAlone(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Accept-Ranges", "none")
				next.ServeHTTP(w, r)
			})
		})
		s.handle("GET /x", cache.Policy{}, setting("Content-Type: video/mp4"))
		wantHeader(t, s.miss("/x"), "Accept-Ranges", "none")
		wantHeader(t, s.hit("/x"), "Accept-Ranges", "none")
	})
}

// unended is a request as HTTP/3 servers pass it on: it is unknown whether a body follows, and a read waits for the client.
func unended(method, target string, body io.Reader, options ...option) *http.Request {
	r := newRequest(method, target, options...)
	r.ContentLength, r.Body = -1, io.NopCloser(body)
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/3.0", 3, 0
	return r
}

// silent is a client that does not say whether more comes.
type silent struct{ t *testing.T }

func (s silent) Read([]byte) (int, error) {
	s.t.Error("the body is waited for")
	return 0, io.EOF
}

// A request of unknown length that announces no body has none, for the cache and for the handler. If it sends a body
// nonetheless, that poisons nothing.
func TestARequestOfUnknownLengthIsCachedWithoutABody(t *testing.T) {
	for _, standard := range []bool{false, true} {
		run(t, func(t *testing.T, s *site) {
			s.handle("GET /x", cache.Policy{RFC9111: standard, TTL: time.Minute}, public(func(w http.ResponseWriter, r *http.Request) error {
				body, err := io.ReadAll(r.Body)
				_, _ = fmt.Fprintf(w, "body %q of %d, %d trailers, %v", body, r.ContentLength, len(r.Trailer), err)
				return err
			}))
			const none = `body "" of 0, 0 trailers, <nil>`
			for _, method := range []string{"GET", "HEAD", "GET"} {
				got := s.send(unended(method, "/x", silent{t}))
				if method == "GET" {
					wantBody(t, got, none)
				}
			}
			wantBody(t, s.send(unended("GET", "/x?2", strings.NewReader("evil"))), none)
			wantBody(t, s.send(unended("GET", "/x?2", silent{t}, header("Range", "bytes=0-3"))), "body")
			before := s.runs.Load()
			wantBody(t, s.send(unended("GET", "/x", silent{t})), none)
			s.wantTotal(before)
			got := s.send(unended("GET", "/x", strings.NewReader("said"), header("Content-Length", "4")))
			wantBody(t, got, `body "said" of -1, 0 trailers, <nil>`)
			s.wantTotal(before + 1)
		})
	}
}

// An offered upgrade that only a server can accept is ignored and hidden from the handler. One that the handler could accept
// bypasses the cache.
func TestOfferedUpgradesDoNotSwitchTheCacheOff(t *testing.T) {
	offers := map[string][]option{
		"h2c, as Java's client": {header("Connection", "Upgrade, HTTP2-Settings"), header("Upgrade", "h2c"), header("HTTP2-Settings", "AAEAAEAAAAIAAAAB")},
		"TLS":                   {header("Connection", "upgrade"), header("Upgrade", "TLS/1.3, TLS/1.0")},
		"versions of HTTP":      {header("Connection", "keep-alive"), header("Connection", "Upgrade"), header("Upgrade", "HTTP/2.0"), header("Upgrade", "H2C")},
	}
	for name, offer := range offers {
		for _, standard := range []bool{false, true} {
			run(t, func(t *testing.T, s *site) {
				s.handle("GET /x", cache.Policy{RFC9111: standard, TTL: time.Minute}, public(func(w http.ResponseWriter, r *http.Request) error {
					_, err := fmt.Fprintf(w, "%v %v", r.Header["Upgrade"], r.Header["Http2-Settings"])
					return err
				}))
				got := s.missHit("/x", offer...)
				wantBody(t, got, "[] []")
				wantBody(t, s.hit("/x"), "[] []")
				if n := s.count(cache.Bypass, "upgrade"); n > 0 {
					t.Errorf("%s: %d requests bypassed", name, n)
				}
				s.neverKept("/x", header("Connection", "Upgrade"), header("Upgrade", "h2c, websocket"))
				wantBody(t, s.miss("/x", header("Connection", "Upgrade"), header("Upgrade", "mine/1")), "[mine/1] []")
			})
		}
	}
}

// Sequences that go wrong where two mechanisms meet.

// A purge while a refresh runs wins over the refresh.
func TestPurgeDuringARefreshWins(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		data := "first"
		s.handle("GET /x", stale, func(w http.ResponseWriter, r *http.Request) error {
			read := data
			time.Sleep(time.Second)
			return text(read)(w, r)
		})
		behind := behindServer(s)
		s.miss("/x", behind)
		time.Sleep(11 * time.Second)
		wantBody(t, s.get("/x", behind), "first") // a refresh begins
		synctest.Wait()
		data = "second"
		s.purge(cache.URL("/x"))
		wantBody(t, s.get("/x", behind), "second")
		time.Sleep(2 * time.Second)
		wantBody(t, s.get("/x", behind), "second")
	})
}

// Waiters with conditions, or that want another form (a HEAD or a range), get their own form of the shared response.
func TestSharedAnswersTakeEachClientsForm(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(time.Second)
			w.Header().Set("Etag", `"v1"`)
			return text("0123456789")(w, r)
		})
		forms := [][]option{{}, {header("If-None-Match", `"v1"`)}, {header("If-None-Match", `"v2"`)}}
		for i, got := range s.atOnce(30, func(i int) *http.Request { return newRequest("GET", "/x", forms[i%3]...) }) {
			want, body := 200, "0123456789"
			if i%3 == 1 {
				want, body = 304, ""
			}
			if got.status != want || got.body != body {
				t.Errorf("form %d: %d %q; want %d %q", i%3, got.status, got.body, want, body)
			}
		}
		s.wantTotal(1)
		wantBody(t, s.hit("/x"), "0123456789") // also when a 304 led
	})
}

// A failure that a stale response replaces leaves no trace, such as its length or type.
func TestFailureHeldBackLeavesNoTrace(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		fail := false
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Outer", "yes")
				next.ServeHTTP(w, r)
			})
		})
		s.handle("GET /x", cache.Policy{TTL: 10 * time.Second, StaleIfError: time.Minute}, s.failing(&fail, func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Content-Length", "20000")
			w.Header().Set("Set-Cookie", "a=b")
			w.Header().Del("X-Outer")
			w.WriteHeader(http.StatusServiceUnavailable)
			_ = http.NewResponseController(w).Flush()
			_, err := w.Write(bytes.Repeat([]byte("x"), 20_000))
			return err
		}))
		first := s.miss("/x")
		time.Sleep(11 * time.Second)
		fail = true
		got := s.miss("/x")
		wantStatus(t, got, http.StatusOK)
		wantBody(t, got, first.body)
		wantHeader(t, got, "Content-Type", first.header.Values("Content-Type")...)
		wantHeader(t, got, "Content-Length", fmt.Sprint(len(first.body)))
		wantHeader(t, got, "Set-Cookie")
		wantHeader(t, got, "X-Outer", "yes")
	})
}

// A failure after the response has begun cannot be replaced, and spoils nothing.
func TestLateFailureSpoilsNothing(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		fail := false
		s.handle("GET /x", cache.Policy{TTL: 10 * time.Second, StaleIfError: time.Minute}, s.failing(&fail, func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = io.WriteString(w, strings.Repeat("half ", 2000))
			panic(errors.New("late"))
		}))
		first := s.miss("/x")
		time.Sleep(11 * time.Second)
		fail = true
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed although the answer had begun")
				}
			}()
			s.get("/x")
		}()
		fail = false
		if got := s.miss("/x"); strings.Contains(got.body, "half") || got.body == first.body {
			t.Errorf("the next answer is %q", clip(got.body))
		}
	})
}

// The last good response stays while new ones cannot be stored, and is not served after its stale windows.
func TestUnstorableAnswerDoesNotReviveTheOldOne(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		private := false
		s.handle("GET /x", cache.Policy{TTL: 10 * time.Second, StaleIfError: time.Minute}, func(w http.ResponseWriter, r *http.Request) error {
			if private {
				w.Header().Set("Cache-Control", "no-store")
			}
			return s.mirror(w, r)
		})
		first := s.miss("/x")
		time.Sleep(11 * time.Second)
		private = true
		for range 3 {
			if got := s.miss("/x"); got.body == first.body {
				t.Error("the old answer is served although the handler answers well")
			}
		}
	})
}

// Many keys, requests, purges and failures at once: every response is right for its request.
func TestEveryAnswerIsRightUnderChaos(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		p := cache.Policy{TTL: 50 * time.Millisecond, StaleWhileRevalidate: 20 * time.Millisecond, StaleIfError: 20 * time.Millisecond,
			Vary: []string{"Accept-Language"}, Tags: []string{"p:{id}"}}
		s.handle("GET /p/{id}", p, func(w http.ResponseWriter, r *http.Request) error {
			n := s.runs.Load()
			time.Sleep(time.Duration(n%7) * time.Millisecond)
			switch {
			case n%11 == 0:
				return errors.New("failed")
			case n%13 == 0:
				w.Header().Set("Set-Cookie", "sid=1")
			case n%17 == 0:
				panic(http.ErrAbortHandler)
			}
			_, err := fmt.Fprintf(w, "%s|%s|%s|end", r.PathValue("id"), r.Header.Get("Accept-Language"), strings.Repeat("x", int(n%5)*3000))
			return err
		})
		s.start()
		var all sync.WaitGroup
		for g := range 16 {
			all.Go(func() {
				for i := range 40 {
					id, lang := fmt.Sprint((g+i)%5), fmt.Sprint("lang-", i%3)
					s.checkOne(id, lang, []option{header("Accept-Language", lang), behindServer(s)})
					if i%10 == g%10 {
						_ = s.cache.Purge(t.Context(), cache.Tag("p:"+id))
					}
					if i%9 == 0 {
						s.far.Down.Store(g%4 == 0)
					}
					time.Sleep(time.Duration(i%5) * time.Millisecond)
				}
			})
		}
		all.Wait()
		time.Sleep(time.Second)
	})
}

func (s *site) checkOne(id, lang string, options []option) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			panic(p)
		}
	}()
	got := s.get("/p/"+id, options...)
	good := strings.HasPrefix(got.body, id+"|"+lang+"|") && strings.HasSuffix(got.body, "|end")
	if got.status == 200 && !good || got.status != 200 && got.status != 500 {
		s.t.Errorf("%s in %s is answered %d %q", id, lang, got.status, clip(got.body))
	}
	if good && got.header.Get("Content-Length") != "" && got.header.Get("Content-Length") != fmt.Sprint(len(got.body)) {
		s.t.Errorf("%s: Content-Length %s for %d bytes", id, got.header.Get("Content-Length"), len(got.body))
	}
}
