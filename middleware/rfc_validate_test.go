package middleware_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// How stale responses are validated.
func TestStandardValidation(t *testing.T) {
	patient := cache.Policy{RFC9111: true, StaleIfError: time.Hour}
	obey(t, []rule{
		{of: "RFC 9111 §4.3.1: the handler sees the stored validators, and not the client's", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | Last-Modified: {-100s}
			GET | If-None-Match: "x" | If-Modified-Since: {-1s} => run #1 | saw If-None-Match: - | saw If-Modified-Since: -
			+10s
			origin 304 | ETag: "a" | Cache-Control: max-age=10
			GET | If-None-Match: "x" | If-Modified-Since: {-1s} => run #1 | saw If-None-Match: "a" | saw If-Modified-Since: {-110s}
			+10s
			GET => run #1 | saw If-None-Match: "a" | saw If-Modified-Since: {-120s} | saw Range: -`},
		{of: "RFC 9111 §4.3.4: a 304 updates the stored fields and the freshness", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | X-A: 1 | X-B: 1 | X-B: 2 | Content-Type: text/x
			GET => run #1
			+10s
			origin 304 | Cache-Control: max-age=20 | ETag: "a" | X-B: 3 | X-C: 4
			GET => run #1 | Age: 0 | X-A: 1 | X-B: 3 | X-C: 4 | Content-Type: text/x | Date: {-0s} | Cache-Control: ~max-age=20
			+19s
			GET => hit #1 | Age: 19 | X-A: 1 | X-B: 3 | X-C: 4 | Content-Type: text/x | Date: {-19s} | ETag: "a"
			+1s
			GET => run #1`},
		{of: "RFC 9111 §3.2: what tells of the stored body stays", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | body 0123456789 | Content-Type: text/x
			GET => run #1
			+10s
			origin 304 | ETag: "a" | Content-Length: 3 | Content-Range: bytes 0-2/10 | Content-Encoding: br | nil Content-Type
			GET => run #1 | Content-Length: 10 | Content-Range: - | Content-Encoding: - | Content-Type: text/x
			GET => hit #1 | Content-Length: 10 | Content-Range: - | Content-Encoding: - | Content-Type: text/x`},
		{of: "RFC 9111 §4.3.4: a 304 about another answer", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET => run #1
			+10s
			origin 304 | Cache-Control: max-age=10 | ETag: "b"
			GET => run2 304 | saw If-None-Match: -`},
		{of: "RFC 9111 §4.3.4: weakly compared", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: W/"a"
			GET => run #1
			+10s
			origin 304 | Cache-Control: max-age=10 | ETag: W/"a"
			GET => run #1 | saw If-None-Match: W/"a"
			GET => hit #1 | ETag: W/"a"
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET /strong => run #3
			+10s
			origin 304 | Cache-Control: max-age=10 | ETag: W/"a"
			GET /strong => run #3 | saw If-None-Match: "a"
			GET /strong => hit #3`},
		{of: "RFC 9111 §4.3.4: a strong tag is none of an answer that has it weak", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: W/"a" | body 0123456789
			GET => run #1
			+10s
			origin 304 | Cache-Control: max-age=10 | ETag: "a" | X-A: b
			GET => run2 304 | saw If-None-Match: -
			origin 304 | ETag: W/"a"
			GET => run #1 | ETag: W/"a" | X-A: -
			GET | Range: bytes=5- | If-Range: "a" => hit 200 #1`},
		{of: "RFC 9111 §4.3.4: nor of one that has none", script: `
			origin 200 | Cache-Control: max-age=10 | Last-Modified: {-100s}
			GET => run #1
			+10s
			origin 304 | Cache-Control: max-age=10 | Last-Modified: {-110s} | ETag: "a"
			GET => run2 304
			origin 304 | Cache-Control: max-age=10 | Last-Modified: {-110s} | ETag: W/"a"
			GET => run2 304
			origin 304 | Cache-Control: max-age=10 | Last-Modified: {-110s}
			GET => run #1 | ETag: -`},
		{of: "RFC 9111 §4.3.4: another date without a tag is another answer's", script: `
			origin 200 | Cache-Control: max-age=10 | Last-Modified: {-100s} | ETag: "a"
			GET => run #1
			+10s
			origin 304 | Cache-Control: max-age=10 | Last-Modified: {-1s}
			GET => run2 304
			origin 304 | Cache-Control: max-age=10 | Last-Modified: {-1s} | ETag: "a"
			GET => run #1 | Last-Modified: {-1s}`},
		{of: "RFC 9111 §4.3.4: by the date alone", script: `
			origin 200 | Cache-Control: max-age=10 | Last-Modified: {-100s}
			GET => run #1
			+10s
			origin 304 | Cache-Control: max-age=10
			GET => run #1 | saw If-None-Match: - | saw If-Modified-Since: {-110s}
			GET => hit #1`},
		{of: "RFC 9110 §13.1.3, §5.6.7: no condition is made of what is no date", script: `
			origin 200 | Cache-Control: max-age=10 | Last-Modified: yesterday
			GET => run #1
			+10s
			origin 200 | Cache-Control: max-age=10 | Last-Modified: Sat, 1 Jan 2000 00:00:00 GMT | ETag: "a"
			GET => run #2 | saw If-Modified-Since: - | saw If-None-Match: -
			+10s
			origin 304
			GET => run #2 | saw If-Modified-Since: - | saw If-None-Match: "a"`},
		{of: "RFC 9110 §13.1.2, §8.8.3: nor of what is no entity tag", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: a
			GET => run #1
			+10s
			origin 200 | Cache-Control: max-age=10 | ETag: w/"a"
			GET => run #2 | saw If-None-Match: -
			+10s
			origin 200 | Cache-Control: max-age=10 | ETag: "a", "b"
			GET => run #3 | saw If-None-Match: -
			+10s
			origin 200 | Cache-Control: max-age=10 | ETag: "a
			GET => run #4 | saw If-None-Match: -
			+10s
			origin 200 | Cache-Control: max-age=10 | ETag: * | Last-Modified: {-100s}
			GET => run #5 | saw If-None-Match: -
			+10s
			origin 304
			GET => run #5 | saw If-None-Match: - | saw If-Modified-Since: {-110s}`},
		{of: "RFC 9110 §8.8: nor of several validators where one is to be", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | ETag: "b" | Last-Modified: {-100s} | Last-Modified: {-200s}
			GET => run #1
			+10s
			origin 200
			GET => run #2 | saw If-None-Match: - | saw If-Modified-Since: -`},
		{of: "RFC 9111 §4.3.3: a 200 takes its place", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | X-A: 1
			GET => run #1
			+10s
			origin 200 | Cache-Control: max-age=10 | ETag: "b"
			GET => run #2 | X-A: -
			GET => hit #2 | X-A: - | ETag: "b"`},
		{of: "RFC 9111 §4.3.3: a 404 takes its place", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET => run #1
			+10s
			origin 404 | Cache-Control: max-age=10
			GET => run 404 #2
			GET => hit 404 #2`},
		{of: "RFC 9111 §4.3.3: an answer that is not kept does not", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET => run #1
			+10s
			origin 500
			GET => run 500 #2
			origin 304
			GET => run #1`},
		{of: "RFC 5861 §4: a 5xx within stale-if-error", policy: patient, script: `
			origin 200 | Cache-Control: max-age=10, stale-if-error=20 | ETag: "a" | X-A: 1
			GET => run #1
			+29s
			origin 500 | X-A: 2 | X-B: 2 | Set-Cookie: a=b
			GET => run #1 | Age: 29 | X-A: 1 | X-B: - | Set-Cookie: - | Cache-Status: ~fwd=stale; fwd-status=500
			origin panic
			GET => run #1
			+1s
			origin 503
			GET => run 503 #4`},
		{of: "a 304 that is one client's own", policy: patient, script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET => run #1
			+10s
			origin 304 | Cache-Control: max-age=10 | ETag: "a" | Set-Cookie: a=b
			GET => run #1 | Set-Cookie: a=b
			origin 304 | ETag: "a"
			GET => run #1 | Set-Cookie: -
			+10s
			origin 500
			GET => run #1`},
		{of: "a validation makes tags and a user's labels anew", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | Cache-Groups: "g"
			GET => run #1
			+10s
			origin 304 | ETag: "a" | Cache-Groups: "h"
			GET => run #1
			origin 200 | Cache-Group-Invalidation: "h" | ETag: "b"
			POST /other => run
			GET => run #4`},
	})
}

// A 304 whose fields forbid its storage also ends the stored response, however that could be used again: RFC 9111 §3.2, §4.3.4,
// §5.2.2.
func TestStandardDisowningValidation(t *testing.T) {
	const kept = `
			origin 200 | Cache-Control: public, max-age=10, stale-if-error=1000, stale-while-revalidate=0 | ETag: "a"
			GET => run #1
			GET => hit #1
			+10s
`
	const forgotten = `
			origin 500
			GET => run 500 | saw If-None-Match: -
			origin 200 | Cache-Control: max-age=10
			HEAD => run
			GET => run`
	obey(t, []rule{
		{of: "RFC 9111 §5.2.2.5: no-store", script: kept + `
			origin 304 | Cache-Control: no-store | ETag: "a"
			GET => run #1 | Cache-Control: ~no-store` + forgotten},
		{of: "RFC 9111 §5.2.2.7: private, where all are served", only: shared, script: kept + `
			origin 304 | Cache-Control: private, max-age=10 | ETag: "a"
			GET => run #1` + forgotten},
		{of: "RFC 9111 §5.2.2.7: private, where one user is", only: perUser, script: kept + `
			origin 304 | Cache-Control: private, max-age=10 | ETag: "a"
			GET => run #1
			GET => hit #1`},
		{of: "RFC 9213 §2.2: a targeted no-store", only: shared, script: kept + `
			origin 304 | CDN-Cache-Control: no-store | ETag: "a"
			GET => run #1` + forgotten},
		{of: "a Cache-Control that is none", script: kept + `
			origin 304 | Cache-Control: no-store= | ETag: "a"
			GET => run #1` + forgotten},
		{of: "RFC 9111 §4.1: it varies by what no request has", script: kept + `
			origin 304 | Vary: * | ETag: "a"
			GET => run #1` + forgotten},
		{of: "RFC 9111 §3.5: what is for who is authorized is no word about the rest", only: shared, script: kept + `
			origin 304 | Cache-Control: max-age=10 | ETag: "a"
			GET | Authorization: x => run #1
			origin 500
			GET => run #1`},
		{of: "RFC 9111 §5.2.2.5: of a variant", script: `
			origin 200 | Cache-Control: max-age=10, stale-if-error=1000 | ETag: "a" | Vary: X-A
			GET | X-A: a => run #1
			GET | X-A: b => run #2
			+10s
			origin 304 | Cache-Control: no-store | ETag: "a"
			GET | X-A: a => run #1
			origin 500
			GET | X-A: a => run 500 | saw If-None-Match: -
			GET | X-A: b => run #2`},
		{of: "RFC 5861 §3: of a refresh", script: `
			origin 200 | Cache-Control: max-age=10, stale-while-revalidate=1000 | ETag: "a"
			GET => run #1
			+10s
			origin 304 | Cache-Control: no-store | ETag: "a"
			GET => run #1 | saw If-None-Match: "a"
			GET => run 304 | saw If-None-Match: -`},
		{of: "RFC 9111 §3.2: it varies by more", script: `
			origin 200 | Cache-Control: max-age=10, stale-if-error=1000 | ETag: "a" | Vary: X-A
			GET | X-A: a | X-B: a => run #1
			+10s
			origin 304 | Cache-Control: max-age=10, stale-if-error=1000 | ETag: "a" | Vary: X-B
			GET | X-A: a | X-B: a => run #1
			GET | X-A: a | X-B: a => hit #1
			origin 500
			GET | X-A: a | X-B: b => run 500 | saw If-None-Match: -
			+10s
			GET | X-A: a | X-B: a => run #1`},
		{of: "RFC 9111 §3.2: it varies, and did not", script: kept + `
			origin 304 | ETag: "a" | Vary: X-A
			GET | X-A: a => run #1
			GET | X-A: a => hit #1
			origin 500
			GET | X-A: b => run 500 | saw If-None-Match: -`},
		{of: "what is one client's own is no word about the rest", script: kept + `
			origin 304 | ETag: "a" | Set-Cookie: a=b
			GET => run #1 | Set-Cookie: a=b
			origin 500
			GET => run #1 | Set-Cookie: -
			origin 304 | ETag: "a"
			GET => run #1 | Set-Cookie: - | saw If-None-Match: "a"`},
	})
}

// NoStore in the handler, with a 304, ends the stored response, too.
func TestStandardHandlersDisownWhatTheyConfirm(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		answer := answering(200, "a", "Cache-Control: max-age=10, stale-if-error=1000", `Etag: "a"`)
		s.handle("GET /x", standardPolicy, func(w http.ResponseWriter, r *http.Request) error { return answer(w, r) })
		s.missHit("/x")
		time.Sleep(10 * time.Second)
		answer = func(w http.ResponseWriter, r *http.Request) error {
			cache.NoStore(r.Context())
			return answering(304, "", `Etag: "a"`)(w, r)
		}
		wantBody(t, s.miss("/x"), "a")
		answer = answering(500, "")
		wantStatus(t, s.miss("/x"), 500)
	})
}

// Conditions of clients: RFC 9110 §13.
func TestStandardConditions(t *testing.T) {
	const kept = `
			origin 200 | Cache-Control: max-age=10 | ETag: W/"a" | Last-Modified: {-100s}
			GET => run #1
`
	obey(t, []rule{
		{of: "RFC 9110 §13.1.2: compared weakly", script: kept + `
			GET | If-None-Match: W/"a" => hit 304 empty | ETag: W/"a" | Content-Length: -
			GET | If-None-Match: "a" => hit 304 empty
			GET | If-None-Match: "b", "a" => hit 304 empty
			GET | If-None-Match: * => hit 304 empty
			GET | If-None-Match: "b" => hit #1
			HEAD | If-None-Match: "a" => hit 304 empty
			HEAD | If-None-Match: "b" => hit 200 empty`},
		{of: "RFC 9110 §13.1.3: If-Modified-Since", script: kept + `
			GET | If-Modified-Since: {-100s} => hit 304 empty
			GET | If-Modified-Since: {-101s} => hit #1
			GET | If-Modified-Since: never => hit #1`},
		{of: "RFC 9110 §13.1.3: If-None-Match goes before it", script: kept + `
			GET | If-None-Match: "b" | If-Modified-Since: {-1s} => hit #1
			GET | If-None-Match: "a" | If-Modified-Since: {-200s} => hit 304 empty`},
		{of: "RFC 9110 §13.2.2: also of an answer that was just made, or confirmed", script: kept + `
			GET /x | If-None-Match: "a" => run 304 empty | Content-Length: -
			GET /x => hit #2
			+10s
			origin 304 | ETag: W/"a" | X-A: b
			GET /x | If-None-Match: "a" => run 304 empty | X-A: b
			GET /x => hit #2 | X-A: b`},
		{of: "RFC 9110 §13.2.2: a condition goes before a range", script: kept + `
			GET | If-None-Match: "a" | Range: bytes=0-1 => hit 304 empty | Content-Range: -
			GET | If-None-Match: "b" | Range: bytes=0-1 => hit 206 #1[0:2]`},
		{of: "RFC 9110 §13.2.2: also of a part that was just made", script: `
			origin 206 | Cache-Control: max-age=10 | ETag: "a" | Content-Range: bytes 0-1/10 | body 01
			GET | If-None-Match: "a" | Range: bytes=0-1 => run 304 empty | Content-Range: -
			GET | If-None-Match: "a" | Range: bytes=0-1 => hit 304 empty`},
	})
}

// A HEAD is served from what is stored, and may update it: RFC 9111 §4.3.5.
func TestStandardHead(t *testing.T) {
	obey(t, []rule{
		{of: "RFC 9110 §9.3.2: answered by what is stored", script: `
			origin 200 | Cache-Control: max-age=10 | body 0123456789 | X-A: b
			HEAD => run | X-A: b
			GET => run #2
			HEAD => hit empty | Content-Length: 10 | X-A: b`},
		{of: "RFC 9111 §4.3.5: updates what is stale", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | X-A: 1 | body 0123456789
			GET => run #1
			+10s
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | X-A: 2 | Content-Length: 10 | body 0123456789
			HEAD => run | X-A: 2 | saw If-None-Match: -
			GET => hit #1 | X-A: 2 | Age: 0
			+9s
			GET => hit #1 | X-A: 2 | Age: 9`},
		{of: "RFC 9111 §4.3.5: not by one of another length, nor of another tag", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | body 0123456789
			GET => run #1
			+10s
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | Content-Length: 9 | body 012345678
			HEAD => run
			origin 200 | Cache-Control: max-age=10 | ETag: "b" | body 0123456789
			HEAD => run
			GET => run #4 | saw If-None-Match: "a"`},
		{of: "RFC 9111 §4.3.5: nor by one that has the tag strong", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: W/"a" | body 0123456789
			GET => run #1
			+10s
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | body 0123456789
			HEAD => run
			GET => run #3 | saw If-None-Match: W/"a"`},
		{of: "RFC 9111 §4.3.5: which make it stale", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET => run #1
			GET => hit #1
			origin 200 | Cache-Control: max-age=10 | ETag: "b"
			HEAD | Cache-Control: no-cache => run
			GET => run #3 | saw If-None-Match: "a"`},
		{of: "RFC 9111 §3.2, §4.3.5: it varies by more", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | Vary: X-A | body 0123456789
			GET | X-A: a | X-B: a => run #1
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | Vary: X-B | body 0123456789
			HEAD | Cache-Control: no-cache | X-A: a | X-B: a => run
			GET | X-A: a | X-B: a => hit #1
			GET | X-A: a | X-B: b => run`},
		{of: "RFC 9111 §4.3.5: also a part", script: `
			origin 206 | Cache-Control: max-age=10 | ETag: "a" | Content-Range: bytes 0-4/10 | X-A: 1 | body 01234
			GET | Range: bytes=0-4 => run 206 #1
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | X-A: 2 | Content-Length: 10 | body 0123456789
			HEAD => run
			GET | Range: bytes=0-4 => hit 206 #1 | X-A: 1 | Content-Range: bytes 0-4/10
			origin 200 | Cache-Control: max-age=10 | ETag: "b" | body abcdefghij
			HEAD => run
			GET | Range: bytes=0-4 => run #4
			origin 206 | Cache-Control: max-age=10 | ETag: "a" | Content-Range: bytes 0-4/10 | body 01234
			GET /x | Range: bytes=0-4 => run 206 #5
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | Content-Length: 9 | body 012345678
			HEAD /x => run
			GET /x | Range: bytes=0-4 => run #7`},
		{of: "RFC 9111 §4.3.5: one that may not be kept makes it stale", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET => run #1
			origin 200 | Cache-Control: no-store | ETag: "b"
			HEAD | Cache-Control: no-cache => run
			origin 304 | ETag: "a"
			GET => run #1 | saw If-None-Match: "a"
			GET => hit #1`},
		{of: "RFC 9111 §4.3.5: one that fails changes nothing", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET => run #1
			origin 500
			HEAD | Cache-Control: no-cache => run 500
			GET => hit #1`},
		{of: "RFC 9111 §4.3.5: without validators, by the length", script: `
			origin 200 | Cache-Control: max-age=10, stale-if-error=1000 | X-A: 1 | body 0123456789
			GET => run #1
			+10s
			origin 200 | Cache-Control: max-age=10 | X-A: 2 | Content-Length: 10 | body 0123456789
			HEAD => run | X-A: 2
			GET => hit #1 | X-A: 2 | Age: 0
			origin 200 | Cache-Control: max-age=10 | X-A: 3 | Content-Length: 9 | body 012345678
			HEAD | Cache-Control: no-cache => run | X-A: 3
			GET => run #3 | X-A: 3`},
		{of: "RFC 9111 §4.3.5: … by the body that the handler wrote for it", script: `
			origin 200 | Cache-Control: max-age=10, stale-if-error=1000 | X-A: 1 | body 0123456789
			GET => run #1
			+10s
			origin 200 | Cache-Control: max-age=10 | X-A: 2 | body 0123456789
			HEAD => run | X-A: 2
			GET => hit #1 | X-A: 2 | Age: 0
			origin 200 | Cache-Control: max-age=10 | X-A: 3 | body abcdefghij
			HEAD | Cache-Control: no-cache => run | X-A: 3
			GET => run #3 | X-A: 3`},
		{of: "RFC 9111 §4.3.5: … and by nothing it is stale", script: `
			origin 200 | Cache-Control: max-age=10, stale-if-error=1000 | body 0123456789
			GET => run #1
			GET => hit #1
			origin 200 | Cache-Control: max-age=10 | body
			HEAD | Cache-Control: no-cache => run
			GET => run`},
		{of: "RFC 9111 §4.3.5: … also of one that has a validator", script: `
			origin 200 | Cache-Control: max-age=10, stale-if-error=1000 | ETag: "a" | body 0123456789
			GET => run #1
			origin 200 | Cache-Control: max-age=10 | body 012345678
			HEAD | Cache-Control: no-cache => run
			GET => run | saw If-None-Match: "a"`},
	})
}
