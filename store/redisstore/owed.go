package redisstore

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/larder-go/cache/store"
)

// Beyond these, purges that Redis could not be told of become one of everything.
const (
	maxOwed       = 1000
	maxOwedLabels = 1 << 16
)

// owed are purges that Redis could not be told of. They hold for this process; the others are told when Redis answers
// again.
type owed struct {
	some    atomic.Bool
	mu      sync.Mutex
	records []*store.Record
	labels  int
}

func (o *owed) add(r store.Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.records = append(o.records, &r)
	o.labels += len(r.Labels)
	if len(o.records) > maxOwed || o.labels > maxOwedLabels {
		o.records, o.labels = []*store.Record{{All: true}}, 0
	}
	o.some.Store(true)
}

// first returns the oldest purge that is owed, or nil.
func (o *owed) first() *store.Record {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.records) == 0 {
		return nil
	}
	return o.records[0]
}

// paid strikes the purge out, unless it has become part of one of everything meanwhile.
func (o *owed) paid(r *store.Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.records) > 0 && o.records[0] == r {
		o.records = o.records[1:]
		o.labels -= len(r.Labels)
		o.some.Store(len(o.records) > 0)
	}
}

// applyTo takes what is owed into a ledger that has been replaced.
func (o *owed) applyTo(l *store.Ledger) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.records {
		l.ApplyHere(*r)
	}
}

// settle tells Redis what it is owed. The caller has the turn.
func (s *Store) settle(ctx context.Context, w way) error {
	if !s.log.owed.some.Load() {
		return nil
	}
	for r := s.log.owed.first(); r != nil; r = s.log.owed.first() {
		if err := s.appendAll(ctx, w, *r); err != nil {
			return err
		}
		s.log.owed.paid(r)
	}
	return nil
}

// trySettle is settle for whoever would not wait for the turn.
func (s *Store) trySettle(ctx context.Context, w way) {
	select {
	case s.log.turn <- struct{}{}:
		defer s.log.unlock()
		_ = s.settle(ctx, w)
	default:
	}
}
