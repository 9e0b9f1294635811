package readthrough_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/storetest"
)

const budget = 64 * time.Millisecond

// asked is a far store that has nothing; ask sees the context of every read.
type asked struct {
	store.Store
	ask func(ctx context.Context) error
}

func (s asked) Get(ctx context.Context, _ keying.Key) (*store.Entry, bool, error) {
	return nil, false, s.ask(ctx)
}

// look reads through a far store, for a request of the context.
func look(ctx context.Context, th *readthrough.Cache) {
	call := th.Call(ctx, "")
	call.Look(storetest.Key("k"), nil)
}

type valueKey struct{}

// What one call waits for its store is bounded, and so is what the store begins on its behalf.
func TestOperationsEndWithinTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var faults []error
		th := over(asked{ask: func(ctx context.Context) error {
			deadline, ok := ctx.Deadline()
			if left := time.Until(deadline); !ok || left < budget*7/8 || left > budget {
				t.Errorf("an operation has %v; want most of %v", left, budget)
			}
			if got := ctx.Value(valueKey{}); got != "request" {
				t.Errorf("Value = %v; want the request's", got)
			}
			inner, cancel := context.WithCancel(ctx)
			defer cancel()
			<-inner.Done()
			if !time.Now().Equal(deadline) || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				t.Errorf("it ended %v late with %v; want its deadline", time.Since(deadline), ctx.Err())
			}
			return context.Cause(inner)
		}}, readthrough.NewLog(), budget, func(r readthrough.Report) {
			if r.Err != nil {
				faults = append(faults, r.Err)
			}
		})
		hungUp, cancel := context.WithCancel(context.WithValue(t.Context(), valueKey{}, "request"))
		cancel() // which others who wait for the same read must not feel
		look(hungUp, th)
		if len(faults) != 1 || errors.Is(faults[0], context.DeadlineExceeded) {
			t.Errorf("faults: %v; want one that names the budget", faults)
		}
	})
}

// Calls that begin one after the other share timers, and still none has less time than it is due, or more than there is.
func TestEveryCallHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		ends := map[time.Time]bool{}
		th := over(asked{ask: func(ctx context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			deadline, _ := ctx.Deadline()
			ends[deadline] = true
			if left := time.Until(deadline); left < budget*7/8 || left > budget {
				t.Errorf("an operation has %v; want between %v and %v", left, budget*7/8, budget)
			}
			return nil
		}}, readthrough.NewLog(), budget, nil)
		const calls = 1000
		for range calls {
			var pair sync.WaitGroup
			pair.Go(func() { look(t.Context(), th) })
			pair.Go(func() { look(t.Context(), th) })
			pair.Wait()
			time.Sleep(100 * time.Microsecond)
		}
		if len(ends) > calls/5 {
			t.Errorf("%d calls had %d timers; want one a millisecond", 2*calls, len(ends))
		}
	})
}

// Its second operation has what the first has left.
func TestOperationsOfOneCallShareItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lefts []time.Duration
		th := over(asked{ask: func(ctx context.Context) error {
			deadline, _ := ctx.Deadline()
			lefts = append(lefts, time.Until(deadline))
			time.Sleep(50 * time.Millisecond)
			return nil
		}}, readthrough.NewLog(), budget, nil)
		call := th.Call(t.Context(), "")
		for range 3 {
			call.Look(storetest.Key("k"), nil)
		}
		if len(lefts) != 2 || lefts[1] < 6*time.Millisecond || lefts[1] > 8*time.Millisecond {
			t.Errorf("operations had %v; want two, the second 6 ms and a bit", lefts)
		}
	})
}
