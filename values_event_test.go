package cache_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/internal/user"
)

// Every Get has exactly one event of its own, however it ends.
func TestEveryGetOfAValueHasOneEventOfItsOwn(t *testing.T) {
	type app struct {
		far  *fartest.Store
		get  func(ctx context.Context)
		fail error
	}
	together := func(a *app, ctx context.Context, first time.Duration) {
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { a.get(ctx) })
			time.Sleep(first)
		}
		wg.Wait()
	}
	for name, play := range map[string]func(t *testing.T, a *app){
		"a miss and a hit": func(t *testing.T, a *app) { a.get(alice(t)); a.get(alice(t)) },
		"nobody":           func(t *testing.T, a *app) { a.get(t.Context()) },
		"waiters":          func(t *testing.T, a *app) { together(a, alice(t), 0) },
		"an error":         func(t *testing.T, a *app) { a.fail = errors.New("down"); together(a, alice(t), 0) },
		"a panic":          func(t *testing.T, a *app) { a.fail = errPanics; together(a, alice(t), 0) },
		"Redis away":       func(t *testing.T, a *app) { a.far.Down.Store(true); together(a, alice(t), 0) },
		"a stale value":    func(t *testing.T, a *app) { a.get(alice(t)); time.Sleep(61 * time.Second); a.get(alice(t)) },
		"a stale value, of a load that fails": func(t *testing.T, a *app) {
			a.get(alice(t))
			time.Sleep(61 * time.Second)
			a.fail = errors.New("down")
			a.get(alice(t))
		},
		"a waiter that hangs up": func(t *testing.T, a *app) {
			ctx, cancel := context.WithCancel(alice(t))
			time.AfterFunc(time.Second/2, cancel)
			var wg sync.WaitGroup
			wg.Go(func() { a.get(alice(t)) })
			synctest.Wait()
			a.get(ctx)
			wg.Wait()
		},
	} {
		for _, class := range classes {
			t.Run(name+"/"+class.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a := &app{far: fartest.New()}
					var told sync.Mutex
					var events []cache.Event
					c, err := cache.New(cache.Options{Far: a.far, Observe: func(ev cache.Event) {
						told.Lock()
						defer told.Unlock()
						events = append(events, ev)
					}})
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close(context.Background())
					v := cache.NewValues(c, "thing", cache.Policy{Class: class, StaleWhileRevalidate: time.Minute}, func(context.Context, string) (int, error) {
						time.Sleep(time.Second)
						if a.fail == errPanics {
							panic(errPanics)
						}
						return 7, a.fail
					})
					var mu sync.Mutex
					gets := 0
					a.get = func(ctx context.Context) {
						defer func() { _ = recover() }()
						mu.Lock()
						gets++
						mu.Unlock()
						_, _ = v.Get(ctx, "x")
					}
					play(t, a)
					synctest.Wait()
					told.Lock()
					defer told.Unlock()
					events = slices.DeleteFunc(events, func(ev cache.Event) bool {
						return !slices.Contains([]cache.Outcome{cache.Hit, cache.Stale, cache.Shared, cache.Miss, cache.Bypass}, ev.Outcome)
					})
					if len(events) != gets {
						t.Errorf("%d events for %d calls: %v", len(events), gets, events)
					}
				})
			})
		}
	}
}

var errPanics = errors.New("panics")

// The load of a shared value sees no user. If it looks for one, there is one warning.
func TestNobodyIsKnownToSharedLoads(t *testing.T) {
	runValues(t, cache.Policy{}, func(ctx context.Context, _ *shelf, id string) (item, error) {
		who, _ := user.Of(cache.WithUser(ctx, "root"))
		return item{ID: id + who}, nil
	}, func(t *testing.T, s *shelf) {
		for _, id := range []string{"7", "8"} {
			if got, err := s.values.Get(alice(t), id); err != nil || got.ID != id {
				t.Errorf("Get = %q, %v; want nobody's", got.ID, err)
			}
		}
	}, shared...)
	o := &told{}
	c := newCache(t, cache.Options{Observe: o.observe})
	v := cache.NewValues(c, "greeting", cache.Policy{Class: cache.SharedGlobal}, func(ctx context.Context, id string) (string, error) {
		who, _ := user.Of(ctx)
		return who, nil
	})
	for _, id := range []string{"1", "2"} {
		if got, err := v.Get(alice(t), id); got != "" || err != nil {
			t.Errorf("Get = %q, %v; want nobody's", got, err)
		}
	}
	if n := o.has(cache.Warning, "user-in-shared", `values "greeting"`); n != 1 {
		t.Errorf("%d warnings; want one", n)
	}
	silent := cache.NewValues(c, "silent", cache.Policy{Class: cache.SharedGlobal}, func(context.Context, string) (string, error) { return "", nil })
	if _, err := silent.Get(alice(t), "1"); err != nil || o.has(cache.Warning, "user-in-shared", "") != 1 {
		t.Errorf("one that does not ask is warned of: %v", err)
	}
}

// Every miss of a value says why there was no hit.
func TestAMissOfAValueSaysWhyThereWasNoHit(t *testing.T) {
	for _, class := range classes {
		synctest.Test(t, func(t *testing.T) {
			far := fartest.New()
			var events []cache.Event
			c, err := cache.New(cache.Options{Far: far, Observe: func(ev cache.Event) { events = append(events, ev) }})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close(context.Background())
			v := cache.NewValues(c, "thing", cache.Policy{Class: class, StaleIfError: -1}, func(context.Context, string) (int, error) { return 7, nil })
			misses := func(cause cache.Reason) {
				t.Helper()
				_, _ = v.Get(alice(t), "x")
				if ev := events[len(events)-1]; ev.Outcome != cache.Miss || ev.Cause != cause {
					t.Errorf("%s: %s of cause %q; want a miss of %q", class, ev.Outcome, ev.Cause, cause)
				}
			}
			misses("cold")
			time.Sleep(2 * time.Minute)
			misses("expired")
			if err := v.Purge(t.Context(), "x"); err != nil {
				t.Error(err)
			}
			misses("purged")
			if class == cache.SharedGlobal {
				return
			}
			time.Sleep(10 * time.Second)
			far.Evict()
			misses("evicted")
			time.Sleep(10 * time.Second)
			far.Down.Store(true)
			_, _ = v.Get(alice(t), "x")
			if ev := events[len(events)-2]; class != cache.HotShared && ev.Cause != "redis-away" && events[len(events)-1].Cause != "redis-away" {
				t.Errorf("%s: %v; want a miss because Redis is away", class, events)
			}
		})
	}
}
