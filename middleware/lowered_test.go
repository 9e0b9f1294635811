package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
)

// deploy makes a new process of the app whose route has another policy, on the same Redis.
func (s *site) deploy(change func(p *cache.Policy)) {
	p := *s.endpoints[0].policy
	change(&p)
	s.endpoints[0].policy = &p
	s.restart()
}

// A policy's times hold for what was kept under longer ones, from when a process that has them reads it; shorter ones stay.
func TestALoweredTimeHoldsForWhatIsKept(t *testing.T) {
	long := cache.Policy{TTL: time.Hour, StaleWhileRevalidate: time.Hour, StaleIfError: time.Hour, StatusTTL: map[int]time.Duration{404: time.Hour}}
	fails := false
	answer := func(w http.ResponseWriter, r *http.Request) error {
		switch {
		case fails:
			w.WriteHeader(http.StatusInternalServerError)
		case r.URL.RawQuery == "404":
			w.WriteHeader(http.StatusNotFound)
		}
		_, err := fmt.Fprint(w, "answer ", nonce.Add(1))
		return err
	}
	for name, test := range map[string]func(t *testing.T, s *site){
		"TTL": func(t *testing.T, s *site) {
			first := s.miss("/x")
			time.Sleep(30 * time.Second)
			s.deploy(func(p *cache.Policy) { p.TTL, p.StaleWhileRevalidate = time.Minute, 0 })
			wantBody(t, s.hit("/x"), first.body) // it is younger than a minute
			time.Sleep(31 * time.Second)
			s.miss("/x")
			s.hit("/x")
		},
		"TTL, of a copy in memory": func(t *testing.T, s *site) {
			s.miss("/x")
			time.Sleep(58 * time.Second)
			s.deploy(func(p *cache.Policy) { p.TTL, p.NearTTL, p.StaleWhileRevalidate = time.Minute, 0, 0 })
			s.get("/x") // spread may have ended it
			time.Sleep(3 * time.Second)
			s.get("/x")
			s.wantTotal(2)
		},
		"StatusTTL": func(t *testing.T, s *site) {
			s.miss("/x")
			s.miss("/x?404")
			s.deploy(func(p *cache.Policy) {
				p.StatusTTL, p.StaleWhileRevalidate = map[int]time.Duration{404: time.Minute}, 0
			})
			time.Sleep(61 * time.Second)
			s.hit("/x")
			s.miss("/x?404")
		},
		"StaleWhileRevalidate": func(t *testing.T, s *site) {
			first := s.miss("/x")
			s.deploy(func(p *cache.Policy) { p.TTL, p.StaleWhileRevalidate = time.Minute, time.Minute })
			time.Sleep(100 * time.Second)
			wantBody(t, s.get("/x", behindServer(s)), first.body)
			synctest.Wait()
			s.wantTotal(2)
			s.deploy(func(p *cache.Policy) { p.StaleWhileRevalidate = 0 })
			time.Sleep(61 * time.Second)
			s.miss("/x")
		},
		"StaleIfError": func(t *testing.T, s *site) {
			first := s.miss("/x")
			s.deploy(func(p *cache.Policy) { p.TTL, p.StaleWhileRevalidate, p.StaleIfError = time.Minute, 0, time.Minute })
			fails = true
			defer func() { fails = false }()
			time.Sleep(100 * time.Second)
			wantBody(t, s.get("/x"), first.body)
			time.Sleep(21 * time.Second)
			wantStatus(t, s.get("/x"), 500)
		},
		"raised": func(t *testing.T, s *site) {
			s.miss("/x")
			s.deploy(func(p *cache.Policy) { p.TTL, p.StaleWhileRevalidate = 2*time.Hour, 0 })
			time.Sleep(61 * time.Minute)
			s.miss("/x")
		},
		"the same": func(t *testing.T, s *site) {
			first := s.miss("/x")
			time.Sleep(50 * time.Minute)
			s.restart()
			wantBody(t, s.hit("/x"), first.body)
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				s.handle("GET /x", long, answer)
				test(t, s)
			}, inRedis...)
		})
	}
}

// So it is with Values.
func TestALoweredTTLHoldsForValues(t *testing.T) {
	for _, class := range []cache.Class{cache.HotShared, cache.FleetShared} {
		synctest.Test(t, func(t *testing.T) {
			far, loads := fartest.New(), 0
			for _, ttl := range []time.Duration{time.Hour, time.Minute} {
				c, err := cache.New(cache.Options{Far: far})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = c.Close(context.Background()) }()
				values := cache.NewValues(c, "n", cache.Policy{Class: class, TTL: ttl}, func(context.Context, string) (int, error) {
					loads++
					return loads, nil
				})
				for range 2 {
					if _, err := values.Get(t.Context(), "7"); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(61 * time.Second)
			}
			if loads != 2 {
				t.Errorf("%s: %d loads; want the lower TTL to end the first value", class, loads)
			}
		})
	}
}

func TestOnRedisALoweredTTLHolds(t *testing.T) {
	runRedis(t, func(t *testing.T, s *site, _ string) {
		s.handle("GET /x", cache.Policy{TTL: time.Hour}, s.mirror)
		first := s.missHit("/x")
		s.deploy(func(*cache.Policy) {})
		wantBody(t, s.hit("/x"), first.body)
		s.deploy(func(p *cache.Policy) { p.TTL = time.Nanosecond })
		s.miss("/x")
	}, inRedis...)
}
