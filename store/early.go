package store

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/larder-go/cache/keying"
)

// earliest is how many times its cost before its end an entry may be refreshed early. Chance goes further once in nine
// million.
const earliest = 16

// Nearing reports whether the entry is fresh and so near its end that it may be refreshed early. The first half of its
// life is out of the question: so whoever comes late to refresh an entry knows one that was refreshed just now.
func (e *Entry) Nearing(now time.Time) bool { return e.NearingAt(e.Left(now)) }

// NearingAt is Nearing when so much of its freshness is left.
func (e *Entry) NearingAt(left time.Duration) bool {
	return left > 0 && left < e.Fresh/2 && left/earliest < e.Cost
}

// Early reports whether a fresh entry that is being served is to be refreshed before it expires. That is left to chance,
// the likelier the nearer the end and the longer the load took, so that one of many requests refreshes it in time
// (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015). Far from its end it
// costs a comparison.
func (t *Through) Early(e *Entry, now time.Time) bool {
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
