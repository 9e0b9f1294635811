package readthrough_test

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
	"github.com/larder-go/cache/store/storetest"
)

// aged returns an entry of a load that took the cost, with so much of a minute's freshness left.
func aged(name string, cost, left time.Duration) *store.Entry {
	e := storetest.Entry(storetest.Key(name), name)
	e.Cost, e.Fresh, e.Stored = cost, time.Minute, time.Now().Add(left-time.Minute)
	return e
}

func TestEarlyRefreshIsLeftToChance(t *testing.T) {
	const n = 20_000
	for _, left := range []time.Duration{time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			th, early := over(memstore.New(memstore.Options{}), readthrough.NewLog(), 0, nil), 0
			e := aged("k", 2*time.Second, left)
			for range n {
				if th.Early(e, time.Now()) {
					early++
				}
				e.Stored = e.Stored.Add(2 * time.Second) // a second is for one attempt
				time.Sleep(2 * time.Second)
			}
			want := math.Exp(-left.Seconds() / 2)
			if got := float64(early) / n; math.Abs(got-want) > 0.02 {
				t.Errorf("%v before the end of an entry that took 2 s, %.3f of all requests refresh it; want %.3f", left, got, want)
			}
		})
	}
}

func TestEarlyRefreshIsNotTooEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := over(memstore.New(memstore.Options{}), readthrough.NewLog(), 0, nil)
		for name, e := range map[string]*store.Entry{
			"of no cost":               aged("a", 0, time.Nanosecond),
			"far from its end":         aged("b", time.Millisecond, 17*time.Millisecond),
			"in the first half":        aged("c", time.Hour, 31*time.Second),
			"stale":                    aged("d", time.Hour, -time.Second),
			"that was asked for again": aged("e", time.Hour, time.Second),
		} {
			if name == "that was asked for again" && !th.Early(e, time.Now()) {
				t.Error("an entry that took an hour is not refreshed early")
			}
			for range 1000 {
				if th.Early(e, time.Now()) {
					t.Errorf("an entry %s is refreshed", name)
				}
			}
			if allocs := testing.AllocsPerRun(100, func() { th.Early(e, time.Now()) }); allocs > 0 {
				t.Errorf("an entry %s: %v allocations", name, allocs)
			}
		}
	})
}

// The cost is the load's own time, and comes back from the store.
func TestCostIsMeasured(t *testing.T) {
	inFleet(t, func(t *testing.T, f *fleet) {
		f.process().Get(t.Context(), storetest.Key("k"), after(3*time.Second, kept("body")))
		if e, _, _ := f.Get(t.Context(), storetest.Key("k")); e == nil || e.Cost != 3*time.Second {
			t.Errorf("the entry is %+v; want a cost of 3 s", e)
		}
	})
}

// refreshes are refreshes of one key by several processes at once.
func refreshes(t *testing.T, load readthrough.LoaderFunc, processes ...*readthrough.Cache) (loads int64) {
	var n atomic.Int64
	var all sync.WaitGroup
	for _, p := range processes {
		all.Go(func() {
			p.Refresh(t.Context(), storetest.Key("k"), func(run *readthrough.Run) readthrough.Verdict {
				n.Add(1)
				return load(run)
			})
		})
	}
	all.Wait()
	return n.Load()
}

// An entry that is stale, or fresh and near its end, is refreshed once per fleet, even where a copy in memory is fresh.
func TestOneRefreshPerFleet(t *testing.T) {
	for name, age := range map[string]time.Duration{"stale": 11 * time.Second, "nearing its end": 9 * time.Second} {
		for far, crash := range map[string]bool{"up": false, "down": true} {
			t.Run(name+", leases "+far, func(t *testing.T) {
				inFleet(t, func(t *testing.T, f *fleet) {
					load := after(time.Second, kept("body"))
					f.process().Get(t.Context(), storetest.Key("k"), load)
					time.Sleep(age)
					memory := memstore.New(memstore.Options{})
					defer memory.Close()
					layered := over(layers{near: memory, far: f, ttl: 5 * time.Second}, f.log, 50*time.Millisecond, nil)
					call := layered.Call(t.Context(), "")
					if e, _ := call.Look(storetest.Key("k"), nil); e == nil {
						t.Fatal("there is nothing in the store")
					}
					want := int64(1)
					if crash {
						f.crash()
						want = 3
					}
					if n := refreshes(t, load, f.process(), layered, f.process()); n != want {
						t.Errorf("%d loads; want %d", n, want)
					}
					if n := refreshes(t, load, f.process(), layered); n != 0 {
						t.Errorf("%d loads of what was refreshed just now; want none", n)
					}
				})
			})
		}
	}
}

// A refresh that another process is at is left to it; if that dies, it is not.
func TestRefreshLeavesOthersAtIt(t *testing.T) {
	inFleet(t, func(t *testing.T, f *fleet) {
		var c crowd
		c.ask(t, 1, after(10*time.Second, kept("body")), f.process())
		synctest.Wait()
		began := time.Now()
		if n := refreshes(t, kept("other"), f.process(), f.process()); n != 0 || time.Since(began) > 4*time.Second {
			t.Errorf("%d loads after %v; want none, soon", n, time.Since(began))
		}
		c.want(t, 1, time.Hour)
		synctest.Wait()
		if _, l, _ := f.Lease(t.Context(), storetest.Key("k"), store.Token{1}, 2*time.Second); l.State != store.Taken {
			t.Fatalf("the lease is %v", l)
		}
		time.Sleep(10 * time.Second)
		if _, l, _ := f.Lease(t.Context(), storetest.Key("k"), store.Token{2}, 2*time.Second); l.State != store.Taken {
			t.Fatalf("the lease is %v", l)
		}
		if n := refreshes(t, kept("other"), f.process(), f.process()); n != 1 {
			t.Errorf("%d loads; want one instead of the dead holder's", n)
		}
	})
}

func TestRefusedRefreshIsNotTriedAgainAtOnce(t *testing.T) {
	inFleet(t, func(t *testing.T, f *fleet) {
		refuse := func(*readthrough.Run) readthrough.Verdict { return readthrough.Uncacheable }
		p, q := f.process(), f.process()
		if n := refreshes(t, refuse, p); n != 1 {
			t.Fatalf("%d loads; want 1", n)
		}
		synctest.Wait()
		if n := refreshes(t, refuse, p, q); n != 0 {
			t.Errorf("%d loads within a second; want none", n)
		}
		time.Sleep(2 * time.Second)
		if n := refreshes(t, refuse, q); n != 1 {
			t.Errorf("%d loads; want 1", n)
		}
	})
}
