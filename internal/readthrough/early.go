package readthrough

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Early reports whether a fresh entry that is being served is to be refreshed before it expires. That is left to chance,
// the likelier the nearer the end and the longer the load took, so that one of many requests refreshes it in time
// (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015). Far from its end it
// costs a comparison.
func (t *Cache) Early(e *store.Entry, now time.Time) bool {
	return e.Nearing(now) && float64(e.Cost)*rand.ExpFloat64() >= float64(e.Left(now)) && t.tries.begin(e.Key, now)
}

// tries are early refreshes, one per key and second: until one has brought something, every hit might begin another.
type tries struct {
	mu    sync.Mutex
	begun refusals
}

func (ts *tries) begin(key keying.Key, now time.Time) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.begun.has(key, now) {
		return false
	}
	ts.begun.add(key, now)
	return true
}
