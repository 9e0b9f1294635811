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
)

// Whatever becomes of a Get, exactly one event is its own.
func TestEveryGetOfAValueHasOneEventOfItsOwn(t *testing.T) {
	type app struct {
		far  *farStore
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
		"Redis away":       func(t *testing.T, a *app) { a.far.down.Store(true); together(a, alice(t), 0) },
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
					d, a := new(diary), &app{far: newFar()}
					c, err := cache.New(cache.Options{Far: a.far, Observe: d.observe})
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
					d.mu.Lock()
					defer d.mu.Unlock()
					d.events = slices.DeleteFunc(d.events, func(ev cache.Event) bool { return !slices.Contains(own, ev.Outcome) })
					if len(d.events) != gets {
						t.Errorf("%d events for %d calls: %s", len(d.events), gets, spelled(d.events))
					}
				})
			})
		}
	}
}

var errPanics = errors.New("panics")
