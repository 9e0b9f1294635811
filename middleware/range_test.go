package middleware_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// What net/http's ServeContent makes of ranges is not all what RFC 9110 §14 has it to be. Here it is, for hits of every kind,
// for those who wait, and in both modes.
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

// A date tells parts of one answer from those of another only if the answer was made later than in the second that it names
// (RFC 9110 §8.8.2.2, §13.1.5).
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

// The same, as it goes over the wire.
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

// The conditions of a range are those of the request, in as many lines as it has them (RFC 9110 §5.3, §13.1.1, §13.1.4).
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
