package middleware_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// A GET's response serves a HEAD, and never the other way round.
func TestHeadIsAnsweredFromGet(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, text("a body of 23 characters"))
		wantBody(t, s.do("HEAD", "/x?first"), "a body of 23 characters") // the recorder does not know HEAD: it is the handler's answer
		wantBody(t, s.miss("/x?first"), "a body of 23 characters")
		before := s.runs.Load()
		for range 2 {
			got := s.do("HEAD", "/x?first")
			wantStatus(t, got, http.StatusOK)
			wantBody(t, got, "")
			wantHeader(t, got, "Content-Length", "23")
		}
		if s.runs.Load() != before {
			t.Error("HEAD runs the handler although the answer is kept")
		}
	})
}

// The handler sees no condition, and a 304 is never stored: the cache evaluates If-None-Match and If-Modified-Since.
func TestConditionsAreAnsweredByTheCache(t *testing.T) {
	const day = "Sat, 01 Jan 2000 00:00:00 GMT"
	const later = "Sun, 02 Jan 2000 00:00:00 GMT"
	const earlier = "Fri, 31 Dec 1999 00:00:00 GMT"
	tests := []struct {
		fields, conditions []string
		want               int
	}{
		{[]string{`Etag: "v1"`}, nil, 200},
		{[]string{`Etag: "v1"`}, []string{`If-None-Match: "v1"`}, 304},
		{[]string{`Etag: "v1"`}, []string{`If-None-Match: W/"v1"`}, 304},
		{[]string{`Etag: W/"v1"`}, []string{`If-None-Match: "v1"`}, 304},
		{[]string{`Etag: W/"v1"`}, []string{`If-None-Match: W/"v1"`}, 304},
		{[]string{`ETag: "v1"`}, []string{`If-None-Match: "v1"`}, 304},
		{[]string{`Etag: "v1"`}, []string{`If-None-Match: "v2"`}, 200},
		{[]string{`Etag: "v1"`}, []string{`If-None-Match: "v2", "v1"`}, 304},
		{[]string{`Etag: "v1"`}, []string{`If-None-Match: "v2"`, `If-None-Match: "v1"`}, 304},
		{[]string{`Etag: "v,1"`}, []string{`If-None-Match: "v", "1"`}, 200},
		{[]string{`Etag: "v,1"`}, []string{`If-None-Match: "x","v,1"`}, 304},
		{[]string{`Etag: "v1"`}, []string{`If-None-Match: *`}, 304},
		{nil, []string{`If-None-Match: *`}, 304},
		{nil, []string{`If-None-Match: "v1"`}, 200},
		{nil, []string{`If-None-Match: `}, 200},
		{[]string{`Etag: "v1"`}, []string{`If-None-Match: v1`}, 200},
		{[]string{`Etag: "v1"`}, []string{`If-None-Match: "v1`}, 200},
		{[]string{`Etag: "V1"`}, []string{`If-None-Match: "v1"`}, 200},
		{[]string{"Last-Modified: " + day}, []string{"If-Modified-Since: " + day}, 304},
		{[]string{"Last-Modified: " + day}, []string{"If-Modified-Since: " + later}, 304},
		{[]string{"Last-Modified: " + day}, []string{"If-Modified-Since: " + earlier}, 200},
		{[]string{"Last-Modified: " + day}, []string{"If-Modified-Since: today"}, 200},
		{nil, []string{"If-Modified-Since: " + day}, 200},
		{[]string{`Etag: "v1"`, "Last-Modified: " + day}, []string{`If-None-Match: "v2"`, "If-Modified-Since: " + later}, 200},
	}
	run(t, func(t *testing.T, s *site) {
		for i, test := range tests {
			s.handle(fmt.Sprint("GET /x", i), cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
				for name := range r.Header {
					if strings.HasPrefix(name, "If-") {
						t.Errorf("the handler saw %s", name)
					}
				}
				w.Header().Set("Content-Type", "text/x")
				return setting(test.fields...)(w, r)
			})
		}
		for i, test := range tests {
			var conditions []option
			for _, c := range test.conditions {
				name, value, _ := strings.Cut(c, ": ")
				conditions = append(conditions, header(name, value))
			}
			target := fmt.Sprint("/x", i)
			checkConditional(t, fmt.Sprintf("miss %q %q", test.fields, test.conditions), s.miss(target, conditions...), test.want)
			checkConditional(t, fmt.Sprintf("hit %q %q", test.fields, test.conditions), s.hit(target, conditions...), test.want)
			checkConditional(t, "a client that has nothing", s.hit(target), 200)
			checkConditional(t, "HEAD", withBody(s.do("HEAD", target, conditions...)), test.want)
		}
	})
}

// withBody stands in for the body that an answer to HEAD does not have.
func withBody(r reply) reply {
	if r.status == http.StatusOK {
		r.body = "answer"
	}
	return r
}

func checkConditional(t *testing.T, what string, got reply, want int) {
	t.Helper()
	if got.status != want || (got.body == "") != (want == 304) {
		t.Errorf("%s: %d with body %q; want %d", what, got.status, got.body, want)
	}
	if want == 304 && (got.header.Get("Content-Length") != "" || got.header.Get("Content-Type") != "") {
		t.Errorf("%s: a 304 with Content-Length or Content-Type: %v", what, got.header)
	}
}

// Ranges are cut from the stored whole; too many, overlapping ones or a failed If-Range get a 200.
func TestRangesAreServedFromTheWhole(t *testing.T) {
	body := strings.Repeat("0123456789", 100)
	many := "bytes=0-1" + strings.Repeat(",0-1", 999)
	tests := []struct {
		ranges, condition  string
		status             int
		body, contentRange string
	}{
		{"bytes=0-4", "", 206, "01234", "bytes 0-4/1000"},
		{"bytes=-3", "", 206, "789", "bytes 997-999/1000"},
		{"bytes=995-", "", 206, "56789", "bytes 995-999/1000"},
		{"bytes=1000-", "", 416, "", "bytes */1000"},
		{"lines=0-1", "", 200, body, ""},
		{"bytes=4-0", "", 200, body, ""},
		{"bytes=x", "", 200, body, ""},
		{"Bytes=0-4", "", 206, "01234", "bytes 0-4/1000"},
		{many, "", 200, body, ""},
		{"bytes=0-1,2-3,4-5,6-7,8-9", "", 200, body, ""},
		{"bytes=0-999,0-999", "", 200, body, ""},
		{"bytes=0-4", `"v1"`, 206, "01234", "bytes 0-4/1000"},
		{"bytes=0-4", `"v2"`, 200, body, ""},
		{"bytes=0-4", `W/"v1"`, 200, body, ""},
		{"bytes=0-4", "Sat, 01 Jan 2000 00:00:00 GMT", 200, body, ""},
	}
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Etag", `"v1"`)
			w.Header().Set("Content-Type", "text/plain")
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(body))
			return nil
		})
		got := s.miss("/x", header("Range", "bytes=0-1"))
		if s.class != cache.PerUser && got.status == 206 && got.body != "01" {
			t.Errorf("a range of what is not kept is answered %d %q", got.status, got.body)
		}
		wantBody(t, s.miss("/x"), body)
		for _, test := range tests {
			options := []option{header("Range", test.ranges)}
			if test.condition != "" {
				options = append(options, header("If-Range", test.condition))
			}
			got := s.hit("/x", options...)
			if got.status != test.status || test.status != 416 && got.body != test.body || got.header.Get("Content-Range") != test.contentRange {
				t.Errorf("%s: %d %q with Content-Range %q; want %d %q with %q", clip(test.ranges), got.status, clip(got.body),
					got.header.Get("Content-Range"), test.status, clip(test.body), test.contentRange)
			}
		}
		got = s.hit("/x", header("Range", "bytes=0-4,10-14"))
		if got.status != 206 || !strings.HasPrefix(got.header.Get("Content-Type"), "multipart/byteranges") || len(got.body) > 1000+1000 {
			t.Errorf("two ranges: %d %q", got.status, got.header.Get("Content-Type"))
		}
		wantBody(t, s.hit("/x"), body)
	})
}

// A body beyond MaxBody reaches its client and the waiters complete, and is not stored.
func TestLongBodiesReachEveryoneAndAreNotKept(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		size := func(w http.ResponseWriter, r *http.Request) error {
			n, _ := strconv.Atoi(r.PathValue("id"))
			time.Sleep(time.Second)
			chunk := n/20 + 1
			for ; n > 0; n -= chunk {
				if _, err := io.WriteString(w, strings.Repeat("x", min(n, chunk))); err != nil {
					return err
				}
			}
			return nil
		}
		s.handle("GET /x/{id}", cache.Policy{MaxBody: 10_000}, size)
		s.handle("GET /default/{id}", cache.Policy{}, size)
		if got := s.missHit("/x/10000"); len(got.body) != 10_000 {
			t.Errorf("the client has %d bytes; want 10000", len(got.body))
		}
		if got := s.neverKept("/x/10001"); len(got.body) != 10_001 {
			t.Errorf("the client has %d bytes; want 10001", len(got.body))
		}
		s.missHit("/default/1048576")
		s.neverKept("/default/1048577")
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				if got := s.get("/x/50000"); len(got.body) != 50_000 {
					t.Errorf("a client of many has %d bytes; want 50000", len(got.body))
				}
			})
		}
		all.Wait()
	})
}

// A Content-Length beyond MaxBody shows at once that the response will not be stored.
func TestDeclaredLengthDecidesEarly(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{MaxBody: 10}, setting("Content-Length: 20", "X-A: b"))
		s.neverKept("/x")
		if n := s.count(cache.Miss, "size"); n != 3 {
			t.Errorf("%d misses for the size; want 3", n)
		}
	})
}

// A body that does not match its Content-Length is not stored.
func TestBodiesOfTheWrongLengthAreNotKept(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		for i, length := range []string{"5", "100"} {
			s.handle(fmt.Sprint("GET /x", i), cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
				w.Header().Set("Content-Length", length)
				_, err := io.WriteString(w, "seven b")
				if tooLong := length == "5"; tooLong != (err == http.ErrContentLength) {
					t.Errorf("Write of 7 bytes at Content-Length %s: %v", length, err)
				}
				return nil
			})
		}
		s.neverKept("/x0")
		s.neverKept("/x1")
	})
}

// Write copies its bytes, so a handler may reuse its buffer.
func TestHandlersMayReuseTheirBuffers(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, _ *http.Request) error {
			buffer := make([]byte, 1000)
			for i := range 20 {
				for j := range buffer {
					buffer[j] = 'a' + byte(i)
				}
				_, _ = w.Write(buffer)
			}
			w.Header()["X-Late"] = []string{"late"}
			clear(buffer)
			return nil
		})
		var want bytes.Buffer
		for i := range 20 {
			want.WriteString(strings.Repeat(string(rune('a'+i)), 1000))
		}
		got := s.missHit("/x")
		wantBody(t, got, want.String())
		wantHeader(t, got, "X-Late")
	})
}

// Fields that are set after the head are neither sent nor stored, also if they change a slice that was set before.
func TestLateHeadersAreNotKept(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			values := []string{"in time"}
			w.Header()["X-Slice"] = values
			w.WriteHeader(http.StatusOK)
			values[0] = "late"
			w.Header().Set("X-Late", "late")
			w.Header().Set("Set-Cookie", "late=1")
			return s.mirror(w, r)
		})
		s.miss("/x")
		again := s.hit("/x")
		wantHeader(t, again, "X-Late")
		wantHeader(t, again, "Set-Cookie")
		wantHeader(t, again, "X-Slice", "in time")
	})
}

// When the client is gone in the middle of the body, the complete response is stored, or nothing.
func TestClientGoneMidBodyLeavesAWholeEntryOrNone(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 2048)
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, _ *http.Request) error {
			for rest := body; rest != ""; rest = rest[1024:] {
				if _, err := io.WriteString(w, rest[:1024]); err != nil {
					return err // as io.Copy does
				}
			}
			return nil
		})
		for after := 0; after < len(body); after += 4096 {
			ctx, cancel := context.WithCancel(t.Context())
			target := fmt.Sprint("/x?", after)
			s.ServeHTTP(&leaving{ResponseRecorder: httptest.NewRecorder(), after: after, cancel: cancel}, newRequest("GET", target, within(ctx)))
			cancel()
			wantBody(t, s.get(target), body)
			wantBody(t, s.hit(target), body)
		}
	})
}

// leaving is a client that is gone after some bytes.
type leaving struct {
	*httptest.ResponseRecorder
	after  int
	cancel func()
}

func (l *leaving) Write(p []byte) (int, error) {
	if l.Body.Len()+len(p) > l.after {
		l.cancel()
		return 0, io.ErrClosedPipe
	}
	return l.ResponseRecorder.Write(p)
}

// net/http's ServeContent does not handle all ranges as RFC 9110 §14 demands. The cache does, for hits of every kind, for waiters,
// and in both modes.
func TestRangesAreWhatTheLawMakesOfThem(t *testing.T) {
	const body = "0123456789"
	const whole, none, several = "whole", "none", "several"
	huge := "99999999999999999999"
	tests := []struct{ ask, want string }{ // the bytes, or the Content-Range of several, or none: 416
		{"bytes=0-1", "01"},
		{"bytes=-1", "9"},
		{"bytes=-10", body},
		{"bytes=-11", body},
		{"BYTES=9-", "9"},
		{"bytes=8-" + huge, "89"},
		{"bytes=-" + huge, body},
		{"bytes=0-1,-0", "01"},
		{"bytes=10-,-0,2-3", "23"},
		{"bytes= 0-1 ,\t, ", "01"},
		{"bytes=-0", none},
		{"bytes=-00", none},
		{"bytes=-0,-0", none},
		{"bytes=10-", none},
		{"bytes=10-11,-0", none},
		{"bytes=" + huge + "-", none},
		{"bytes=0-1,3-4", several},
		{"bytes=0-4,5-9", several},
		{"bytes=5-9,0-4", several},
		{"bytes=0-1,3-4,-0,10-", several},
		{"bytes=0-9,0-9", whole},
		{"bytes=0-5,4-9", whole},
		{"bytes=0-0,2-2,4-4,6-6,8-8", whole},
		{"bytes=5-4", whole},
		{"bytes=0-1,5-4", whole},
		{"bytes=" + huge + "-1", whole},
		{"bytes=0 - 1", whole},
		{"bytes =0-1", whole},
		{"bytes=0-1;x", whole},
		{"bytes=+0-1", whole},
		{"bytes=--1", whole},
		{"bytes=-+1", whole},
		{"bytes=-", whole},
		{"bytes=", whole},
		{"bytes=,", whole},
		{"bytes", whole},
		{"0-1", whole},
		{"items=0-1", whole},
		{"", whole},
	}
	check := func(t *testing.T, how, ask, want string, got reply) {
		t.Helper()
		ok, ranged := false, got.header.Get("Content-Range")
		switch want {
		case whole:
			ok = got.status == 200 && got.body == body && ranged == ""
		case none:
			ok = got.status == 416 && ranged == "bytes */10"
		case several:
			ok = got.status == 206 && strings.HasPrefix(got.header.Get("Content-Type"), "multipart/byteranges;") && strings.Count(got.body, "Content-Range: ") == 2
		default:
			first := strings.Index(body, want)
			ok = got.status == 206 && got.body == want && ranged == fmt.Sprintf("bytes %d-%d/10", first, first+len(want)-1)
		}
		if !ok {
			t.Errorf("%s: %q is answered %d %q %v; want %s", how, ask, got.status, got.body, got.header, want)
		}
	}
	run(t, func(t *testing.T, s *site) {
		failing, policies := false, map[string]cache.Policy{
			"/policy": {TTL: time.Minute, StaleIfError: time.Hour}, "/standard": {RFC9111: true, TTL: time.Minute, StaleIfError: time.Hour},
		}
		answer := func(body string) handler {
			return func(w http.ResponseWriter, r *http.Request) error {
				if time.Sleep(time.Second); failing {
					return answering(500, "")(w, r)
				}
				return answering(200, body, "Cache-Control: public", `Etag: "a"`, "Content-Type: image/x")(w, r)
			}
		}
		for path, p := range policies {
			s.handle("GET "+path, p, answer(body))
			s.handle("GET "+path+"/empty", p, answer(""))
		}
		for path := range policies {
			for _, tt := range tests {
				for _, got := range s.together(3, func(int) reply { return s.get(path, header("Range", tt.ask)) })[1:] {
					if got.body != body { // the handler's own answer, of which one waits for another's
						check(t, "together", tt.ask, tt.want, got)
					}
				}
				s.purge(cache.Everything())
			}
			s.get(path)
			s.get(path + "/empty")
			for _, tt := range tests {
				check(t, "a hit", tt.ask, tt.want, s.hit(path, header("Range", tt.ask)))
				check(t, "If-Range", tt.ask, tt.want, s.hit(path, header("Range", tt.ask), header("If-Range", `"a"`)))
				check(t, "another If-Range", tt.ask, whole, s.hit(path, header("Range", tt.ask), header("If-Range", `"b"`)))
				if got := s.hit(path, header("Range", tt.ask), header("If-None-Match", `"a"`)); got.status != 304 || got.header["Content-Range"] != nil {
					t.Errorf("%q of what the client has is answered %d %v", tt.ask, got.status, got.header)
				}
				head := s.do("HEAD", path, header("Range", tt.ask))
				if head.status != 200 || head.header.Get("Content-Length") != "10" || head.header["Content-Range"] != nil {
					t.Errorf("HEAD with %q is answered %d %v", tt.ask, head.status, head.header)
				}
				if got := s.hit(path+"/empty", header("Range", tt.ask)); got.status != 200 || got.header["Content-Range"] != nil || got.body != "" {
					t.Errorf("%q of nothing is answered %d %q %v", tt.ask, got.status, got.body, got.header)
				}
			}
			time.Sleep(2 * time.Minute)
			failing = true
			for _, tt := range tests {
				check(t, "instead of an error", tt.ask, tt.want, s.miss(path, header("Range", tt.ask)))
			}
			failing = false
		}
	})
}

// A date in If-Range is a strong validator only if the response was made later than the second that it names (RFC 9110 §8.8.2.2,
// §13.1.5).
func TestARangeIsHeldByAStrongDateOnly(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
		for path, p := range map[string]cache.Policy{"/policy": {}, "/standard": standardPolicy} {
			s.handle("GET "+path+"/{ago}", p, func(w http.ResponseWriter, r *http.Request) error {
				ago, _ := time.ParseDuration(r.PathValue("ago"))
				return answering(200, "0123456789", "Cache-Control: public, max-age=10", "Last-Modified: "+at(-ago))(w, r)
			})
		}
		for _, mode := range []string{"/policy", "/standard"} {
			for ago, status := range map[string]int{"0s": 200, "-5s": 200, "1s": 206, "1h": 206} {
				held := s.miss(mode + "/" + ago).header.Get("Last-Modified")
				time.Sleep(3 * time.Second)
				got := s.hit(mode+"/"+ago, header("Range", "bytes=0-1"), header("If-Range", held))
				if got.status != status {
					t.Errorf("%s: modified %s before it was made, it is answered %d; want %d", mode, ago, got.status, status)
				}
				for _, other := range []string{at(-2 * time.Hour), strings.Replace(held, "GMT", "UTC", 1), held + ", " + held, `"a"`, ""} {
					if got := s.hit(mode+"/"+ago, header("Range", "bytes=0-1"), header("If-Range", other)); got.status != 200 {
						t.Errorf("%s/%s: If-Range %q is answered %d; want 200", mode, ago, other, got.status)
					}
				}
				got = s.hit(mode+"/"+ago, header("Range", "bytes=0-1"), header("If-Range", held), header("If-Range", held))
				wantStatus(t, got, 200)
			}
		}
	})
}

// If-Range has one validator (RFC 9110 §13.1.5).
func TestARangeIsHeldByAStrongTagOnly(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /strong", cache.Policy{}, answering(200, "0123456789", `Etag: "a"`))
		s.handle("GET /weak", cache.Policy{}, answering(200, "0123456789", `Etag: W/"a"`))
		s.handle("GET /made", cache.Policy{}, answering(200, "0123456789"))
		for path, tags := range map[string][]string{
			"/strong": {`W/"a"`, `"a", "b"`, `"a"x`, `"b"`, `*`, `a`, `""`, ``}, "/weak": {`W/"a"`, `"a"`}, "/made": {"made"},
		} {
			made := s.miss(path).header.Get("Etag")
			for _, tag := range tags {
				if tag == "made" {
					tag = s.hit(path).header.Get("Etag")
				}
				if got := s.hit(path, header("Range", "bytes=0-1"), header("If-Range", tag)); got.status != 200 {
					t.Errorf("%s, whose tag is %s: If-Range %s is answered %d; want 200", path, made, tag, got.status)
				}
			}
		}
		wantStatus(t, s.hit("/strong", header("Range", "bytes=0-1"), header("If-Range", `"a"`)), 206)
	})
}

// A 416, as it looks over the wire.
func TestAnUnsatisfiableRangeOnTheWire(t *testing.T) {
	runLive(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, answering(200, "0123456789", "Content-Type: image/x"))
		server, _ := s.serve(false)
		for i, want := range []string{"HTTP/1.1 200 ", "HTTP/1.1 416 "} {
			raw := exchange(t, server, "GET /x HTTP/1.1\r\nHost: "+server.Listener.Addr().String()+"\r\nCookie: who=alice\r\nConnection: close\r\nRange: bytes=-0\r\n\r\n")
			if !strings.HasPrefix(raw, want) || strings.Contains(raw, "Content-Range: bytes */10\r\n") != (i > 0) {
				t.Errorf("request %d is answered %q; want %s", i, raw, want)
			}
			fetch(t, server.Client(), "GET", server.URL+"/x")
		}
	}, cache.SharedGlobal, cache.FleetShared)
}

// The conditions of a request hold for its range, too, over however many lines they are spread (RFC 9110 §5.3, §13.1.1, §13.1.4).
func TestARangeMeetsItsConditions(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, answering(200, "0123456789", `Etag: "a"`, "Last-Modified: Sat, 01 Jan 2000 00:00:00 GMT"))
		s.get("/x")
		for _, tt := range []struct {
			status int
			fields []option
		}{
			{206, []option{header("If-Match", `"a"`)}},
			{206, []option{header("If-Match", `"b", "a"`)}},
			{206, []option{header("If-Match", `"b"`), header("If-Match", `"a"`)}},
			{412, []option{header("If-Match", `"b"`)}},
			{412, []option{header("If-Match", `"b"`), header("If-Match", `W/"a"`)}},
			{206, []option{header("If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT")}},
			{412, []option{header("If-Unmodified-Since", "Fri, 31 Dec 1999 00:00:00 GMT")}},
		} {
			if got := s.get("/x", append(tt.fields, header("Range", "bytes=0-1"))...); got.status != tt.status {
				t.Errorf("answered %d %q, want %d", got.status, got.body, tt.status)
			}
		}
	})
}
