package readthrough

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// What is done for keys that are requested again and again: they are refreshed before they expire, and a process that starts
// finds them listed in Far.

// Early reports whether a fresh entry that is being served should be refreshed before it expires. If a hot key's entry were left
// to expire, all requests at that moment would wait for one load. Chance decides: the nearer the end and the longer the load
// took, the likelier is a refresh, so that one of many requests refreshes it in time (Vattani, Chierichetti, Lowenstein: Optimal
// Probabilistic Cache Stampede Prevention, VLDB 2015). Say a load takes a second, and a key is requested a hundred times a
// second:
//
//	8 s before the end   each request refreshes with probability e^-8: one of three thousand, hardly any
//	5 s                  e^-5, one of 150: within a second or two one of them does. It is served at once, and the load
//	                     runs in the background
//	4 s                  the new entry is there. Nobody has seen the old one expire
//
// A key that is requested once an hour is hardly ever refreshed early. Far from its end an entry costs a comparison.
func (rc *Cache) Early(e *store.Entry, now time.Time) bool {
	return e.Nearing(now) && float64(e.Cost)*rand.ExpFloat64() >= float64(e.Left(now)) && rc.earlyTries.begin(e.Key, now)
}

// earlyTries limits early refreshes to one per key and second: until one has brought something, every hit might start another.
type earlyTries struct {
	mu    sync.Mutex
	begun keyMarks
}

func (ts *earlyTries) begin(key keying.Key, now time.Time) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.begun.has(key, 0, now) {
		return false
	}
	ts.begun.add(key, 0, now.Add(time.Second))
	return true
}

const (
	rankEvery = 10 * time.Second // above the usual near TTL: a key is hot because it is requested steadily, not because of a short TTL
	rankFor   = time.Second
	rankMost  = 500
)

// A Ranking tells a Ranker which keys this process finds hot, every ten seconds at most, 500 keys at most, and not during
// requests. What is lost because a Ranker fails is lost silently: a key that stays hot is reported again. A Ranking is safe
// for concurrent use; a nil one does nothing.
type Ranking struct {
	ranker  Ranker
	fault   func(error)
	life    context.Context // ends with Close, under mu
	end     context.CancelFunc
	telling chan struct{} // full while the ranker is called

	mu   sync.Mutex
	keys map[keying.Key]struct{}
	due  time.Time // when to report the keys
}

// NewRanking returns a Ranking for one process. It starts no goroutine until there is something to report; Close ends it.
// Fault, which may be nil, is called when the Ranker panics.
func NewRanking(to Ranker, fault func(error)) *Ranking {
	if fault == nil {
		fault = func(error) {}
	}
	r := &Ranking{ranker: to, fault: fault, telling: make(chan struct{}, 1), keys: map[keying.Key]struct{}{}}
	r.life, r.end = context.WithCancel(context.Background())
	return r
}

// add records a key that was read from Far. When it is time, a short-lived goroutine reports what was recorded.
func (r *Ranking) add(key keying.Key) {
	if r == nil {
		return
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.keys) == 0 {
		r.due = now.Add(rankEvery)
	}
	r.keys[key] = struct{}{}
	for victim := range r.keys { // if there are too many, any one will do: a hot key comes again
		if len(r.keys) > rankMost {
			delete(r.keys, victim)
		}
		break
	}
	if now.Before(r.due) || r.life.Err() != nil {
		return
	}
	select {
	case r.telling <- struct{}{}:
		go r.tell(slices.Collect(maps.Keys(r.keys)))
		clear(r.keys)
	default: // the last call is stuck
	}
}

func (r *Ranking) tell(keys []keying.Key) {
	ctx, cancel := context.WithTimeout(r.life, rankFor)
	defer cancel()
	err := guarded(ctx, func(ctx context.Context) error { return r.ranker.Rank(ctx, keys...) })
	<-r.telling // before fault is called: it may call Close, which waits for this
	if errors.Is(err, errPanic) {
		r.fault(err)
	}
}

// Close waits for a report under way, as long as the context allows; nothing is reported from then on. It may be called more
// than once.
func (r *Ranking) Close(ctx context.Context) error {
	r.mu.Lock()
	r.end()
	r.mu.Unlock()
	select {
	case r.telling <- struct{}{}:
		<-r.telling
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
