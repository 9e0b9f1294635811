package readthrough

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Bounds of loads that run at once.
const (
	maxRuns  = 256             // far more than a database likes; see Limit
	runStall = time.Second     // without one run ending: those under way are no measure for the next
	runWait  = 5 * time.Second // in all; then the load runs at once with the others
)

// runs bounds how many loads run at once: a cache that is cold, or cannot reach its store, must not drown what the loads
// live on. It delays and never fails: whoever has waited long enough runs his load.
type runs struct {
	room  chan struct{}
	ended atomic.Uint64
}

// Limit sets how many loads run at once; others wait for a while. It is called before the Through is first used.
// Without it they are 256.
func (t *Cache) LimitRuns(n int) *Cache {
	t.runs.room = make(chan struct{}, n)
	return t
}

// enter waits for room and reports whether it has found some, which is to be left. A call of a run that has room itself does
// not wait. Gone is a caller who has hung up.
func (r *runs) enter(ctx context.Context) (in, gone bool) {
	select {
	case r.room <- struct{}{}:
		return true, false
	default:
	}
	if linkOf(ctx).holds(r) {
		return false, false
	}
	tick := time.NewTicker(runStall)
	defer tick.Stop()
	for range runWait / runStall {
		ended := r.ended.Load()
		select {
		case r.room <- struct{}{}:
			return true, false
		case <-ctx.Done():
			return false, errors.Is(ctx.Err(), context.Canceled)
		case <-tick.C:
			if r.ended.Load() == ended {
				return false, false
			}
		}
	}
	return false, false
}

// full reports whether a load would have to wait for room.
func (r *runs) full() bool { return len(r.room) == cap(r.room) }

func (r *runs) leave() {
	r.ended.Add(1)
	<-r.room
}
