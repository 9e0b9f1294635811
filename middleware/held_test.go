package middleware_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// sent is what a client received over its own connection.
type sent struct {
	status  int
	body    string
	broken  bool // the answer ended before its end, or there was none
	interim int
	header  http.Header
}

func received(t *testing.T, url string, options ...option) (got sent) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", "who=alice")
	for _, o := range options {
		o(r)
	}
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { got.interim = code; return nil }}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err != nil {
		got.broken = true
		return got
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	got.status, got.body, got.broken, got.header = resp.StatusCode, string(body), err != nil, resp.Header
	return got
}

// plainly answers with a field.
func plainly(name, value string) handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set(name, value)
		_, err := io.WriteString(w, "answer")
		return err
	}
}

// held are handlers whose head the cache holds back, and that go on in ways that such a head could spoil.
var held = map[string]struct {
	serve   handler
	options []option
	echo    bool // echo itself makes something else of it without a cache
}{
	"a panic after the head": {serve: func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusOK)
		panic("no")
	}},
	"a panic after a few bytes": {serve: then(func(http.ResponseWriter, *http.Request) { panic("no") })},
	"a panic at once":           {serve: func(http.ResponseWriter, *http.Request) error { panic("no") }},
	"an abort after few":        {serve: then(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })},
	"a panic after a flush":     {serve: then(func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush(); panic("no") })},
	"an error after few":        {serve: then(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) })},
	"another head after few":    {serve: then(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })},
	"an interim head": {echo: true, serve: func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Link", "</a>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("X-A", "1")
		_, err := io.WriteString(w, "answer")
		return err
	}},
	"an interim head too late": {echo: true, serve: then(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusEarlyHints) })},
	"fields after the head": {serve: func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("X-A", "1")
		w.WriteHeader(http.StatusOK)
		w.Header().Set("X-A", "2")
		w.Header().Set("X-B", "2")
		_, err := io.WriteString(w, "answer")
		return err
	}},
	"no body":        {serve: func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(http.StatusNoContent); return nil }},
	"an empty write": {serve: func(w http.ResponseWriter, _ *http.Request) error { _, err := w.Write(nil); return err }},
	"an empty page":  {serve: func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(http.StatusOK); return nil }},
	"nothing":        {serve: func(http.ResponseWriter, *http.Request) error { return nil }},
	"a body of none": {serve: func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusNoContent)
		_, _ = io.WriteString(w, "a")
		return nil
	}},
	"too long a body": {serve: func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Length", "3")
		_, _ = io.WriteString(w, "abc")
		_, _ = io.WriteString(w, "d")
		return nil
	}},
	"too short a body":    {serve: plainly("Content-Length", "100")},
	"a type of its bytes": {serve: text("<html><body>")},
	"a type in two bytes": {serve: pieces(2, "%PDF-")},
	"a type set to none": {serve: func(w http.ResponseWriter, _ *http.Request) error {
		w.Header()["Content-Type"] = nil
		_, err := io.WriteString(w, "<html>")
		return err
	}},
	"a transfer coding": {serve: plainly("Transfer-Encoding", "chunked")},
	"another status":    {serve: answering(http.StatusTeapot, "answer")},
	"a redirect": {serve: func(w http.ResponseWriter, r *http.Request) error {
		http.Redirect(w, r, "/y", http.StatusFound)
		return nil
	}},
	"what the client has": {serve: plainly("Etag", `"a"`), options: []option{header("If-None-Match", `"b"`)}},
	"a trailer": {serve: func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Trailer", "X-T")
		_, err := io.WriteString(w, "answer")
		w.Header().Set("X-T", "1")
		return err
	}},
	"a read file": {serve: func(w http.ResponseWriter, _ *http.Request) error {
		_, err := io.Copy(w, struct{ io.Reader }{strings.NewReader("answer")})
		return err
	}},
}

// When the cache holds back a head, the client gets what it gets without a cache, whatever the handler does after the head, and
// whether or not outer middleware recovers from a panic.
func TestAHeadThatWaitsChangesNothingForItsClient(t *testing.T) {
	quiet := log.New(io.Discard, "", 0)
	runLive(t, func(t *testing.T, s *site) {
		for _, recovers := range []bool{false, true} {
			for name, at := range held {
				serve := at.serve
				path := fmt.Sprint("/", recovers, "/", strings.ReplaceAll(name, " ", "-"))
				s.handle("GET "+path, cache.Policy{}, serve)
				s.handlePlain("GET /plain"+path, serve)
			}
		}
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer func() {
					if strings.Contains(r.URL.Path, "/true/") && recover() != nil { // as recoverers do
						w.WriteHeader(http.StatusInternalServerError)
					}
				}()
				next.ServeHTTP(w, r)
			})
		})
		server := httptest.NewUnstartedServer(s)
		server.Config.ErrorLog = quiet
		server.Start()
		defer server.Close()
		for _, recovers := range []bool{false, true} {
			for name, at := range held {
				if at.echo && strings.HasPrefix(s.router.name, "echo") {
					continue
				}
				path := fmt.Sprint("/", recovers, "/", strings.ReplaceAll(name, " ", "-"))
				want := received(t, server.URL+"/plain"+path, at.options...)
				got := received(t, server.URL+path, at.options...)
				if want.header["Content-Length"] == nil { // known to a cache that has kept it
					got.header.Del("Content-Length")
				}
				for _, ours := range []string{"Cache-Status", "Etag", "Accept-Ranges", "Date", "Cache-Control"} {
					if want.header[ours] == nil || ours == "Date" {
						got.header.Del(ours)
						want.header.Del(ours)
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s, recovered: %t: the client has %v; without a cache %v", name, recovers, clip(fmt.Sprint(got)), clip(fmt.Sprint(want)))
				}
			}
		}
	}, cache.SharedGlobal, cache.PerUser)
}

// net/http's server accepts a head that was held back without a complaint.
func TestAServerAcceptsAHeadThatWaited(t *testing.T) {
	runLive(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, plainly("Transfer-Encoding", "chunked"))
		var said strings.Builder
		server := httptest.NewUnstartedServer(s)
		server.Config.ErrorLog = log.New(&said, "", 0)
		server.Start()
		for range 2 {
			if got := received(t, server.URL+"/x"); got.body != "answer" {
				t.Errorf("the client has %v", got)
			}
		}
		server.Close()
		if said.Len() > 0 {
			t.Errorf("the server says %q", said.String())
		}
	}, cache.SharedGlobal, cache.PerUser)
}

// A client does not wait for a handler that goes on with something else after its response, if it would not without a cache.
func TestAHeadWaitsNoLongerThanWithoutACache(t *testing.T) {
	runLive(t, func(t *testing.T, s *site) {
		for name, write := range map[string]func(w http.ResponseWriter){
			"flushed":             func(w http.ResponseWriter) { w.WriteHeader(200); _ = http.NewResponseController(w).Flush() },
			"written and flushed": func(w http.ResponseWriter) { _, _ = io.WriteString(w, "a"); _ = http.NewResponseController(w).Flush() },
			"long":                func(w http.ResponseWriter) { _, _ = io.WriteString(w, strings.Repeat("a", 8<<10)) },
			"long in pieces":      func(w http.ResponseWriter) { _ = pieces(80, strings.Repeat("a", 100))(w, nil) },
		} {
			read := make(chan struct{})
			path := "/" + strings.ReplaceAll(name, " ", "-")
			s.handle("GET "+path, cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
				write(w)
				select {
				case <-read:
				case <-time.After(10 * time.Second):
					t.Errorf("%s: the client has nothing while the handler runs", name)
				}
				return nil
			})
			defer func() {
				server := httptest.NewServer(s)
				defer server.Close()
				r, _ := http.NewRequest(http.MethodGet, server.URL+path, nil)
				r.Header.Set("Cookie", "who=alice")
				resp, err := server.Client().Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				close(read)
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if saysStored(reply{header: resp.Header}) {
					t.Errorf("%s: Cache-Status is %q before that is known", name, resp.Header.Values("Cache-Status"))
				}
			}()
		}
	}, cache.SharedGlobal, cache.FleetShared)
}

// counting is outer middleware's writer. It records its calls in order.
type counting struct {
	http.ResponseWriter
	calls []string
}

func (c *counting) WriteHeader(status int) {
	c.calls = append(c.calls, fmt.Sprint("head ", status, " ", c.Header().Get("X-A")))
	c.ResponseWriter.WriteHeader(status)
}

func (c *counting) Write(p []byte) (int, error) {
	c.calls = append(c.calls, fmt.Sprint("body ", len(p)))
	return c.ResponseWriter.Write(p)
}

// Outer middleware's writer gets one head and one body, with the fields that the header had at WriteHeader.
func TestOuterWritersAreToldOfAHeadOnce(t *testing.T) {
	for name, at := range map[string]struct {
		serve handler
		want  []string
	}{
		"with a head": {func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("X-A", "1")
			w.WriteHeader(http.StatusOK)
			w.Header().Set("X-A", "2")
			return pieces(3, "abc")(w, nil)
		}, []string{"head 200 1", "body 9"}},
		"without": {setting("X-A: 1"), []string{"head 200 1", "body 8"}},
		"not kept": {func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("X-A", "1")
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusOK)
			_, err := io.WriteString(w, "abc")
			return err
		}, []string{"head 200 1", "body 3"}},
		"flushed": {then(func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() }), []string{"head 200 ", "body 6"}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				if strings.HasPrefix(s.router.name, "echo") { // whose Response is in between
					return
				}
				nonce.Store(0) // for the length of the answer
				var w *counting
				s.outer = append(s.outer, func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
						w = &counting{ResponseWriter: to}
						next.ServeHTTP(w, r)
					})
				})
				s.handle("GET /x", cache.Policy{}, at.serve)
				s.get("/x")
				if !slices.Equal(w.calls, at.want) {
					t.Errorf("the writer was told %q; want %q", w.calls, at.want)
				}
			})
		})
	}
}

// If a handler hijacks the connection after its first bytes, these have been sent, as without a cache.
func TestAConnectionIsTakenBehindAHeadThatWaited(t *testing.T) {
	runLive(t, func(t *testing.T, s *site) {
		take := then(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, "0\r\n\r\n")
			_ = conn.Close()
		})
		s.handle("GET /x", cache.Policy{}, take)
		s.handlePlain("GET /plain", take)
		server := httptest.NewServer(s)
		defer server.Close()
		if got, want := received(t, server.URL+"/x"), received(t, server.URL+"/plain"); got.status != want.status || got.body != want.body || got.broken != want.broken {
			t.Errorf("the client has %v; without a cache %v", got, want)
		}
	}, cache.SharedGlobal)
}

// The policy's Cache-Control is only for responses that are stored. A handler may refuse to store its response after the head.
func TestAnAnswerThatIsRefusedLateLeavesAsTheHandlerSaid(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{Client: "max-age=600"}, then(func(_ http.ResponseWriter, r *http.Request) { cache.NoStore(r.Context()) }))
		if got := s.miss("/x").header.Get("Cache-Control"); strings.Contains(got, "max-age") {
			t.Errorf("Cache-Control is %q of an answer that is not kept", got)
		}
	})
}

// After a purge, a client that still has the same bytes gets a 304: the new response's entity tag is known before its head is sent.
func TestAClientThatHasTheSameBytesGetsNoneOfANewAnswer(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, text("answer"))
		tag := s.miss("/x").header.Get("Etag")
		s.purge(cache.Everything())
		got := s.miss("/x", header("If-None-Match", tag))
		wantStatus(t, got, http.StatusNotModified)
		wantBody(t, got, "")
		wantHeader(t, got, "Etag", tag)
		wantHeader(t, got, "Content-Length")
		wantBody(t, s.hit("/x"), "answer")
		s.mu.Lock()
		defer s.mu.Unlock()
		if !slices.ContainsFunc(s.events, func(ev cache.Event) bool { return ev.Outcome == cache.Miss && ev.Status == http.StatusNotModified }) {
			t.Errorf("no miss has the status 304: %v", s.events)
		}
	})
}

// If a handler panics before the client got any of its response, the client gets the stale one, if there is one.
// http.ErrAbortHandler reaches the server.
func TestAStaleAnswerStandsInForOneWhoseHeadWaits(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		var with any
		s.handle("GET /x", cache.Policy{TTL: time.Minute, StaleIfError: time.Hour}, func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = fmt.Fprint(w, "answer ", s.runs.Load())
			if s.runs.Load() > 1 {
				panic(with)
			}
			return nil
		})
		s.miss("/x")
		time.Sleep(2 * time.Minute)
		with = "no"
		wantBody(t, s.miss("/x"), "answer 1")
		if s.count(cache.Fault, "panic") != 1 {
			t.Errorf("the events are %v; want one of the panic", s.events)
		}
		with = http.ErrAbortHandler
		defer func() {
			if p := recover(); p != http.ErrAbortHandler {
				t.Errorf("the server meets %v; want http.ErrAbortHandler", p)
			}
		}()
		s.get("/x")
	}, shared...)
}
