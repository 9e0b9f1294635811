package middleware_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
)

// A saying is one way to get an event with a reason.
type saying struct {
	policy  cache.Policy
	pattern string  // "": GET /x
	serve   handler // nil: the site's mirror
	target  string  // "": /x
	method  string  // "": GET
	options []option
	only    []cache.Class // nil: all
	echo    bool          // a returned error is nobody's business elsewhere

	before func(s *site)       // before the site starts
	ask    func(s *site) reply // nil: sends the request
	other  bool                // the reply is not the one that the event is of
}

var standardTTL = cache.Policy{RFC9111: true, TTL: time.Minute, StaleIfError: -1}

// hijackable is a client whose Hijack always fails.
type hijackable struct{ *httptest.ResponseRecorder }

func (hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errors.New("no") }

func (s *site) sendTo(w http.ResponseWriter, rec *httptest.ResponseRecorder, r *http.Request) reply {
	s.ServeHTTP(w, r)
	body, _ := io.ReadAll(rec.Result().Body)
	return reply{rec.Code, rec.Result().Header, string(body)}
}

// refusing is a far store that refuses every write.
type refusing struct{ *fartest.Store }

func (refusing) Set(context.Context, keying.Key, *store.Entry, time.Duration) error {
	return fmt.Errorf("full: %w", store.ErrRefused)
}

// then runs f in the handler, after its response.
func then(f func(w http.ResponseWriter, r *http.Request)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.WriteString(w, "answer")
		f(w, r)
		return err
	}
}

func lasting(d time.Duration) option {
	return func(r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), d)
		context.AfterFunc(ctx, cancel)
		*r = *r.WithContext(ctx)
	}
}

// onceStale gets the response, lets it expire, and gets it again.
func onceStale(options ...option) func(s *site) reply {
	return func(s *site) reply {
		s.get("/x")
		time.Sleep(2 * time.Minute)
		for i := range options {
			if options[i] == nil {
				options[i] = behindServer(s)
			}
		}
		got := s.get("/x", options...)
		synctest.Wait()
		return got
	}
}

// sayings has, for each reason, the ways to get it.
var sayings = map[cache.Reason][]saying{
	"method":        {{pattern: "/x", method: "POST"}},
	"override":      {{options: []option{header("X-HTTP-Method-Override", "DELETE")}}},
	"body":          {{options: []option{func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("abc")), 3 }}}},
	"upgrade":       {{options: []option{header("Connection", "Upgrade"), header("Upgrade", "websocket")}}},
	"connection":    {{policy: cache.Policy{Vary: []string{"X-A"}}, options: []option{header("Connection", "X-A"), header("X-A", "1")}}},
	"authorization": {{only: shared, options: []option{header("Authorization", "Bearer x")}}},
	"identity":      {{only: perUser, options: []option{as("")}}},
	"key":           {{policy: cache.Policy{Query: keying.Only("page")}, target: "/x?" + strings.Repeat("a=b&", 64<<10)}},
	"range":         {{options: []option{header("Range", "bytes=0-1")}}},
	"head":          {{method: "HEAD"}, {policy: standardTTL, method: "HEAD", serve: public(text("answer"))}},
	"handlers": {{only: inRedis, ask: func(s *site) reply {
		s.start()
		var handlers [2]http.Handler
		for i := range handlers {
			handlers[i] = s.cache.Middleware(cache.Policy{Class: s.class})(handler(s.mirror).plain())
		}
		mux := http.NewServeMux()
		mux.HandleFunc("GET /x", func(w http.ResponseWriter, r *http.Request) { handlers[len(r.URL.RawQuery)].ServeHTTP(w, r) })
		s.served = authenticated(mux)
		s.get("/x")
		return s.get("/x?a")
	}}},

	"request-no-store": {{policy: standardTTL, options: []option{header("Cache-Control", "no-store")}}},
	"condition":        {{policy: standardTTL, options: []option{header("If-Match", `"a"`)}}},
	"only-if-cached":   {{policy: standardTTL, options: []option{header("Cache-Control", "only-if-cached")}}},
	"loop": {{other: true, ask: func(s *site) reply {
		var got reply
		s.endpoints[0].serve = func(w http.ResponseWriter, r *http.Request) error {
			if inner := s.asks(r, "/x"); inner.status == http.StatusLoopDetected {
				got = inner
			}
			return nil
		}
		s.get("/x")
		return got
	}}},

	"status":           {{serve: answering(500, "answer")}, {policy: standardTTL, serve: answering(299, "answer")}},
	"no-store":         {{serve: setting("Cache-Control: no-store")}, {policy: standardTTL, serve: setting("Cache-Control: no-store")}},
	"private":          {{only: shared, serve: setting("Cache-Control: private")}},
	"cache-control":    {{serve: setting(`Cache-Control: max-age="`)}},
	"max-age":          {{serve: setting("Cache-Control: max-age=0")}, {policy: standardTTL, serve: setting("Cache-Control: max-age=0")}, {serve: setting("Age: 60", "Cache-Control: max-age=60")}},
	"set-cookie":       {{serve: setting("Set-Cookie: a=b")}},
	"vary":             {{serve: setting("Vary: *")}, {policy: standardTTL, serve: setting("Vary: *", "Cache-Control: max-age=60")}},
	"nonce":            {{serve: setting("Content-Security-Policy: script-src 'nonce-a'")}},
	"allow-origin":     {{serve: setting("Access-Control-Allow-Origin: https://a.example")}, {policy: standardTTL, serve: setting("Cache-Control: max-age=60", "Access-Control-Allow-Origin: https://a.example"), options: []option{header("Origin", "https://a.example")}}},
	"personal":         {{serve: setting("Clear-Site-Data: \"cache\"")}},
	"content-encoding": {{serve: setting("Content-Encoding: gzip")}},
	"partial":          {{serve: answering(206, "answer")}},
	"header": {{serve: func(w http.ResponseWriter, _ *http.Request) error {
		for i := range 100 {
			w.Header().Set(fmt.Sprint("X-", i), "1")
		}
		_, err := io.WriteString(w, "answer")
		return err
	}}},
	"size": {
		{policy: cache.Policy{MaxBody: 100}, serve: text(strings.Repeat("a", 101))},
		{policy: cache.Policy{MaxBody: 10 << 10}, serve: pieces(30, strings.Repeat("a", 1000))},
		{policy: cache.Policy{MaxBody: 100}, serve: pieces(30, "aaaaaaaaaa")},
	},
	"busy": {{before: func(s *site) {
		s.handle("GET /fill", cache.Policy{MaxBody: store.MaxEncoded}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Content-Length", strconv.Itoa(store.MaxEncoded))
			_, _ = io.WriteString(w, "a")
			time.Sleep(time.Minute)
			cache.NoStore(r.Context())
			return nil
		})
	}, ask: func(s *site) reply {
		s.start()
		go s.get("/fill", as("bob"))
		time.Sleep(time.Second)
		got := s.get("/x")
		time.Sleep(time.Minute)
		return got
	}}},
	"length": {{serve: setting("Content-Length: 100")}, {policy: standardTTL, serve: setting("Content-Length: 100", "Cache-Control: max-age=60")}},
	"stream": {{serve: then(func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() })},
		{serve: func(w http.ResponseWriter, _ *http.Request) error {
			_ = http.NewResponseController(w).Flush()
			_, err := io.WriteString(w, "data: 1\n\n")
			return err
		}}},
	"hijack": {{serve: func(w http.ResponseWriter, _ *http.Request) error {
		_, _, _ = http.NewResponseController(w).Hijack()
		_, err := io.WriteString(w, "answer")
		return err
	}, ask: func(s *site) reply {
		rec := httptest.NewRecorder()
		return s.sendTo(hijackable{rec}, rec, newRequest("GET", "/x"))
	}}},
	"unwrap": {{serve: func(w http.ResponseWriter, _ *http.Request) error {
		for {
			u, ok := w.(interface{ Unwrap() http.ResponseWriter })
			if !ok {
				break
			}
			w = u.Unwrap()
		}
		_, err := io.WriteString(w, "answer")
		return err
	}}},
	"no-answer": {{serve: func(http.ResponseWriter, *http.Request) error { return nil }}},
	"handler-no-store": {
		{serve: then(func(_ http.ResponseWriter, r *http.Request) { cache.NoStore(r.Context()) })},
		{policy: standardTTL, serve: public(then(func(_ http.ResponseWriter, r *http.Request) { cache.NoStore(r.Context()) }))},
	},
	"handler-error": {{echo: true, serve: func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = io.WriteString(w, "answer")
		return errors.New("no")
	}}},
	"late-error": {{serve: then(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) })}},
	"panic": {{policy: cache.Policy{TTL: time.Minute, StaleWhileRevalidate: time.Hour}, ask: onceStale(), other: true, before: func(s *site) {
		s.endpoints[0].serve = s.counted(func(w http.ResponseWriter, r *http.Request) error {
			if s.runs.Load() > 1 {
				panic("no")
			}
			return s.mirror(w, r)
		})
	}}},
	"canceled": {{options: []option{lasting(time.Second)}, serve: then(func(http.ResponseWriter, *http.Request) { time.Sleep(2 * time.Second) })}},
	"tag":      {{pattern: "GET /x/{rest...}", target: "/x/", policy: cache.Policy{Tags: []string{"a:{rest}"}}}},
	"labels": {{serve: then(func(_ http.ResponseWriter, r *http.Request) {
		for i := range 300 {
			cache.AddTags(r.Context(), fmt.Sprint(i))
		}
	})}},
	"refresh-not-reached": {{policy: cache.Policy{TTL: time.Minute, StaleWhileRevalidate: time.Hour}, ask: onceStale(nil), other: true, before: func(s *site) {
		var requests atomic.Int64
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if requests.Add(1) < 3 {
					next.ServeHTTP(w, r)
				}
			})
		})
	}}},
	"request-cookie": {{policy: standardTTL, only: shared}},
	"request-user": {{policy: standardTTL, only: shared, options: []option{as(""), func(r *http.Request) {
		*r = *r.WithContext(cache.WithUser(r.Context(), "alice"))
	}}}},
	"trailer": {{serve: setting("Trailer: X-A")}, {serve: then(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(http.TrailerPrefix+"X-A", "1") })}},

	"skip":    {{policy: cache.Policy{Skip: func(*http.Request) bool { return true }}}},
	"vary-by": {{policy: cache.Policy{VaryBy: func(*http.Request) string { panic("no") }}}},

	"store": {
		{only: inRedis, before: func(s *site) { s.far.Down.Store(true) }},
		{only: inRedis, policy: standardTTL, serve: public(text("answer")), before: func(s *site) { s.far.Down.Store(true) }},
		{only: inRedis, before: func(s *site) {
			s.far.Before = func(op string, _ context.Context) { s.far.Down.Store(op == "set") }
		}},
		{only: inRedis, policy: standardTTL, serve: setting("Cache-Control: max-age=60", "Vary: X-A"), before: func(s *site) { // the index alone
			sets := 0
			s.far.Before = func(op string, _ context.Context) {
				if op == "set" {
					sets++
				}
				s.far.Down.Store(op == "set" && sets == 1)
			}
		}},
		{only: inRedis, policy: cache.Policy{TTL: time.Minute, StaleWhileRevalidate: time.Hour}, ask: onceStale(), other: true, before: func(s *site) {
			sets := 0
			s.far.Before = func(op string, _ context.Context) {
				if op == "set" {
					sets++
				}
				s.far.Down.Store(op == "set" && sets > 1)
			}
		}},
		{only: inRedis, policy: standardTTL, before: func(s *site) { // a validated answer
			s.endpoints[0].serve = s.counted(func(w http.ResponseWriter, r *http.Request) error {
				w.Header().Set("Etag", `"a"`)
				w.Header().Set("Cache-Control", "max-age=60")
				if r.Header.Get("If-None-Match") != "" {
					s.far.Before = func(op string, _ context.Context) { s.far.Down.Store(op == "set") }
					w.WriteHeader(http.StatusNotModified)
					return nil
				}
				_, err := io.WriteString(w, "answer")
				return err
			})
		}, ask: onceStale()},
	},
	"entry-refused": {
		{only: []cache.Class{cache.SharedGlobal}, serve: text(strings.Repeat("a", 3000)), before: func(s *site) {
			near := memstore.New(memstore.Options{MaxBytes: 1 << 10})
			s.t.Cleanup(func() { _ = near.Close() })
			s.options.Near = near
		}},
		{only: inRedis, before: func(s *site) { s.options.Far = refusing{s.far} }},
	},
	"purged-meanwhile": {{before: func(s *site) {
		s.endpoints[0].serve = s.counted(then(func(http.ResponseWriter, *http.Request) { s.purge(cache.Everything()) }))
	}}},
}

// pieces writes as many of the pieces.
func pieces(n int, piece string) handler {
	return func(w http.ResponseWriter, _ *http.Request) (err error) {
		for range n {
			if _, err = io.WriteString(w, piece); err != nil {
				return err
			}
		}
		return nil
	}
}

// detailOf is the detail of this cache's member of Cache-Status.
func detailOf(got reply) string {
	lines := got.header.Values("Cache-Status")
	if len(lines) == 0 {
		return ""
	}
	_, detail, _ := strings.Cut(lines[len(lines)-1], "; detail=")
	return detail
}

func saysStored(got reply) bool {
	return strings.Contains(strings.Join(got.header.Values("Cache-Status"), ","), "; stored")
}

// Cache-Status never contradicts the event, however the response ends: it says stored only if the response was stored.
func TestHeadAndEventNeverDisagree(t *testing.T) {
	for _, reason := range slices.Sorted(maps.Keys(sayings)) {
		for i, way := range sayings[reason] {
			t.Run(fmt.Sprint(reason, "/", i), func(t *testing.T) {
				run(t, func(t *testing.T, s *site) {
					if way.echo && !strings.HasPrefix(s.router.name, "echo") {
						return
					}
					s.provoke(way, reason)
				}, way.only...)
			})
		}
	}
}

func (s *site) provoke(way saying, reason cache.Reason) {
	serve := way.serve
	if serve == nil {
		serve = s.mirror
	}
	pattern, target, method := way.pattern, way.target, way.method
	if pattern == "" {
		pattern = "GET /x"
	}
	if target == "" {
		target = "/x"
	}
	if method == "" {
		method = http.MethodGet
	}
	s.handle(pattern, way.policy, serve)
	if way.before != nil {
		way.before(s)
	}
	var got reply
	if way.ask != nil {
		got = way.ask(s)
	} else {
		got = s.do(method, target, way.options...)
	}
	s.mu.Lock()
	events := slices.Clone(s.events)
	s.mu.Unlock()
	if !slices.ContainsFunc(events, func(ev cache.Event) bool { return ev.Outcome != cache.Fault && ev.Reason == reason }) {
		s.t.Errorf("no event but faults has the reason: %v", events)
	}
	if saysStored(got) {
		s.t.Errorf("Cache-Status is %q of an answer that is not kept", got.header.Values("Cache-Status"))
	}
	causes := map[string]bool{}
	for _, ev := range events {
		causes[string(ev.Cause)] = true
	}
	if detail := detailOf(got); !way.other && detail != "" && detail != string(reason) && !causes[detail] {
		s.t.Errorf("Cache-Status has the detail %q, and the events are %v", detail, events)
	}
}

// A stored response says so if its head can wait for that, and the next request is a hit in any case.
func TestAKeptAnswerSaysSoIfItsHeadCanWait(t *testing.T) {
	type kept struct {
		policy cache.Policy
		serve  handler
		says   bool
	}
	for name, way := range map[string]kept{
		"short":             {serve: text("answer"), says: true},
		"with a head":       {serve: answering(200, "answer"), says: true},
		"in pieces":         {serve: pieces(40, strings.Repeat("a", 100)), says: true},
		"empty":             {serve: text(""), says: true},
		"without a body":    {serve: func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(200); return nil }, says: true},
		"of another status": {policy: cache.Policy{StatusTTL: map[int]time.Duration{404: time.Minute}}, serve: answering(404, "answer"), says: true},
		"standard":          {policy: standardTTL, serve: public(text("answer")), says: true},
		"varying":           {policy: standardTTL, serve: setting("Cache-Control: max-age=60", "Vary: X-A"), says: true},
		"long":              {serve: text(strings.Repeat("a", 5000))},
		"long, in pieces":   {serve: pieces(50, strings.Repeat("a", 100))},
		"long, with its length": {serve: func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Content-Length", "5000")
			return pieces(50, strings.Repeat("a", 100))(w, r)
		}},
		"long and standard": {policy: standardTTL, serve: public(text(strings.Repeat("a", 5000)))},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				s.handle("GET /x", way.policy, way.serve)
				first := s.miss("/x")
				if saysStored(first) != way.says || detailOf(first) != string(middleware.CauseCold) {
					t.Errorf("Cache-Status is %q; want stored: %t", first.header.Values("Cache-Status"), way.says)
				}
				if s.count(cache.Miss, "") != 1 {
					t.Errorf("the events are %v", s.events)
				}
				again := s.hit("/x")
				wantBody(t, again, first.body)
				wantStatus(t, again, first.status)
				for field := range again.header {
					switch field {
					case "Age", "Cache-Status", "Date":
						continue
					}
					if way.says && !slices.Equal(first.header[field], again.header[field]) {
						t.Errorf("%s is %q of the first answer, and %q of the kept one", field, first.header[field], again.header[field])
					}
				}
			})
		})
	}
}

// unsaid are the reasons that only warnings have, not requests. Each has its own test.
var unsaid = []string{"nested", "user-in-shared", "outer-cookie", "check-inside", "hidden-header", "negotiated"}

// Each reason has an entry in sayings: otherwise TestHeadAndEventNeverDisagree would not check it.
func TestEveryReasonIsProvoked(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); ok && of.Name == "Reason" && strings.HasPrefix(spec.Names[0].Name, "Reason") {
			for _, value := range spec.Values {
				text, _ := strconv.Unquote(value.(*ast.BasicLit).Value)
				known[text] = true
			}
		}
		return true
	})
	if len(known) < 40 {
		t.Fatalf("%d reasons were found", len(known))
	}
	for reason := range known {
		if _, said := sayings[cache.Reason(reason)]; !said && !slices.Contains(unsaid, reason) {
			t.Errorf("nothing provokes the reason %q", reason)
		}
	}
	for reason := range sayings {
		if !known[string(reason)] {
			t.Errorf("there is no reason %q", reason)
		}
	}
}
