package readthrough_test

import (
	"context"
	"errors"
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

// shared is a log that other processes append to, and a store that does I/O.
type shared struct {
	store.Log
	store.Store
	purged atomic.Bool // by another process: everything
	fails  error
	asked  atomic.Int64 // how often CatchUp was called
}

func (s *shared) CatchUp(ctx context.Context) error {
	s.asked.Add(1)
	time.Sleep(time.Millisecond)
	if s.fails == nil && s.purged.CompareAndSwap(true, false) {
		return s.Append(ctx, store.Record{All: true})
	}
	return s.fails
}

func (s *shared) Follow(ctx context.Context, _ func(error)) { <-ctx.Done() }

func (s *shared) Post(ctx context.Context, r store.Record) error { return s.Append(ctx, r) }

func (s *shared) CircuitOpen() bool { return false }

func (s *shared) Get(ctx context.Context, key keying.Key) (*store.Entry, bool, error) {
	if s.fails != nil {
		return nil, false, s.fails
	}
	return s.Store.Get(ctx, key)
}

// runShared begins a load, then does what happens, then lets a hundred ask as well, and ends the load. It returns how many
// of the hundred were given the first answer and how many loads there were.
func runShared(t *testing.T, s *shared, happens func()) (first, loads int64) {
	synctest.Test(t, func(t *testing.T) {
		memory := memstore.New(memstore.Options{})
		defer memory.Close()
		s.Log, s.Store = readthrough.NewLog(), struct{ store.Store }{memory} // which hides Peek
		th, key := over(s, s, 50*time.Millisecond, nil), storetest.Key("k")
		finish := lead(t, th, key, "first")
		happens()
		var firsts, ran atomic.Int64
		var waiters sync.WaitGroup
		for range 100 {
			waiters.Go(func() {
				r := th.Get(t.Context(), key, func(run *readthrough.Run) readthrough.Verdict {
					ran.Add(1)
					time.Sleep(time.Second)
					return kept("second")(run)
				})
				if r.Entry != nil && string(r.Entry.Body) == "first" {
					firsts.Add(1)
				}
			})
		}
		synctest.Wait()
		finish()
		waiters.Wait()
		first, loads = firsts.Load(), 1+ran.Load()
	})
	return first, loads
}

func TestWaitersAskTheLogOnce(t *testing.T) {
	var s shared
	first, loads := runShared(t, &s, func() {})
	if first != 100 || loads != 1 || s.asked.Load() != 1 {
		t.Errorf("%d were given the first answer, of %d, and the log was asked %d times; want 100, 1 and 1", first, loads, s.asked.Load())
	}
}

// Who comes after a purge was acknowledged is not given what was begun before it, wherever it was acknowledged.
func TestPurgeElsewhereReachesWaiters(t *testing.T) {
	var s shared
	if first, loads := runShared(t, &s, func() { s.purged.Store(true) }); first != 0 || loads != 2 {
		t.Errorf("%d were given the purged answer, and %d loads ran; want 0 and 2", first, loads)
	}
}

// While nobody can tell what was purged elsewhere, waiters share a load that began after they came.
func TestWaitersWithoutTheLogShareALaterLoad(t *testing.T) {
	s := shared{fails: errors.New("down")}
	if first, loads := runShared(t, &s, func() { s.purged.Store(true) }); first != 0 || loads != 2 {
		t.Errorf("%d were given the purged answer, and %d loads ran; want 0 and 2", first, loads)
	}
}
