package readthrough_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/store/memstore"
	"github.com/larder-go/cache/store/storetest"
)

// rush is loads of as many keys, at once.
type rush struct{ now, most, done atomic.Int64 }

func (r *rush) ask(t *testing.T, th *readthrough.Cache, n int, load readthrough.LoaderFunc) *sync.WaitGroup {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			wantLoaded(t, th.Get(t.Context(), storetest.Key(fmt.Sprint(i)), func(run *readthrough.Run) readthrough.Verdict {
				for now := r.now.Add(1); now > r.most.Load(); {
					r.most.Store(now)
				}
				defer r.now.Add(-1)
				defer r.done.Add(1)
				return load(run)
			}))
		})
	}
	return &all
}

// inMemory plays a test on a Cache in memory that runs so many loads at once; 0: as many as by default.
func inMemory(t *testing.T, most int, test func(t *testing.T, th *readthrough.Cache)) {
	synctest.Test(t, func(t *testing.T) {
		memory := memstore.New(memstore.Options{})
		defer memory.Close()
		test(t, readthrough.New(readthrough.Resolve(memory, nil), readthrough.Options{MaxRuns: most}))
	})
}

func TestLoadsAtOnceAreBounded(t *testing.T) {
	inMemory(t, 10, func(t *testing.T, th *readthrough.Cache) {
		var r rush
		began := time.Now()
		r.ask(t, th, 300, after(100*time.Millisecond, kept("body"))).Wait()
		if r.most.Load() != 10 || r.done.Load() != 300 || time.Since(began) != 3*time.Second {
			t.Errorf("%d loads in %v, %d at once; want 300 in 3 s, 10 at once", r.done.Load(), time.Since(began), r.most.Load())
		}
	})
}

func TestLoadsAreBoundedByDefault(t *testing.T) {
	inMemory(t, 0, func(t *testing.T, th *readthrough.Cache) {
		var r rush
		r.ask(t, th, 1000, after(100*time.Millisecond, kept("body"))).Wait()
		if r.most.Load() != 256 || r.done.Load() != 1000 {
			t.Errorf("%d loads, %d at once; want 1000, 256 at once", r.done.Load(), r.most.Load())
		}
	})
}

// The bound delays a load, and never prevents it: by a second while those under way get nowhere, by five in all.
func TestLoadsDoNotWaitForEver(t *testing.T) {
	for _, c := range []struct{ takes, within time.Duration }{
		{time.Hour, time.Second},
		{900 * time.Millisecond, 5 * time.Second},
	} {
		inMemory(t, 1, func(t *testing.T, th *readthrough.Cache) {
			var r rush
			all := r.ask(t, th, 100, after(c.takes, kept("body")))
			time.Sleep(c.within + 2*time.Millisecond)
			if n := r.now.Load() + r.done.Load(); n != 100 {
				t.Errorf("after %v, with loads of %v, %d have begun; want 100", c.within, c.takes, n)
			}
			all.Wait()
		})
	}
}

// An answer that is not kept may stream for long: it counts no more.
func TestRefusedLoadMakesRoom(t *testing.T) {
	inMemory(t, 2, func(t *testing.T, th *readthrough.Cache) {
		var streams, r rush
		all := streams.ask(t, th, 100, func(run *readthrough.Run) readthrough.Verdict {
			run.MarkUncacheable()
			run.MarkUncacheable()
			time.Sleep(time.Hour)
			return readthrough.Uncacheable
		})
		synctest.Wait()
		if n := streams.now.Load(); n != 100 {
			t.Errorf("%d streams; want 100", n)
		}
		r.ask(t, th, 4, after(100*time.Millisecond, kept("body"))).Wait()
		if r.most.Load() != 2 {
			t.Errorf("%d loads at once; want 2", r.most.Load())
		}
		all.Wait()
	})
}

func TestPanickingLoadMakesRoom(t *testing.T) {
	inMemory(t, 1, func(t *testing.T, th *readthrough.Cache) {
		for range 3 {
			func() {
				defer func() { _ = recover() }()
				th.Get(t.Context(), storetest.Key("k"), func(*readthrough.Run) readthrough.Verdict { panic("no") })
			}()
		}
		began := time.Now()
		wantLoaded(t, th.Get(t.Context(), storetest.Key("k"), kept("body")))
		if took := time.Since(began); took > 0 {
			t.Errorf("a load waited %v for room", took)
		}
	})
}

func TestWhoHangsUpInTheQueueRunsNothing(t *testing.T) {
	inMemory(t, 1, func(t *testing.T, th *readthrough.Cache) {
		var r rush
		all := r.ask(t, th, 1, after(900*time.Millisecond, kept("body")))
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		all.Go(func() {
			never := func(*readthrough.Run) readthrough.Verdict {
				t.Error("a load ran for nobody")
				return readthrough.Aborted
			}
			if got := th.Get(ctx, storetest.Key("k"), never); got.Source != readthrough.Canceled {
				t.Errorf("Get = %+v; want nothing", got)
			}
		})
		synctest.Wait()
		all.Go(func() {
			synctest.Wait()
			wantLoaded(t, th.Get(t.Context(), storetest.Key("k"), kept("second")))
		})
		cancel()
		all.Wait()
	})
}
