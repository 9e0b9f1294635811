package middleware_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// Ranges of a complete stored response: RFC 9110 §14.
func TestStandardRangesOfAWhole(t *testing.T) {
	const whole = `
			origin 200 | Cache-Control: max-age=100 | ETag: "a" | Last-Modified: {-100s} | Content-Type: text/x | body 0123456789
			GET => run #1
`
	obey(t, []rule{
		{of: "RFC 9110 §14.1.2: one range", script: whole + `
			GET | Range: bytes=0-1 => hit 206 #1[0:2] | Content-Range: bytes 0-1/10 | Content-Length: 2 | ETag: "a" | Content-Type: text/x | Cache-Control: ~max-age=100 | Age: 0
			GET | Range: bytes=8- => hit 206 #1[8:10] | Content-Range: bytes 8-9/10
			GET | Range: bytes=8-99 => hit 206 #1[8:10] | Content-Range: bytes 8-9/10
			GET | Range: bytes=-3 => hit 206 #1[7:10] | Content-Range: bytes 7-9/10
			GET | Range: bytes=-99 => hit 206 #1[0:10] | Content-Range: bytes 0-9/10
			HEAD | Range: bytes=0-1 => hit empty | Content-Length: 10 | Content-Range: -
			GET => hit #1 | Content-Range: -`},
		{of: "RFC 9110 §15.3.7.2: several ranges", script: whole + `
			GET | Range: bytes=0-1,8-9 => hit 206 | Content-Type: ~multipart/byteranges; boundary= | Content-Range: - | Cache-Control: ~max-age=100
			GET | Range: bytes=0-0,2-2,4-4,6-6 => hit 206 | Content-Type: ~multipart/byteranges`},
		{of: "RFC 9110 §17.15: more than four are not worth it", script: whole + `
			GET | Range: bytes=0-0,2-2,4-4,6-6,8-8 => hit #1 | Content-Range: -`},
		{of: "RFC 9110 §14.2: a range that is none is let pass", script: whole + `
			GET | Range: bytes=0-1 | Range: bytes=2-3 => hit #1`},
		{of: "RFC 9110 §15.5.17: a range outside", script: whole + `
			GET | Range: bytes=10- => hit 416 | Content-Range: bytes */10 | ETag: - | Cache-Control: !max-age | Set-Cookie: -
			GET => hit #1 | ETag: "a"`},
		{of: "RFC 9110 §13.1.5: If-Range", script: whole + `
			GET | Range: bytes=0-1 | If-Range: "a" => hit 206 #1[0:2]
			GET | Range: bytes=0-1 | If-Range: "b" => hit #1 | Content-Range: -
			GET | Range: bytes=0-1 | If-Range: W/"a" => hit #1
			GET | Range: bytes=0-1 | If-Range: {-100s} => hit 206 #1[0:2]
			GET | Range: bytes=0-1 | If-Range: {-99s} => hit #1
			GET | Range: bytes=0-1 | If-Range: yesterday => hit #1`},
		{of: "RFC 9110 §8.8.3.2: a weak tag holds no range", script: `
			origin 200 | Cache-Control: max-age=100 | ETag: W/"a" | body 0123456789
			GET => run #1
			GET | Range: bytes=0-1 | If-Range: W/"a" => hit #1
			GET | Range: bytes=0-1 => hit 206 #1[0:2]`},
		{of: "RFC 9111 §4.3: a range of what must be validated first", script: `
			origin 200 | Cache-Control: no-cache | ETag: "a" | body 0123456789
			GET => run #1
			origin 304 | ETag: "a"
			GET | Range: bytes=2-3 => run 206 #1[2:4] | saw If-None-Match: "a" | saw Range: -
			origin 200 | ETag: "b" | body abcdefghij
			GET | Range: bytes=2-3 => run #3`},
		{of: "what is one user's stays so in parts", only: perUser, script: whole + `
			GET | Range: bytes=0-1 => hit 206 #1[0:2] | Cache-Control: private, max-age=100
			GET | Range: bytes=0-1,3-4 => hit 206 | Cache-Control: private, max-age=100
			GET | Range: bytes=10- => hit 416 | Cache-Control: ~private
			GET | If-None-Match: "a" => hit 304 | Cache-Control: private, max-age=100
			GET | Range: bytes=0-1 | as bob => run #2
			GET | Range: bytes=0-1 | as bob => hit 206 #2[0:2]`},
	})
}

// Stored parts: RFC 9111 §3.3, §3.4.
func TestStandardParts(t *testing.T) {
	const part = "origin 206 | Cache-Control: max-age=100 | ETag: \"a\" | Content-Range: bytes "
	obey(t, []rule{
		{of: "RFC 9111 §3.3: a part answers for what lies in it", script: part + `2-5/10 | body 2345
			GET | Range: bytes=2-5 => run 206 #1 | saw Range: bytes=2-5 | Content-Range: bytes 2-5/10
			GET | Range: bytes=2-5 => hit 206 #1 | Content-Range: bytes 2-5/10 | Content-Length: 4
			GET | Range: bytes=3-4 => hit 206 #1[1:3] | Content-Range: bytes 3-4/10 | Content-Length: 2
			GET | Range: bytes=3-4 | If-Range: "a" => hit 206 #1[1:3]
			GET | Range: bytes=3-6 | as bob => run 206 #2`},
		{of: "RFC 9111 §3.3: a suffix, and an open range, need the end", script: part + `6-9/10 | body 6789
			GET | Range: bytes=-4 => run 206 #1
			GET | Range: bytes=-2 => hit 206 #1[2:4] | Content-Range: bytes 8-9/10
			GET | Range: bytes=7- => hit 206 #1[1:4] | Content-Range: bytes 7-9/10
			GET | Range: bytes=-5 => run 206 #2`},
		{of: "RFC 9110 §13.1.5: a part of another", script: part + `2-5/10 | body 2345
			GET | Range: bytes=2-5 => run 206 #1
			GET | Range: bytes=2-5 | If-Range: "b" => run 206 #2 | saw If-Range: "b"`},
		{of: "RFC 9111 §3.4: parts are joined by the same strong tag", script: part + `0-4/10 | body 01234
			GET | Range: bytes=0-4 => run 206 #1
			` + part + `5-7/10 | body 567
			GET | Range: bytes=5-7 => run 206 #2
			origin 206 | ETag: "x" | body 01234567
			GET | Range: bytes=0-7 => hit 206 | Content-Range: bytes 0-7/10
			GET | Range: bytes=4-5 => hit 206 | Content-Length: 2 | Content-Range: bytes 4-5/10`},
		{of: "RFC 9111 §3.4: … and are a whole when nothing is missing", script: part + `0-4/10 | body 01234
			GET | Range: bytes=0-4 => run 206 #1
			` + part + `5-9/10 | body 56789
			GET | Range: bytes=5-9 => run 206 #2
			origin 500 | body 0123456789
			GET /other => run 500 #3
			GET => hit #3 | Content-Length: 10 | Content-Range: -
			GET | Range: bytes=4-5 => hit 206 #3[4:6]
			HEAD => hit empty | Content-Length: 10 | Content-Range: -`},
		{of: "RFC 9111 §3.3: a plain GET has what is missing fetched", script: part + `0-4/10 | body 01234 | X-A: 1
			GET | Range: bytes=0-4 => run 206 #1
			` + part + `5-9/10 | body 56789 | X-A: 2
			GET => run | saw Range: bytes=5- | saw If-Range: "a" | X-A: 2 | Content-Length: 10 | Content-Range: - | Cache-Status: ~fwd=partial; fwd-status=206; stored
			origin 500 | body 0123456789
			GET /other => run 500 #3
			GET => hit #3 | X-A: 2 | Content-Range: -`},
		{of: "RFC 9111 §3.3: what is missing at the beginning", script: part + `6-9/10 | body 6789
			GET | Range: bytes=-4 => run 206 #1
			` + part + `0-5/10 | body 012345
			GET => run | saw Range: bytes=0-5 | Content-Length: 10
			GET => hit | Content-Length: 10`},
		{of: "RFC 9111 §3.3: the whole instead", script: part + `0-4/10 | body 01234
			GET | Range: bytes=0-4 => run 206 #1
			origin 200 | Cache-Control: max-age=100 | ETag: "b" | body abcdefghij
			GET => run #2 | Content-Range: -
			GET => hit #2 | ETag: "b" | Content-Range: -`},
		{of: "RFC 9111 §3.4: what does not belong together is asked for whole", script: part + `0-4/10 | body 01234
			GET | Range: bytes=0-4 => run 206 #1
			origin 206 | Cache-Control: max-age=100 | ETag: "b" | Content-Range: bytes 5-9/10 | body fghij
			GET => run2 206 | saw Range: - | saw If-Range: -`},
		{of: "RFC 9110 §15.5.17: a 416 that the client did not ask for is asked again", script: part + `0-4/10 | body 01234
			GET | Range: bytes=0-4 => run 206 #1
			origin 416 | Content-Range: bytes */3
			GET => run2 416 | saw Range: -`},
		{of: "RFC 9111 §3.4: no strong tag, no joining", script: `
			origin 206 | Cache-Control: max-age=100 | ETag: W/"a" | Content-Range: bytes 0-4/10 | body 01234
			GET | Range: bytes=0-4 => run 206 #1
			GET | Range: bytes=1-2 => hit 206 #1[1:3]
			origin 200 | Cache-Control: max-age=100 | body abcdefghij
			GET => run #2 | saw Range: - | saw If-Range: -`},
		{of: "RFC 9111 §3.3: the rest is requested without a tag, but not joined", script: `
			origin 206 | Cache-Control: max-age=100 | Content-Range: bytes 0-4/10 | body 01234
			GET | Range: bytes=0-4 => run 206 #1
			origin 200 | Cache-Control: max-age=100 | body abcdefghij
			GET => run #2 | saw Range: bytes=5- | saw If-Range: -`},
		{of: "RFC 9111 §3.4: a part from the middle lacks two", script: part + `3-4/10 | body 34
			GET | Range: bytes=3-4 => run 206 #1
			` + part + `6-7/10 | body 67
			GET | Range: bytes=6-7 => run 206 #2
			GET | Range: bytes=6-7 => hit 206 #2
			origin 200 | Cache-Control: max-age=100 | body 0123456789
			GET => run #3 | saw Range: -`},
		{of: "RFC 9111 §3.3: of what length is not known", script: part + `0-4/* | body 01234
			GET | Range: bytes=0-4 => run 206 #1
			GET | Range: bytes=0-4 => run 206 #2`},
		{of: "RFC 9111 §3: a part that nobody asked for", script: part + `0-4/10 | body 01234
			GET => run 206 #1
			GET => run 206 #2
			GET | Range: bytes=0-1 => run 206 #3`},
		{of: "RFC 9111 §3.3: a part says which it is", script: `
			origin 206 | Cache-Control: max-age=100 | ETag: "a" | body 01234
			GET | Range: bytes=0-4 => run 206 #1
			GET | Range: bytes=0-4 => run 206 #2
			origin 206 | Cache-Control: max-age=100 | ETag: "a" | Content-Type: multipart/byteranges; boundary=x | body --x
			GET | Range: bytes=0-1,3-4 => run 206 #3
			GET | Range: bytes=0-1,3-4 => run 206 #4`},
		{of: "RFC 9110 §14.4: a part that is not as long as it says", script: part + `0-4/10 | body 0123
			GET | Range: bytes=0-4 => run 206 #1
			GET | Range: bytes=0-4 => run 206 #2
			` + part + `0-4/10 | body 012345
			GET | Range: bytes=0-4 => run 206 #3
			GET | Range: bytes=0-4 => hit 206 #3[0:5]
			origin 200 | Cache-Control: max-age=100 | body 0123456789
			GET => run #4`},
		{of: "RFC 9111 §3: what a handler answers instead of a range", script: `
			origin 416 | Content-Range: bytes */10
			GET | Range: bytes=10- => run 416
			origin 200 | Cache-Control: max-age=100 | body 0123456789
			GET | Range: bytes=0-4 => run #2
			GET => hit #2
			GET | Range: bytes=0-4 => hit 206 #2[0:5]`},
		{of: "RFC 9111 §4: a part that is stale", script: part + `0-4/10 | body 01234
			GET | Range: bytes=0-4 => run 206 #1
			+100s
			GET | Range: bytes=0-4 => run 206 #2
			GET | Range: bytes=0-4 => hit 206 #2`},
		{of: "one user's parts", only: perUser, script: part + `0-4/10 | body 01234
			GET | Range: bytes=0-4 => run 206 #1 | Cache-Control: private, max-age=100
			GET | Range: bytes=0-4 => hit 206 #1 | Cache-Control: private, max-age=100
			GET | Range: bytes=0-4 | as bob => run 206 #2`},
		{of: "RFC 9111 §4.1: parts of variants", script: part + `0-4/10 | body 01234 | Vary: X-A
			GET | Range: bytes=0-4 | X-A: a => run 206 #1
			GET | Range: bytes=0-4 | X-A: a => hit 206 #1
			GET | Range: bytes=0-4 | X-A: b => run 206 #2`},
	})
}

// With net/http's ServeContent as the handler, every byte is right, whatever ranges are requested in whatever order.
func TestStandardRangesOverServeContent(t *testing.T) {
	const body = "0123456789abcdefghij"
	asks := []string{"", "bytes=0-4", "bytes=5-9", "bytes=-5", "bytes=3-12", "bytes=10-", "bytes=0-0,19-19", "bytes=15-19", "bytes=0-99", "bytes=20-", ""}
	modified := time.Now().Add(-time.Hour)
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Etag", `"a"`)
			w.Header().Set("Cache-Control", "max-age=5")
			http.ServeContent(w, r, "x.txt", modified, strings.NewReader(body))
			return nil
		})
		for start := range asks {
			for i := range asks {
				ask := asks[(i*7+start)%len(asks)]
				fields := []option{}
				if ask != "" {
					fields = append(fields, header("Range", ask))
				}
				got := s.get("/x", fields...)
				wrong := got.status == 206 && !strings.Contains(body, got.body) && !strings.Contains(ask, ",") ||
					got.status == 200 && got.body != body || ask == "" && got.status != 200 || ask == "bytes=20-" && got.status != 416
				if wrong || got.status != 200 && got.status != 206 && got.status != 416 {
					t.Errorf("start %d, %q: %d %q %v", start, ask, got.status, got.body, got.header)
				}
				time.Sleep(time.Second)
			}
			s.purge(cache.Everything())
		}
	})
}

// A part that one client demands from the origin does not replace a complete response that is good for all others.
func TestStandardPartsTakeNoWholesPlace(t *testing.T) {
	const whole = `
			origin 200 | Cache-Control: max-age=100, stale-while-revalidate=100 | body 0123456789
			GET => run #1
			origin 206 | Cache-Control: max-age=100 | Content-Range: bytes 0-0/10 | body 0
`
	obey(t, []rule{
		{of: "RFC 9111 §5.2.1.4: without a validator", script: whole + `
			GET | Range: bytes=0-0 | Cache-Control: no-cache => run 206 #2 | Cache-Status: !stored
			GET => hit #1
			GET | Range: bytes=8- => hit 206 #1[8:10]`},
		{of: "RFC 9111 §5.2.1.3: one that is fresh, but not for so long", script: whole + `
			GET | Range: bytes=0-0 | Cache-Control: min-fresh=101 => run 206 #2
			GET => hit #1`},
		{of: "RFC 5861 §3: one that may be served while it is refreshed", script: whole + `
			+100s
			GET | Range: bytes=0-0 | Cache-Control: no-cache => run 206 #2
			GET | Cache-Control: only-if-cached, max-stale => hit #1`},
		{of: "RFC 9111 §5.2.1.4: a whole does", script: whole + `
			origin 200 | Cache-Control: max-age=100 | body abcdefghij
			GET | Range: bytes=0-0 | Cache-Control: no-cache => run #2
			GET => hit #2`},
		{of: "RFC 9111 §3.3: and a part that of a part", script: `
			origin 206 | Cache-Control: max-age=100 | Content-Range: bytes 0-1/10 | body 01
			GET | Range: bytes=0-1 => run 206 #1
			origin 206 | Cache-Control: max-age=100 | Content-Range: bytes 0-1/10 | body ab
			GET | Range: bytes=0-1 | Cache-Control: no-cache => run 206 #2
			GET | Range: bytes=0-1 => hit 206 #2`},
	})
}
