package readthrough_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
	"github.com/larder-go/cache/store/storetest"
)

// through returns a Cache over the store that must meet no fault.
func through(t *testing.T, s store.Store, log store.Log) *readthrough.Cache {
	return over(s, log, 50*time.Millisecond, func(r readthrough.Report) {
		if r.Err != nil {
			t.Errorf("fault: %v", r.Err)
		}
	})
}

// kept is a load that keeps an entry of the body, fresh for ten seconds and then good in place of an error.
func kept(body string) readthrough.LoaderFunc {
	return func(run *readthrough.Run) readthrough.Verdict {
		run.Entry.Body, run.Entry.Stored = []byte(body), time.Now()
		run.Entry.Fresh, run.Entry.IfError = 10*time.Second, time.Minute
		return readthrough.Cacheable
	}
}

func wantLoaded(t *testing.T, r readthrough.Result) {
	t.Helper()
	if r.Entry != nil || r.Source != readthrough.Loaded {
		t.Errorf("Get = %+v; want its own load", r)
	}
}

func wantEntry(t *testing.T, r readthrough.Result, body string, source readthrough.Source) {
	t.Helper()
	if r.Entry == nil || string(r.Entry.Body) != body || r.Source != source {
		t.Errorf("Get = %+v; want %q from source %d", r, body, source)
	}
}

// A load may find out late that the old entry is to be served after all.
func TestOldEntryMayStandInForARefusedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		defer s.Close()
		th, key := through(t, s, readthrough.NewLog()), storetest.Key("k")
		th.Get(t.Context(), key, kept("old"))
		time.Sleep(11 * time.Second)
		var waiters sync.WaitGroup
		leader := th.Get(t.Context(), key, func(run *readthrough.Run) readthrough.Verdict {
			waiters.Go(func() { wantLoaded(t, th.Get(t.Context(), key, kept("new"))) })
			synctest.Wait()
			run.MarkUncacheable()
			waiters.Wait()
			return readthrough.ServeOld
		})
		wantEntry(t, leader, "old", readthrough.Stored)
	})
}

// lead begins a load of the key that ends, keeping the body, when finish is called.
func lead(t *testing.T, th *readthrough.Cache, key keying.Key, body string) (finish func()) {
	release := make(chan struct{})
	var leader sync.WaitGroup
	leader.Go(func() {
		wantLoaded(t, th.Get(t.Context(), key, func(run *readthrough.Run) readthrough.Verdict {
			<-release
			return kept(body)(run)
		}))
	})
	synctest.Wait()
	return func() {
		close(release)
		leader.Wait()
	}
}

// The bound is on those who wait, not on those who ever did.
func TestWaitersThatGaveUpMakeRoom(t *testing.T) {
	const bound = 16 << 10
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		defer s.Close()
		th, key := through(t, s, readthrough.NewLog()), storetest.Key("k")
		finish := lead(t, th, key, "first")
		late, cancel := context.WithDeadline(t.Context(), time.Now())
		defer cancel()
		for range bound {
			th.Get(late, key, func(*readthrough.Run) readthrough.Verdict { return readthrough.Aborted })
		}
		var waiter sync.WaitGroup
		waiter.Go(func() { wantEntry(t, th.Get(t.Context(), key, kept("second")), "first", readthrough.Shared) })
		synctest.Wait()
		finish()
		waiter.Wait()
	})
}

// Clients that hang up together must not set off as many loads.
func TestWaitersThatHangUpRunNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		defer s.Close()
		th, key := through(t, s, readthrough.NewLog()), storetest.Key("k")
		finish := lead(t, th, key, "first")
		ctx, cancel := context.WithCancel(t.Context())
		var waiters sync.WaitGroup
		for range 100 {
			waiters.Go(func() {
				r := th.Get(ctx, key, func(*readthrough.Run) readthrough.Verdict {
					t.Error("a load ran")
					return readthrough.Aborted
				})
				if r.Entry != nil || r.Source != readthrough.Canceled {
					t.Errorf("Get = %+v; want nothing", r)
				}
			})
		}
		synctest.Wait()
		cancel()
		waiters.Wait()
		finish()
	})
}

func TestWaiterWhoseDeadlinePassesRunsItsOwnLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		defer s.Close()
		th, key := through(t, s, readthrough.NewLog()), storetest.Key("k")
		finish := lead(t, th, key, "first")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantLoaded(t, th.Get(ctx, key, kept("second")))
		finish()
	})
}

// failing is a store whose writes fail.
type failing struct {
	*memstore.Store
	err error
}

func (f failing) Set(context.Context, keying.Key, *store.Entry, time.Duration) error { return f.err }

// A call says what became of what its load made, also of a refresh.
func TestTheFateOfAnEntryIsTold(t *testing.T) {
	index := func(run *readthrough.Run) readthrough.Verdict {
		run.Index = run.Beside(storetest.Key("index"))
		run.Index.Stored, run.Index.Fresh = time.Now(), time.Minute
		return kept("a")(run)
	}
	for name, at := range map[string]struct {
		err  error // of writes
		load func(log store.Log) readthrough.LoaderFunc
		want readthrough.Fate
	}{
		"kept":     {nil, func(store.Log) readthrough.LoaderFunc { return kept("a") }, readthrough.Kept},
		"failed":   {errors.New("away"), func(store.Log) readthrough.LoaderFunc { return kept("a") }, readthrough.StoreFailed},
		"refused":  {fmt.Errorf("full: %w", store.ErrRefused), func(store.Log) readthrough.LoaderFunc { return kept("a") }, readthrough.RefusedByStore},
		"no index": {errors.New("away"), func(store.Log) readthrough.LoaderFunc { return index }, readthrough.StoreFailed},
		"of no use": {nil, func(store.Log) readthrough.LoaderFunc {
			return func(*readthrough.Run) readthrough.Verdict { return readthrough.Uncacheable }
		}, readthrough.NotKept},
		"for no time": {nil, func(store.Log) readthrough.LoaderFunc {
			return func(run *readthrough.Run) readthrough.Verdict {
				run.Entry.Stored = time.Now()
				return readthrough.Cacheable
			}
		}, readthrough.NotKept},
		"purged": {nil, func(log store.Log) readthrough.LoaderFunc {
			return func(run *readthrough.Run) readthrough.Verdict {
				run.Entry.Labels = append(run.Entry.Labels, keying.Label{1})
				_ = log.Append(context.Background(), store.Record{Labels: []keying.Label{{1}}})
				return kept("a")(run)
			}
		}, readthrough.Overtaken},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory, log := memstore.New(memstore.Options{}), readthrough.NewLog()
				defer memory.Close()
				var s store.Store = memory
				if at.err != nil {
					s = failing{memory, at.err}
				}
				th := over(s, log, 50*time.Millisecond, nil)
				if r := th.Get(t.Context(), storetest.Key("get"), at.load(log)); r.Fate != at.want {
					t.Errorf("Get: %d; want %d", r.Fate, at.want)
				}
				if fate := th.Refresh(t.Context(), storetest.Key("refresh"), at.load(log)); fate != at.want {
					t.Errorf("Refresh: %d; want %d", fate, at.want)
				}
			})
		})
	}
}

// Keys that end alike share a list of flights and nothing else, in whatever order their loads end.
func TestFlightsOfOneListKeepApart(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			s := memstore.New(memstore.Options{})
			defer s.Close()
			th := through(t, s, readthrough.NewLog())
			var keys [3]keying.Key
			var ends [3]chan struct{}
			var all sync.WaitGroup
			for i := range keys {
				keys[i][0], ends[i] = byte(i+1), make(chan struct{})
				all.Go(func() {
					wantLoaded(t, th.Get(t.Context(), keys[i], func(run *readthrough.Run) readthrough.Verdict {
						<-ends[i]
						return kept(fmt.Sprint(i))(run)
					}))
				})
				synctest.Wait()
			}
			for _, i := range order {
				for range 2 {
					all.Go(func() { wantEntry(t, th.Get(t.Context(), keys[i], kept("another")), fmt.Sprint(i), readthrough.Shared) })
				}
				synctest.Wait()
				close(ends[i])
				synctest.Wait()
				wantEntry(t, th.Get(t.Context(), keys[i], kept("another")), fmt.Sprint(i), readthrough.Stored)
			}
			all.Wait()
			time.Sleep(time.Minute) // past all that was kept: nobody is waited for any more
			wantLoaded(t, th.Get(t.Context(), keys[0], kept("new")))
		})
	}
}
