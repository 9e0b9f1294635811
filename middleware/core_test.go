package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/store/memstore"
)

func TestSecondRequestIsAHit(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		s.missHit("/x")
		s.missHit("/x?page=2")
	})
}

func TestAnswerIsReplayedAsItWas(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		body := strings.Repeat("<esi:include src=\"/evil\"/>\x00\xff\r\n", 300)
		s.handle("GET /x", cache.Policy{}, setting("Link: </a>; rel=preload", "Link: </b>; rel=preload", "Content-Type: text/x", "X-Empty: "))
		s.handle("GET /esi", cache.Policy{}, text(body))
		first, again := s.miss("/x"), s.hit("/x")
		for _, name := range []string{"Link", "Content-Type", "X-Empty"} {
			wantHeader(t, again, name, first.header.Values(name)...)
		}
		wantBody(t, again, first.body)
		wantBody(t, s.missHit("/esi"), body)
	})
}

func TestHitSaysSo(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{TTL: time.Minute, Class: s.class}, s.mirror)
		first := s.miss("/x")
		if got := first.header.Get("Cache-Status"); got != "larder; fwd=miss; stored; detail=cold" {
			t.Errorf("Cache-Status of a miss is %q", got)
		}
		wantHeader(t, first, "Age")
		time.Sleep(3 * time.Second)
		again := s.hit("/x")
		wantHeader(t, again, "Age", "3")
		tier := "near"
		if s.class == cache.PerUser || s.class == cache.FleetShared {
			tier = "far"
		}
		got := again.header.Values("Cache-Status")
		var ttl int
		if len(got) != 1 || !strings.HasSuffix(got[0], "; detail="+tier) {
			t.Fatalf("Cache-Status of a hit is %q; want one member with detail=%s", got, tier)
		}
		if _, err := fmt.Sscanf(got[0], "larder; hit; ttl=%d;", &ttl); err != nil || ttl < 50 || ttl > 57 {
			t.Errorf("Cache-Status of a hit is %q; want a ttl of 50 to 57", got)
		}
	})
}

func TestCacheStatusIsAppended(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.options.Name = "app"
		s.handle("GET /x", cache.Policy{}, setting("Cache-Status: origin; fwd=uri-miss"))
		s.miss("/x")
		got := s.hit("/x").header.Values("Cache-Status")
		if len(got) != 2 || got[0] != "origin; fwd=uri-miss" || !strings.HasPrefix(got[1], "app; hit;") {
			t.Errorf("Cache-Status is %q; want the origin's member and then app's hit", got)
		}
	})
}

func TestCacheStatusCanBeSwitchedOff(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.options.Name = "-"
		s.handle("GET /x", cache.Policy{}, s.mirror)
		wantHeader(t, s.miss("/x"), "Cache-Status")
		wantHeader(t, s.hit("/x"), "Cache-Status")
	})
}

func TestExpiredIsAbsent(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{TTL: 1500 * time.Millisecond}, s.mirror)
		s.miss("/x")
		time.Sleep(1300 * time.Millisecond)
		s.hit("/x")
		time.Sleep(200 * time.Millisecond)
		s.miss("/x")
		s.hit("/x")
	})
}

func TestDefaultTTLIsAMinute(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		s.miss("/x")
		time.Sleep(53 * time.Second)
		s.hit("/x")
		time.Sleep(7 * time.Second)
		s.miss("/x")
	})
}

func TestLifetimesAreSpread(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		const n = 400
		s.handle("GET /x", cache.Policy{TTL: 100 * time.Second, StaleIfError: -1}, text("x"))
		for i := range n {
			s.get(fmt.Sprint("/x?i=", i))
		}
		before := n
		for _, after := range []time.Duration{89, 92, 95, 98, 100} {
			time.Sleep(time.Until(start().Add(after * time.Second)))
			runs := s.runs.Load()
			for i := range n {
				s.do(http.MethodHead, fmt.Sprint("/x?i=", i)) // does not keep anything
			}
			kept := n - int(s.runs.Load()-runs)
			switch {
			case after == 89 && kept != n, after == 100 && kept != 0, after > 89 && (kept >= before || before-kept > n/2):
				t.Errorf("after %d%% of the TTL %d of %d are fresh, %d before; want all at first, then fewer and fewer", after, kept, n, before)
			}
			before = kept
		}
	})
}

// start is when a bubble's time begins.
func start() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

func TestRouteWithoutPolicyIsUntouched(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /cached", cache.Policy{}, s.mirror)
		s.handlePlain("GET /plain/{id}", s.mirror)
		got := s.neverKept("/plain/7", header("Authorization", "Bearer x"))
		for _, name := range []string{"Cache-Status", "Age", "Cache-Control"} {
			wantHeader(t, got, name)
		}
		if !strings.Contains(got.body, "Bearer x") || !strings.Contains(got.body, "who=alice") {
			t.Errorf("the handler of a route without a policy saw %q; want the whole request", got.body)
		}
	})
}

func TestUnsafeMethodsAreNeverCached(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("/x", cache.Policy{}, s.mirror)
		s.missHit("/x")
		for i, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			for range 2 {
				if got := s.do(method, "/x"); !strings.Contains(got.body, method+" example.com") {
					t.Errorf("%s was answered %q; want its own answer", method, got.body)
				}
			}
			if n := s.runs.Load(); n != int64(1+2*(i+1)) {
				t.Errorf("after %s the handlers ran %d times; want %d", method, n, 1+2*(i+1))
			}
		}
		if got := s.hit("/x"); !strings.Contains(got.body, "GET example.com") {
			t.Errorf("after other methods GET is answered %q", got.body)
		}
	})
}

// No request can manage the cache: there is no management on the data path.
func TestRequestsCannotManageTheCache(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		s.miss("/x")
		s.do("PURGE", "/x")
		s.do("BAN", "/x")
		s.hit("/x")
		s.missHit("/x?refresh=1")
		for _, field := range []string{"X-Purge: 1", "X-Refresh: 1", "Cache-Status: larder; hit", "X-Larder-Refresh: 1"} {
			name, value, _ := strings.Cut(field, ": ")
			s.hit("/x", header(name, value))
		}
	})
}

func TestSharedGlobalNeverTouchesRedis(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{TTL: time.Second}, s.mirror)
		for range 3 {
			s.missHit("/x")
			time.Sleep(time.Second)
		}
		if n := s.far.Operations(); n != 0 {
			t.Errorf("%d operations on Redis; want none", n)
		}
	}, cache.SharedGlobal)
	run(t, func(t *testing.T, s *site) {
		s.options = cache.Options{}
		s.handle("GET /x", cache.Policy{}, s.mirror)
		s.missHit("/x")
	}, cache.SharedGlobal)
}

func TestNearHitsIssueNoRedisCommand(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{TTL: time.Minute, NearTTL: 4 * time.Second}, s.mirror)
		s.miss("/x")
		if s.far.Len() != 1 {
			t.Errorf("a miss filled Redis with %d entries; want 1", s.far.Len())
		}
		before := s.far.Operations()
		for range 3 {
			s.hit("/x")
			time.Sleep(time.Second)
		}
		if n := s.far.Operations() - before; n != 0 {
			t.Errorf("hits within the near TTL issued %d operations; want none", n)
		}
		time.Sleep(2 * time.Second)
		s.hit("/x")
		if n := s.far.Operations() - before; n != 1 {
			t.Errorf("a hit after the near TTL issued %d operations; want 1", n)
		}
	}, cache.HotShared)
}

func TestNearCopyNeverOutlivesTheFarOne(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{TTL: 10 * time.Second, NearTTL: 8 * time.Second}, s.mirror)
		s.miss("/x")
		time.Sleep(8500 * time.Millisecond)
		s.hit("/x") // promoted again, for what is left
		time.Sleep(1500 * time.Millisecond)
		s.miss("/x")
	}, cache.HotShared)
}

// A process sees what another one has stored in Redis within the near TTL, without any message.
func TestProcessesConvergeWithinTheNearTTL(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{TTL: time.Minute, NearTTL: 5 * time.Second}, s.mirror)
		s.miss("/x")
		one, two := s.served, s.cache
		s.restart()
		first := s.hit("/x")
		s.far.Evict()
		s.restart()
		second := s.miss("/x") // a third process fills Redis
		if first.body == second.body {
			t.Fatal("the second answer is the first one")
		}
		s.served, s.cache = one, two
		time.Sleep(5 * time.Second)
		wantBody(t, s.hit("/x"), second.body)
	}, cache.HotShared)
}

func TestAnswersSurviveARestart(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		first := s.miss("/x")
		s.restart()
		if s.class == cache.SharedGlobal {
			s.miss("/x")
			return
		}
		wantBody(t, s.hit("/x"), first.body)
	})
}

func TestPerUserBytesNeverStayInTheProcess(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		near := memstore.New(memstore.Options{})
		t.Cleanup(func() { _ = near.Close() })
		s.options.Near = near
		s.handle("GET /x", cache.Policy{StaleWhileRevalidate: time.Minute}, s.mirror)
		s.missHit("/x")
		s.hit("/x", behindServer(s))
		s.far.Down.Store(true)
		s.neverKept("/x")
		s.neverKept("/x?down")
		if near.Len() != 0 {
			t.Errorf("process memory holds %d entries of per-user routes; want none", near.Len())
		}
	}, cache.PerUser, cache.FleetShared)
}

// A fault of the cache never fails a request, and coalescing goes on.
func TestRedisDownIsAMiss(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.far.Down.Store(true)
		s.handle("GET /x", cache.Policy{}, s.mirror)
		wantStatus(t, s.miss("/x"), http.StatusOK)
		got := s.get("/x")
		wantStatus(t, got, http.StatusOK)
		if want := int64(2); s.class != cache.HotShared && s.runs.Load() != want {
			t.Errorf("the handler ran %d times; want %d", s.runs.Load(), want)
		}
		if s.count(cache.Fault, cache.ReasonStore) == 0 {
			t.Error("no event tells of the fault")
		}
		s.far.Down.Store(false)
		time.Sleep(time.Minute)
		s.missHit("/x")
	}, inRedis...)
}

// deploy makes a new process of the app whose route has another policy, on the same Redis.
func (s *site) deploy(change func(p *cache.Policy)) {
	p := *s.endpoints[0].policy
	change(&p)
	s.endpoints[0].policy = &p
	s.restart()
}

// When a policy's times are lowered, they hold for responses that were stored with longer ones, in every process that has the
// new policy. Shorter times of a stored response stay.
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

// A lowered TTL holds for stored Values, too.
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
