package readthrough_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
	"github.com/larder-go/cache/store/storetest"
)

func TestFleetIsALeaser(t *testing.T) {
	storetest.Config{
		Open: func(t *testing.T) store.Store {
			memory := memstore.New(memstore.Options{})
			t.Cleanup(func() { _ = memory.Close() })
			return &fleet{Store: memory, leases: map[keying.Key]lease{}}
		},
		Advance: time.Sleep,
		Around:  synctest.Test,
	}.Run(t)
}

// A load that takes longer than a lease lasts unextended still runs once.
func TestOneLoadPerFleet(t *testing.T) {
	inFleet(t, func(t *testing.T, f *fleet) {
		var c crowd
		c.ask(t, 100, after(7*time.Second, kept("body")), f.process(), f.process(), f.process())
		c.want(t, 1, 7*time.Second+100*time.Millisecond)
		c.results.Range(func(r, _ any) bool {
			if e := r.(readthrough.Result).Entry; e != nil && string(e.Body) != "body" {
				t.Errorf("a call got %q", e.Body)
			}
			return true
		})
		synctest.Wait()
		if held := f.held(); len(held) > 0 {
			t.Errorf("leases %v are left", held)
		}
	})
}

func TestOneLoadPerFleetBehindMemory(t *testing.T) {
	inFleet(t, func(t *testing.T, f *fleet) {
		var c crowd
		for range 3 {
			memory := memstore.New(memstore.Options{})
			defer memory.Close()
			near := layers{near: memory, far: f, ttl: 5 * time.Second}
			p := over(near, f.log, 50*time.Millisecond, nil)
			c.ask(t, 10, after(time.Second, kept("body")), p)
			defer func() {
				if e, _ := p.Peek(storetest.Key("k"), time.Now()); e == nil {
					t.Error("a process has no near copy of what another has loaded")
				}
			}()
		}
		c.want(t, 1, time.Second+100*time.Millisecond)
	})
}

// A lease ends by itself when its holder is dead.
func TestLeaseOfADeadHolderEnds(t *testing.T) {
	inFleet(t, func(t *testing.T, f *fleet) {
		if _, l, _ := f.Lease(t.Context(), storetest.Key("k"), store.Token{1}, 2*time.Second); l.State != store.Taken {
			t.Fatalf("the lease is %v", l)
		}
		var c crowd
		c.ask(t, 10, kept("body"), f.process(), f.process())
		c.want(t, 1, 2*time.Second+200*time.Millisecond)
	})
}

// A load that ends without an answer, by a panic say, lets the next process have its turn at once.
func TestFailedLoadPassesTheLeaseOn(t *testing.T) {
	inFleet(t, func(t *testing.T, f *fleet) {
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() { _ = recover() }()
			f.process().Get(t.Context(), storetest.Key("k"), after(time.Second, func(*readthrough.Run) readthrough.Verdict { panic("no") }))
		})
		synctest.Wait()
		var c crowd
		c.ask(t, 10, kept("body"), f.process(), f.process())
		c.want(t, 1, time.Second+200*time.Millisecond)
		wg.Wait()
	})
}

// An answer that turns out not to be for keeping lets everyone go, while its own load is still under way.
func TestUnstorableAnswerLetsTheFleetGo(t *testing.T) {
	inFleet(t, func(t *testing.T, f *fleet) {
		var streaming, c crowd
		streaming.ask(t, 1, after(time.Second, func(run *readthrough.Run) readthrough.Verdict {
			run.MarkUncacheable()
			time.Sleep(time.Minute)
			return readthrough.Uncacheable
		}), f.process())
		synctest.Wait()
		c.ask(t, 50, after(time.Second, func(*readthrough.Run) readthrough.Verdict { return readthrough.Uncacheable }), f.process(), f.process())
		c.want(t, 100, 2*time.Second+100*time.Millisecond)
		streaming.want(t, 1, time.Hour)
	})
}

// What nobody else may have use of lets everyone go, too.
func TestAnswerForNoTimeLetsTheFleetGo(t *testing.T) {
	inFleet(t, func(t *testing.T, f *fleet) {
		var c crowd
		c.ask(t, 1, after(time.Second, func(run *readthrough.Run) readthrough.Verdict {
			run.Entry.Stored = time.Now()
			return readthrough.Cacheable
		}), f.process(), f.process(), f.process(), f.process())
		c.want(t, 4, 2*time.Second+200*time.Millisecond)
	})
}

// While the handler fails, stale answers are served after one failure per process, at the same time.
func TestStaleAnswersDoNotTakeTurns(t *testing.T) {
	inFleet(t, func(t *testing.T, f *fleet) {
		f.process().Get(t.Context(), storetest.Key("k"), kept("old"))
		time.Sleep(11 * time.Second)
		var c crowd
		failing := after(time.Second, func(*readthrough.Run) readthrough.Verdict { return readthrough.ServeOld })
		c.ask(t, 20, failing, f.process(), f.process(), f.process(), f.process())
		c.want(t, 4, 2*time.Second+200*time.Millisecond)
	})
}

func TestWithoutLeasesOneLoadPerProcess(t *testing.T) {
	for name, crash := range map[string]func(f *fleet){
		"before": func(f *fleet) { f.crash() },
		"during": func(f *fleet) { time.AfterFunc(time.Second, f.crash) },
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(t *testing.T, f *fleet) {
				crash(f)
				var c crowd
				c.ask(t, 10, after(3*time.Second, kept("body")), f.process(), f.process(), f.process())
				c.want(t, 3, 4*time.Second+100*time.Millisecond)
			})
		})
	}
}

// Nobody waits for ever for a load that hangs.
func TestHungLoadIsNotWaitedFor(t *testing.T) {
	inFleet(t, func(t *testing.T, f *fleet) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go f.process().Get(ctx, storetest.Key("k"), func(*readthrough.Run) readthrough.Verdict {
			<-ctx.Done()
			return readthrough.Aborted
		})
		synctest.Wait()
		var c crowd
		c.ask(t, 1, after(time.Second, kept("body")), f.process(), f.process())
		c.want(t, 2, 32*time.Second)
		time.Sleep(2 * time.Second)
		if held := f.held(); len(held) > 0 {
			t.Errorf("leases %v; want none of a load that nobody waits for any more", held)
		}
	})
}

// A store whose clock stands still does not end the lease of a holder that has died.
func TestLeaseWithoutABeatIsNotWaitedFor(t *testing.T) {
	inFleet(t, func(t *testing.T, f *fleet) {
		if _, l, _ := f.Lease(t.Context(), storetest.Key("k"), store.Token{1}, time.Hour); l.State != store.Taken {
			t.Fatalf("the lease is %v", l)
		}
		var c crowd
		one, other := f.process(), f.process()
		c.ask(t, 10, after(time.Second, kept("body")), one, other)
		c.want(t, 2, 4*time.Second)
		for range 3 { // later misses do not wait for it again
			if err := f.Delete(t.Context(), storetest.Key("k")); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			one.Get(t.Context(), storetest.Key("k"), after(time.Second, kept("body")))
			if took := time.Since(began); took > 1100*time.Millisecond {
				t.Errorf("another miss took %v; want no longer than its load", took)
			}
		}
	})
}

// Those who wait for a leader that waits itself do not lose patience with him.
func TestWaitersBearWithALeaderWhoWaits(t *testing.T) {
	inFleet(t, func(t *testing.T, f *fleet) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go f.process().Get(ctx, storetest.Key("k"), func(*readthrough.Run) readthrough.Verdict {
			<-ctx.Done()
			return readthrough.Aborted
		})
		synctest.Wait()
		var c crowd
		c.ask(t, 10, after(20*time.Second, kept("body")), f.process())
		c.want(t, 1, 51*time.Second)
	})
}

// A leader that hangs up while another process loads leaves its place to one who waits; nothing runs for him.
func TestHungUpLeaderHandsOver(t *testing.T) {
	inFleet(t, func(t *testing.T, f *fleet) {
		var first, c crowd
		first.ask(t, 1, after(5*time.Second, kept("body")), f.process())
		synctest.Wait()
		p := f.process()
		var gone atomic.Int64
		var leaders sync.WaitGroup
		for range 5 {
			ctx, cancel := context.WithCancel(t.Context())
			leaders.Go(func() {
				r := p.Get(ctx, storetest.Key("k"), func(*readthrough.Run) readthrough.Verdict {
					t.Error("a load ran for nobody")
					return readthrough.Aborted
				})
				if r.Source == readthrough.Canceled {
					gone.Add(1)
				}
			})
			synctest.Wait()
			time.AfterFunc(time.Second, cancel)
		}
		c.ask(t, 10, kept("other"), p)
		c.want(t, 0, 5*time.Second+100*time.Millisecond)
		leaders.Wait()
		if gone.Load() != 5 {
			t.Errorf("%d callers hung up; want 5", gone.Load())
		}
		first.want(t, 1, time.Hour)
	})
}

func TestLeaderWhoseDeadlinePassesRunsItsOwnLoad(t *testing.T) {
	inFleet(t, func(t *testing.T, f *fleet) {
		var first, c crowd
		first.ask(t, 1, after(5*time.Second, kept("body")), f.process())
		synctest.Wait()
		p := f.process()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c.calls.Go(func() { wantLoaded(t, p.Get(ctx, storetest.Key("k"), kept("late"))) })
		synctest.Wait()
		c.ask(t, 10, kept("other"), p)
		c.want(t, 0, 5*time.Second+100*time.Millisecond)
		first.want(t, 1, time.Hour)
	})
}
