package middleware_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// An answer that was old when it came is older when it leaves again, and is no longer good when its own time is over (RFC
// 9111 §4.2.3); the policy says for how long it is kept here.
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

// A page that answers another origin than the one that asks is one that its browser throws away.
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

// Who is served parts is told so: by answers that no compressor outside touches, from the first one on. Of others nothing is
// said, since caches in front would hand it on to clients who are not served parts.
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

// Outer middleware that says which ranges are served is believed.
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
