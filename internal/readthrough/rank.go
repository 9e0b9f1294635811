package readthrough

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

const (
	rankEvery = 10 * time.Second // above the usual near TTL: a key is hot for how steadily it is asked for, not for a short TTL
	rankFor   = time.Second
	rankMost  = 500
)

// A Ranking tells a Ranker which keys this process finds hot, every ten seconds at most, 500 keys at most, and off the time
// of requests. What a Ranker misses because it fails is lost, silently: a key that stays hot is told of again. It is safe
// for concurrent use; a nil one tells nobody.
type Ranking struct {
	ranker store.Ranker
	fault  func(error)
	life   context.Context // ends with Close, under mu
	end    context.CancelFunc
	turn   chan struct{} // held while the ranker is told

	mu   sync.Mutex
	keys map[keying.Key]struct{}
	due  time.Time // when the keys are to be told
}

// NewRanking returns a Ranking for one process. It starts no goroutine until there is something to tell; Close ends it.
// Fault, which may be nil, is told when the Ranker panics.
func NewRanking(to store.Ranker, fault func(error)) *Ranking {
	if fault == nil {
		fault = func(error) {}
	}
	r := &Ranking{ranker: to, fault: fault, turn: make(chan struct{}, 1), keys: map[keying.Key]struct{}{}}
	r.life, r.end = context.WithCancel(context.Background())
	return r
}

// add notes a key that was read from afar. When it is time, what was noted is told in a goroutine that ends soon.
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
	for any := range r.keys { // beyond the most any one makes room: what is hot comes again
		if len(r.keys) > rankMost {
			delete(r.keys, any)
		}
		break
	}
	if now.Before(r.due) || r.life.Err() != nil {
		return
	}
	select {
	case r.turn <- struct{}{}:
		go r.tell(slices.Collect(maps.Keys(r.keys)))
		clear(r.keys)
	default: // the last telling is stuck
	}
}

func (r *Ranking) tell(keys []keying.Key) {
	ctx, cancel := context.WithTimeout(r.life, rankFor)
	defer cancel()
	err := guarded(ctx, func(ctx context.Context) error { return r.ranker.Rank(ctx, keys...) })
	<-r.turn // whoever is told may close us, which waits for the turn
	if errors.Is(err, errPanic) {
		r.fault(err)
	}
}

// Close waits for what is being told, as long as the context allows; nothing is told from then on. It may be called more
// than once.
func (r *Ranking) Close(ctx context.Context) error {
	r.mu.Lock()
	r.end()
	r.mu.Unlock()
	select {
	case r.turn <- struct{}{}:
		<-r.turn
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
