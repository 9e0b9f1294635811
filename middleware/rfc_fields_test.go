package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
)

// Which fields are stored, and how.
func TestStandardFields(t *testing.T) {
	obey(t, []rule{
		{of: "RFC 9111 §3.1: what is one connection's is not kept", script: `
			origin 200 | Cache-Control: max-age=10 | Connection: close, X-Hop | X-Hop: a | Keep-Alive: timeout=5 | Proxy-Authenticate: Basic | Proxy-Authentication-Info: x | Upgrade: h2c | Te: gzip | Proxy-Connection: x | X-End: b
			GET => run #1 | X-Hop: a
			GET => hit #1 | X-End: b | X-Hop: - | Connection: - | Keep-Alive: - | Proxy-Authenticate: - | Proxy-Authentication-Info: - | Upgrade: - | Te: - | Proxy-Connection: -`},
		{of: "RFC 9111 §3.1: nor when a 304 has it", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | X-Hop: a
			GET => run #1
			+10s
			origin 304 | ETag: "a" | Connection: X-Hop | X-Hop: b | Keep-Alive: timeout=5
			GET => run #1 | Keep-Alive: - | Connection: -
			GET => hit #1 | Keep-Alive: - | Connection: - | X-Hop: !b`},
		{of: "RFC 9110 §5.3: lines, their order and unknown fields are kept", script: `
			origin 200 | Cache-Control: max-age=10 | X-A: 1 | X-A: 2, 3 | X-A: | X-Unknown: ü | x-lower: c | Link: <a> | Link: <b> | Retry-After: 5 | X-Request-Id: d
			GET => run #1
			GET => hit #1 | X-A: 1, 2, 3,  | X-Unknown: ü | X-Lower: c | Link: <a>, <b> | Retry-After: 5 | X-Request-Id: d`},
		{of: "RFC 9110 §5.5: bytes beyond ASCII are kept", script: "\n origin 200 | Cache-Control: max-age=10 | X-A: \xff\xfe obs \x80 | X-Tab: a\tb\n GET => run #1\n GET => hit #1 | X-A: \xff\xfe obs \x80 | X-Tab: a\tb"},
		{of: "RFC 9110 §8.3: no type is made up where the handler wants none", script: `
			origin 200 | Cache-Control: max-age=10 | nil Content-Type | body <html>
			GET => run #1
			GET => hit #1 | Content-Type: !html
			HEAD => hit empty | Content-Type: !html
			GET | Range: bytes=0-1 => hit 206 | Content-Type: !html`},
		{of: "RFC 9111 §4.2.3: an Age, and this cache's own fields, are not kept", script: `
			origin 200 | Cache-Control: max-age=10 | Age: 5 | Cache-Status: Origin; hit
			GET => run #1 | Cache-Status: Origin; hit, larder; fwd=uri-miss; stored; detail=cold
			GET => hit #1 | Age: 5 | Cache-Status: ~larder; hit; ttl=5`},
		{of: "RFC 9110 §15.4.5: a 304 tells what a 200 would", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | Content-Location: /x | Vary: X-A | Expires: {+10s} | Date: {-0s} | Content-Type: text/x | Content-Language: en
			GET => run #1
			GET | If-None-Match: "a" => hit 304 empty | ETag: "a" | Content-Location: /x | Vary: X-A | Cache-Control: ~max-age=10 | Expires: {+10s} | Date: {-0s} | Content-Length: -`},
	})
}

// CDN-Cache-Control (RFC 9213) takes precedence in both modes.
func TestStandardTargetedControl(t *testing.T) {
	rules := []rule{
		{of: "RFC 9213 §2.2: it takes the place of Cache-Control", only: shared, script: `
			origin 200 | Cache-Control: no-store, max-age=1 | CDN-Cache-Control: max-age=10
			GET => run #1
			+8s
			GET => hit #1 | Cache-Control: no-store, max-age=1 | CDN-Cache-Control: max-age=10
			+2s
			GET => run #2`},
		{of: "RFC 9213 §2.2: … also to forbid", only: shared, script: `
			origin 200 | Cache-Control: max-age=10 | CDN-Cache-Control: no-store
			GET => run #1
			GET => run #2
			origin 200 | Cache-Control: max-age=10 | CDN-Cache-Control: private
			GET => run #3
			GET => run #4
			origin 200 | Cache-Control: max-age=10 | CDN-Cache-Control: no-store=?0, max-age=10
			GET => run #5
			GET => hit #5`},
		{of: "RFC 9213 §2.1: all of it is ignored when it is not valid", only: shared, script: `
			origin 200 | Cache-Control: max-age=10 | CDN-Cache-Control: no-store, max-age="5"
			GET /a => run #1
			GET /a => hit #1
			origin 200 | Cache-Control: max-age=10 | CDN-Cache-Control: no-store, &
			GET /b => run #2
			GET /b => hit #2
			origin 200 | Cache-Control: no-store | CDN-Cache-Control: max-age=10, =
			GET /c => run #3
			GET /c => run #4
			origin 200 | Cache-Control: no-store | CDN-Cache-Control: max-age=1.5
			GET /d => run #5
			GET /d => run #6
			origin 200 | Cache-Control: no-store | CDN-Cache-Control:
			GET /e => run #7
			GET /e => run #8`},
		{of: "RFC 9213 §2.1: what names fields leaves the rest in force", only: shared, script: `
			origin 200 | Cache-Control: max-age=10 | CDN-Cache-Control: no-store, private="X-A"
			GET => run #1
			GET => run #2
			origin 200 | Cache-Control: no-store | CDN-Cache-Control: no-cache=("X-A"), max-age=10
			GET => run #3
			GET => run #4`},
		{of: "RFC 9213 §2.1: one user's cache is no CDN", only: perUser, script: `
			origin 200 | Cache-Control: max-age=10 | CDN-Cache-Control: no-store
			GET => run #1
			GET => hit #1
			origin 200 | Cache-Control: no-store | CDN-Cache-Control: max-age=10
			GET /b => run #2
			GET /b => run #3`},
	}
	obey(t, rules)
	for i := range rules { // a lifetime of policy mode is spread downwards: by a bound of its own the answer's counts
		rules[i].policy = cache.Policy{TTL: time.Minute, StaleIfError: -1}
	}
	obey(t, rules)
}

// Fields that a targeted field names are not stored: RFC 9213 §2.1, RFC 9111 §5.2.2.4, §5.2.2.7.
func TestStandardTargetedFieldNames(t *testing.T) {
	var rules []rule
	for _, directive := range []string{`private="X-A"`, `no-cache="x-a"`, `private=X-A`, `private="X-C, X-A";x`, `no-cache="X-A", private="X-C"`} {
		rules = append(rules, rule{of: "RFC 9213 §2.1: " + directive, only: shared, script: `
			origin 200 | Cache-Control: no-store | CDN-Cache-Control: max-age=10, ` + directive + ` | X-A: 1 | X-B: 2
			GET => run #1 | X-A: 1 | X-B: 2
			GET => hit #1 | X-A: - | X-B: 2`})
	}
	rules = append(rules,
		rule{of: "RFC 9213 §2.1: the last one counts", only: shared, script: `
			origin 200 | CDN-Cache-Control: max-age=10, private="X-A" | CDN-Cache-Control: private="X-B" | X-A: 1 | X-B: 2
			GET => run #1
			GET => hit #1 | X-A: 1 | X-B: -`},
		rule{of: "RFC 9111 §5.2.2.7: names that are none stand for the whole", only: shared, script: `
			origin 200 | CDN-Cache-Control: max-age=10, private="" | X-A: 1
			GET => run #1
			GET => run #2
			origin 200 | CDN-Cache-Control: max-age=10, private="X A" | X-A: 1
			GET => run #3
			GET => run #4`},
		rule{of: "RFC 9111 §3.2: also those of a 304", only: shared, script: `
			origin 200 | CDN-Cache-Control: max-age=10 | ETag: "a" | X-A: 1
			GET => run #1
			GET => hit #1 | X-A: 1
			+10s
			origin 304 | CDN-Cache-Control: max-age=10, no-cache="X-A" | ETag: "a" | X-A: 2
			GET => run #1
			GET => hit #1 | X-A: -`})
	obey(t, rules)
}

// Cache-Status: RFC 9211.
func TestStandardCacheStatus(t *testing.T) {
	obey(t, []rule{
		{of: "RFC 9211 §2.1, §2.4: hit and ttl", script: `
			origin 200 | Cache-Control: max-age=10, stale-while-revalidate=10 | ETag: "a"
			GET => run #1 | Cache-Status: larder; fwd=uri-miss; stored; detail=cold
			+3s
			GET => hit #1 | Cache-Status: ~larder; hit; ttl=7; detail=
			+8s
			GET => run #1 | Cache-Status: ~larder; hit; ttl=-1; detail=`},
		{of: "RFC 9211 §2.2, §2.3: stale, and what the handler said", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET => run #1
			+10s
			origin 304
			GET => run #1 | Cache-Status: larder; fwd=stale; fwd-status=304; stored; ttl=10
			+10s
			origin 200 | Cache-Control: max-age=10
			GET => run #3 | Cache-Status: larder; fwd=stale; stored; detail=expired`},
		{of: "RFC 9211 §2.2: the request would not have it", script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			GET | Cache-Control: no-cache => run #2 | Cache-Status: larder; fwd=request; stored
			GET | Cache-Control: no-store => run #3 | Cache-Status: larder; fwd=request; detail=request-no-store
			GET | If-Match: "a" => run #4 | Cache-Status: larder; fwd=bypass; detail=condition
			GET /b | Cache-Control: only-if-cached => hit 504 | Cache-Status: larder; detail=only-if-cached`},
		{of: "RFC 9211 §2.2: the method, and what is not kept", script: `
			origin 200 | Cache-Control: no-store
			POST => run | Cache-Status: larder; fwd=method; detail=method
			GET => run | Cache-Status: larder; fwd=uri-miss; detail=no-store`},
		{of: "RFC 9211 §2: a member is appended to those of caches nearer to the origin", script: `
			origin 200 | Cache-Control: max-age=10 | Cache-Status: Far; hit
			GET | Cache-Control: no-store => run | Cache-Status: Far; hit, larder; fwd=request; detail=request-no-store
			HEAD => run | Cache-Status: Far; hit, larder; fwd=miss; detail=head
			GET => run | Cache-Status: Far; hit, larder; fwd=uri-miss; stored; detail=cold`},
	})
}

// Cache-Status has the key only if the Options ask for it (RFC 9211 §2.7).
func TestStandardCacheStatusTellsKeysInDebug(t *testing.T) {
	for _, debug := range []bool{false, true} {
		run(t, func(t *testing.T, s *site) {
			s.options.Debug = debug
			o := &origin{s: s, rule: rule{of: "RFC 9211 §2.7", script: map[bool]string{
				false: `
					origin 200 | Cache-Control: max-age=10 | Vary: X-A
					GET => run | Cache-Status: !key=
					GET => hit | Cache-Status: !key=`,
				true: `
					origin 200 | Cache-Control: max-age=10 | Vary: X-A
					GET => run | Cache-Status: ~; key="
					GET => hit | Cache-Status: ~; key="
					POST => run | Cache-Status: !key=`,
			}[debug]}}
			s.handle("/{rest...}", standardPolicy, o.serve)
			if o.applies() {
				o.play()
			}
		})
	}
}

// Cache-Status says collapsed for a request that shares another's run (RFC 9211 §2.6).
func TestStandardCacheStatusOfCollapsedRequests(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", standardPolicy, func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(time.Second)
			return answering(200, "a", "Cache-Control: max-age=10")(w, r)
		})
		told := map[string]int{}
		for _, got := range s.together(5, func(int) reply { return s.get("/x") }) {
			told[got.header.Get("Cache-Status")]++
		}
		if told["larder; fwd=uri-miss; stored; detail=cold"] != 1 || told["larder; fwd=uri-miss; collapsed"] != 4 {
			t.Errorf("Cache-Status tells %v", told)
		}
	})
}

// In policy mode the cache makes a validator if the handler sets none, and else uses the handler's.
func TestPolicyModeMakesValidators(t *testing.T) {
	policy := cache.Policy{TTL: time.Minute}
	obey(t, []rule{
		{of: "RFC 9110 §8.8.3: a weak tag of the bytes", policy: policy, script: `
			origin 200 | body one
			GET /a => run | ETag: ~W/"
			GET /a => hit | ETag: ~W/"
			GET /a | If-None-Match: * => hit 304
			GET /a | If-None-Match: "x" => hit
			GET /a | Range: bytes=0-0 => hit 206 #1[0:1] | ETag: ~W/"`},
		{of: "RFC 9110 §8.8.3: the handler's own", policy: policy, script: `
			origin 200 | ETag: W/"mine" | body one
			GET => run | ETag: W/"mine"
			GET => hit | ETag: W/"mine"
			GET | If-None-Match: "mine" => hit 304`},
		{of: "No-Vary-Search tells the policy's rules for the query", policy: cache.Policy{TTL: time.Minute, Query: keying.Only("page")}, script: `
			origin 200
			GET => run | No-Vary-Search: ~except=("page")
			GET => hit | No-Vary-Search: ~except=("page")
			origin 200 | No-Vary-Search: key-order
			GET /own => run | No-Vary-Search: key-order
			GET /own => hit | No-Vary-Search: key-order`},
	})
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /{id}", policy, func(w http.ResponseWriter, r *http.Request) error {
			return answering(200, r.PathValue("id")+r.PathValue("id"))(w, r)
		})
		tags := map[string]string{}
		for _, path := range []string{"/a", "/b", "/aa"} {
			s.miss(path)
			tag := s.hit(path).header.Get("Etag")
			if other, twice := tags[tag]; twice || tag == "" {
				t.Errorf("%s and %q have the tag %s", path, other, tag)
			}
			tags[tag] = path
			wantStatus(t, s.hit(path, header("If-None-Match", tag)), 304)
			s.purge(cache.URL(path))
			s.miss(path)
			wantHeader(t, s.hit(path), "Etag", tag) // the same bytes
		}
	})
}

// An interim response passes, and its fields are in no other response (RFC 8297): not in a new one, not in one that a handler
// confirms, fails to confirm or has made anew, and not in what is stored.
func TestStandardInterimFieldsStayInterim(t *testing.T) {
	answers := []func(http.ResponseWriter, *http.Request) error{
		answering(200, "one", `Etag: "a"`, "Cache-Control: no-cache, stale-if-error=1000"),
		answering(304, "", `Etag: "a"`),
		answering(304, "", `Etag: "b"`), // anew
		answering(200, "two", `Etag: "a"`, "Cache-Control: max-age=0, stale-if-error=1000"),
		answering(500, "oops"),
	}
	runLive(t, func(t *testing.T, s *site) {
		if strings.HasPrefix(s.router.name, "echo") && t.Failed() {
			return
		}
		s.handle("GET /x", cache.Policy{RFC9111: true}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
			return answers[min(int(s.runs.Load()), len(answers))-1](w, r)
		})
		server, client := s.serve(false)
		for i, want := range []struct {
			hints int
			body  string
		}{{1, "one"}, {1, "one"}, {2, "two"}, {1, "two"}} {
			hints := 0
			trace := &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
				hints++
				return nil
			}}
			r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", server.URL+"/x", nil)
			r.Header.Set("Cookie", "who=alice")
			response, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if response.StatusCode != 200 || string(body) != want.body || response.Header["Link"] != nil || hints != want.hints {
				t.Errorf("request %d: %d %q with %d interim answers, %v; want %q with %d", i, response.StatusCode, body, hints, response.Header, want.body, want.hints)
			}
		}
	})
}

// Header fields from outer middleware are set anew for each response, neither doubled nor stored. That holds also if a refresh
// without outer middleware confirms a response, and vice versa.
func TestStandardOuterFieldsAreNeitherKeptNorDoubled(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h := w.Header()
				h.Set("Vary", "Origin")
				h.Set("Link", "<outer>")
				h.Set("Content-Type", "text/outer")
				h.Set("X-Outer", fmt.Sprint(s.runs.Load()))
				h.Set("X-Removed", "yes")
				next.ServeHTTP(w, r)
			})
		})
		s.handle("GET /x", cache.Policy{RFC9111: true, StaleWhileRevalidate: 5 * time.Second}, func(w http.ResponseWriter, r *http.Request) error {
			h := w.Header()
			h.Add("Vary", "X-A")
			h.Add("Link", "<inner>")
			h.Del("X-Removed")
			h.Set("Cache-Control", "max-age=10")
			h.Set("Etag", `"a"`)
			if r.Header.Get("If-None-Match") != "" {
				h.Del("Content-Type") // as http.ServeContent does
				w.WriteHeader(http.StatusNotModified)
				return nil
			}
			h.Set("Content-Type", "text/inner")
			_, err := io.WriteString(w, "body")
			return err
		})
		for i := range 8 {
			got := s.get("/x", header("X-A", "a"), header("Origin", "o"))
			wantHeader(t, got, "Vary", "Origin", "X-A")
			wantHeader(t, got, "Link", "<outer>", "<inner>")
			wantHeader(t, got, "Content-Type", "text/inner")
			wantHeader(t, got, "X-Removed")
			if got.header.Get("X-Outer") == "" || got.body != "body" {
				t.Errorf("request %d: %q %v", i, got.body, got.header)
			}
			time.Sleep([]time.Duration{0, 12 * time.Second, 3 * time.Second, 20 * time.Second}[i%4])
		}
	})
}

// Cache groups (RFC 9875) are purged as tags are.
func TestStandardGroups(t *testing.T) {
	tagged := standardPolicy
	tagged.Tags = []string{"policy's"}
	const kept = `
			origin 200 | Cache-Control: max-age=1000 | Cache-Groups: "a", "b";x
			GET /ab => run #1
			origin 200 | Cache-Control: max-age=1000 | Cache-Groups: "b" | Cache-Groups: "B"
			GET /b => run #2
			origin 200 | Cache-Control: max-age=1000
			GET /none => run #3
`
	obey(t, []rule{
		{of: "RFC 9875 §3: a success of an unsafe method invalidates groups", script: kept + `
			origin 204 | Cache-Group-Invalidation: "a"
			POST /x => run 204
			GET /b => hit #2
			GET /none => hit #3
			GET /ab => run 204`},
		{of: "RFC 9875 §3: several, case as it is", script: kept + `
			origin 303 | Cache-Group-Invalidation: "A", "B"
			POST /x => run 303
			GET /ab => hit #1
			GET /b => run 303`},
		{of: "RFC 9875 §3: not on errors, not by safe methods, not what cannot be read", script: kept + `
			origin 400 | Cache-Group-Invalidation: "a"
			POST /x => run 400
			origin 200 | Cache-Group-Invalidation: "a"
			GET /x => run
			OPTIONS /x => run
			HEAD /x => run
			origin 200 | Cache-Group-Invalidation: a
			POST /x => run
			origin 200 | Cache-Group-Invalidation: "a", b
			POST /x => run
			GET /ab => hit #1`},
		{of: "a policy's tags are groups", policy: tagged, script: kept + `
			origin 204 | Cache-Group-Invalidation: "policy's"
			POST /x => run 204
			GET /none => run 204
			GET /ab => run 204`},
		{of: "… in policy mode too", policy: cache.Policy{TTL: time.Hour, Tags: []string{"policy's"}}, script: kept + `
			origin 204 | Cache-Group-Invalidation: "a"
			POST /x => run 204
			GET /b => hit #2
			GET /ab => run 204
			origin 204 | Cache-Group-Invalidation: "policy's"
			POST /x => run 204
			GET /b => run 204`},
		{of: "RFC 9875 §2: what is confirmed is in the groups that it was in", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | Cache-Groups: "g"
			GET => run #1
			+10s
			origin 304
			GET => run #1
			GET => hit #1
			origin 204 | Cache-Group-Invalidation: "g"
			POST /x => run 204
			GET => run 204 | saw If-None-Match: -`},
	})
}

// A group belongs to one origin; a tag does not.
func TestStandardGroupsAreOfOneOrigin(t *testing.T) {
	at := func(host string) option { return func(r *http.Request) { r.Host = host } }
	run(t, func(t *testing.T, s *site) {
		s.handle("/{rest...}", standardPolicy, setting("Cache-Control: max-age=1000", `Cache-Groups: "g"`, `Cache-Group-Invalidation: "g"`))
		s.miss("/a", at("one.example"))
		s.miss("/a", at("two.example"))
		s.do("POST", "/b", at("one.example"))
		s.hit("/a", at("two.example"))
		s.miss("/a", at("one.example"))
		s.purge(cache.Tag("g"))
		s.miss("/a", at("two.example"))
		s.miss("/a", at("one.example"))
	})
}

// Clear-Site-Data clears what this cache has stored for the user, as it clears a browser's cache.
func TestStandardClearSiteData(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		for pattern, fields := range map[string][]string{
			"/a": nil, "/logout": {`Clear-Site-Data: "cookies", "cache"`}, "/all": {`Clear-Site-Data: "*"`},
			"/others": {`Clear-Site-Data: "cookies"`}, "/unquoted": {"Clear-Site-Data: cache"},
		} {
			s.handle(pattern, standardPolicy, setting(append(fields, "Cache-Control: max-age=1000")...))
		}
		s.handle("/fails", standardPolicy, answering(500, "", `Clear-Site-Data: "cache"`))
		s.miss("/a")
		s.miss("/a", as("bob"))
		for _, path := range []string{"/others", "/unquoted", "/fails"} {
			s.get(path)
			s.hit("/a")
		}
		for _, path := range []string{"/logout", "/all"} {
			s.get(path)
			s.hit("/a", as("bob"))
			s.miss("/a")
			s.get(path) // it is not kept itself: it would not be heard a second time
			s.miss("/a")
		}
	}, perUser...)
}

// On a shared route Clear-Site-Data is a field like any other, and clears no shared responses.
func TestStandardClearSiteDataOnSharedRoutes(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("/a", standardPolicy, setting("Cache-Control: max-age=1000"))
		s.handle("/logout", standardPolicy, setting("Cache-Control: max-age=1000", `Clear-Site-Data: "*"`))
		s.miss("/a")
		s.get("/logout")
		s.hit("/a")
	}, shared...)
}
