package middleware_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store/memstore"
)

// misses gets the target and wants a miss of the cause, that the head tells, too.
func (s *site) misses(cause cache.Reason, fwd, target string, options ...option) {
	s.t.Helper()
	got := s.miss(target, options...)
	events := s.owned()
	var reason cache.Reason // it is kept, unless Redis is away
	if cause == middleware.CauseAway {
		reason = cache.ReasonStore
	}
	if ev := events[len(events)-1]; ev.Outcome != cache.Miss || ev.Reason != reason || ev.Cause != cause {
		s.t.Errorf("GET %s: %s, reason %q, cause %q; want a miss of cause %q", target, ev.Outcome, ev.Reason, ev.Cause, cause)
	}
	_, detail, _ := strings.Cut(got.header.Get("Cache-Status"), "detail=")
	if detail != string(cause) || fwd != "" && !strings.Contains(got.header.Get("Cache-Status"), "; fwd="+fwd+";") {
		s.t.Errorf("GET %s: Cache-Status %q; want fwd=%s and detail=%s", target, got.header.Get("Cache-Status"), fwd, cause)
	}
}

// A miss says why there was no hit, in its event and in its head.
func TestAMissSaysWhyThereWasNoHit(t *testing.T) {
	const cold, expired, purged, evicted, variant, away = middleware.CauseCold, middleware.CauseExpired, middleware.CausePurged,
		middleware.CauseEvicted, middleware.CauseVariant, middleware.CauseAway
	language := func(to string) option { return header("Accept-Language", to) }
	for name, tt := range map[string]struct {
		only []cache.Class
		play func(s *site, first string)
	}{
		"cold": {play: func(s *site, first string) {
			s.misses(cold, first, "/x")
			s.misses(cold, first, "/y")
		}},
		"expired": {play: func(s *site, first string) {
			s.misses(cold, first, "/x")
			time.Sleep(2 * time.Minute)
			s.misses(expired, "", "/x")
			time.Sleep(72 * time.Hour) // nothing of it is left anywhere
			s.misses(expired, first, "/x")
		}},
		"purged": {play: func(s *site, first string) {
			s.misses(cold, first, "/x")
			s.purge(cache.URL("/x"))
			s.misses(purged, first, "/x")
			s.hit("/x")
			s.purge(cache.Everything())
			s.misses(purged, first, "/x")
			if err := s.cache.Expire(s.t.Context(), cache.Everything()); err != nil {
				s.t.Error(err)
			}
			s.misses(purged, "", "/x")
			s.misses(cold, first, "/y")
		}},
		"evicted from memory": {only: []cache.Class{cache.SharedGlobal}, play: func(s *site, first string) {
			near := memstore.New(memstore.Options{MaxEntries: 2})
			s.t.Cleanup(func() { _ = near.Close() })
			s.options.Near = near
			s.misses(cold, first, "/x")
			for range 3 {
				s.misses(cold, first, "/"+string(rune('a'+s.runs.Load())))
			}
			s.misses(evicted, first, "/x")
		}},
		"evicted from Redis": {only: inRedis, play: func(s *site, first string) {
			s.misses(cold, first, "/x")
			s.far.Evict()
			time.Sleep(10 * time.Second) // the copy in memory has ended
			s.misses(evicted, first, "/x")
		}},
		"evicted from Redis, after another process had made it": {only: inRedis, play: func(s *site, first string) {
			s.misses(cold, first, "/x")
			s.restart()
			s.hit("/x")
			s.far.Evict()
			time.Sleep(10 * time.Second)
			s.misses(evicted, first, "/x")
		}},
		"Redis away": {only: inRedis, play: func(s *site, first string) {
			s.misses(cold, first, "/x")
			s.far.Down.Store(true)
			s.misses(away, "miss", "/y")
			time.Sleep(10 * time.Second)
			if s.class != cache.HotShared {
				s.misses(away, "miss", "/x")
			}
		}},
		"another variant": {play: func(s *site, first string) {
			s.misses(cold, first, "/varied", language("en"))
			s.misses(variant, "vary-miss", "/varied", language("de"))
			s.hit("/varied", language("en"))
			s.hit("/varied", language("de"))
			s.purge(cache.URL("/varied"))
			s.misses(purged, "", "/varied", language("de"))
		}},
	} {
		for mode, p := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				run(t, func(t *testing.T, s *site) {
					first := "miss"
					if p.RFC9111 {
						first = "uri-miss"
					}
					p := p
					p.StaleIfError = -1
					answer := func(w http.ResponseWriter, r *http.Request) error {
						w.Header().Set("Cache-Control", "max-age=60, public")
						if p.RFC9111 && r.URL.Path == "/varied" {
							w.Header().Set("Vary", "Accept-Language")
						}
						return text(r.URL.Path)(w, r)
					}
					s.handle("GET /{path}", p, answer)
					if p.Vary = []string{"Accept-Language"}; !p.RFC9111 {
						s.handle("GET /varied", p, answer)
					}
					tt.play(s, first)
				}, tt.only...)
			})
		}
	}
}

// Why there was no hit is told beside why the answer is not kept, which has the head's detail. A hit tells no cause, nor does
// one that a stale answer is, or what the client's own wish has made a miss.
func TestACauseIsNoReason(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /cookie", cache.Policy{}, setting("Set-Cookie: a=b"))
		s.handle("GET /x", cache.Policy{}, setting())
		s.handle("GET /standard", cache.Policy{RFC9111: true}, setting("Cache-Control: max-age=60, public"))
		got := s.miss("/cookie")
		events := s.owned()
		if ev := events[0]; ev.Reason != middleware.ReasonCookie || ev.Cause != middleware.CauseCold {
			t.Errorf("reason %q, cause %q", ev.Reason, ev.Cause)
		}
		if status := got.header.Get("Cache-Status"); !strings.HasSuffix(status, "detail=set-cookie") {
			t.Errorf("Cache-Status %q", status)
		}
		s.do(http.MethodHead, "/x")
		s.get("/x", header("Range", "bytes=0-1"))
		s.missHit("/x")
		s.missHit("/standard")
		s.get("/standard", header("Cache-Control", "no-cache"))
		events = s.owned()[1:]
		want := []cache.Event{{Outcome: cache.Bypass, Cause: "cold"}, {Outcome: cache.Bypass, Cause: "cold"}, {Outcome: cache.Miss, Cause: "cold"}, {Outcome: cache.Hit},
			{Outcome: cache.Miss, Cause: "cold"}, {Outcome: cache.Hit}, {Outcome: cache.Miss}}
		if len(events) != len(want) {
			t.Fatalf("%d events: %s", len(events), spelled(events))
		}
		for i, ev := range events {
			if ev.Outcome != want[i].Outcome || ev.Cause != want[i].Cause {
				t.Errorf("event %d: %s, reason %q, cause %q; want %s, %q", i, ev.Outcome, ev.Reason, ev.Cause, want[i].Outcome, want[i].Cause)
			}
		}
	})
}
