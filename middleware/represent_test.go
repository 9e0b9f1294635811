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

// A HEAD is answered from a GET and never the other way: THREATS 70.
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

// THREATS 54, 72, 73.
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

// THREATS 67, 69.
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

// THREATS 81, 82.
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

// A declared length that is too long is known at once, and costs nothing.
func TestDeclaredLengthDecidesEarly(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{MaxBody: 10}, setting("Content-Length: 20", "X-A: b"))
		s.neverKept("/x")
		if n := s.count(cache.Miss, "size"); n != 3 {
			t.Errorf("%d misses for the size; want 3", n)
		}
	})
}

// A short body is no answer: THREATS 136, 138, 142.
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

// THREATS 106.
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

// THREATS 135: what is set after the head is neither sent nor kept, also when the slice was set before.
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

// The client's writer failing does not spoil the copy: THREATS 138.
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
