package store_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
	"github.com/larder-go/cache/store/storetest"
)

// through returns a Through over the store that must meet no fault.
func through(t *testing.T, s store.Store, log store.Log) *store.Through {
	return store.NewThrough(s, log, 50*time.Millisecond, func(r store.Report) {
		if r.Err != nil {
			t.Errorf("fault: %v", r.Err)
		}
	})
}

// kept is a load that keeps an entry of the body, fresh for ten seconds and then good in place of an error.
func kept(body string) store.Load {
	return func(run *store.Run) store.Outcome {
		run.Entry.Body, run.Entry.Stored = []byte(body), time.Now()
		run.Entry.Fresh, run.Entry.IfError = 10*time.Second, time.Minute
		return store.Keep
	}
}

func wantLoaded(t *testing.T, r store.Result) {
	t.Helper()
	if r.Entry != nil || r.Source != store.Loaded {
		t.Errorf("Get = %+v; want its own load", r)
	}
}

func wantEntry(t *testing.T, r store.Result, body string, source store.Source) {
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
		th, key := through(t, s, store.NewLog()), storetest.Key("k")
		th.Get(t.Context(), key, kept("old"))
		time.Sleep(11 * time.Second)
		var waiters sync.WaitGroup
		leader := th.Get(t.Context(), key, func(run *store.Run) store.Outcome {
			waiters.Go(func() { wantLoaded(t, th.Get(t.Context(), key, kept("new"))) })
			synctest.Wait()
			run.Refuse()
			waiters.Wait()
			return store.Old
		})
		wantEntry(t, leader, "old", store.Stored)
	})
}

// lead begins a load of the key that ends, keeping the body, when finish is called.
func lead(t *testing.T, th *store.Through, key keying.Key, body string) (finish func()) {
	release := make(chan struct{})
	var leader sync.WaitGroup
	leader.Go(func() {
		wantLoaded(t, th.Get(t.Context(), key, func(run *store.Run) store.Outcome {
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
		th, key := through(t, s, store.NewLog()), storetest.Key("k")
		finish := lead(t, th, key, "first")
		late, cancel := context.WithDeadline(t.Context(), time.Now())
		defer cancel()
		for range bound {
			th.Get(late, key, func(*store.Run) store.Outcome { return store.Fail })
		}
		var waiter sync.WaitGroup
		waiter.Go(func() { wantEntry(t, th.Get(t.Context(), key, kept("second")), "first", store.Shared) })
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
		th, key := through(t, s, store.NewLog()), storetest.Key("k")
		finish := lead(t, th, key, "first")
		ctx, cancel := context.WithCancel(t.Context())
		var waiters sync.WaitGroup
		for range 100 {
			waiters.Go(func() {
				r := th.Get(ctx, key, func(*store.Run) store.Outcome {
					t.Error("a load ran")
					return store.Fail
				})
				if r.Entry != nil || r.Source != store.HungUp {
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
		th, key := through(t, s, store.NewLog()), storetest.Key("k")
		finish := lead(t, th, key, "first")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantLoaded(t, th.Get(ctx, key, kept("second")))
		finish()
	})
}
