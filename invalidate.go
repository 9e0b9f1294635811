package cache

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Responses to unsafe requests invalidate what they changed (RFC 9111 §4.4), and anybody may send such requests. The purge log
// that processes share is bounded, and each process reads all of it. So a flood of unsafe requests must not become a flood of
// records: beyond a burst, the purges of one interval become one record.
//
// No client gets its response before its purge is in the log, so that whoever acts on the response finds the cache in step:
//
//	request A    the burst is used up; A opens a batch and waits for one interval
//	request B    joins A's batch, and waits for it
//	A            takes the batch out, so that later requests open another, and appends one record for both
//	A and B      go on once the log has the record
//
// While the circuit to the log's store is open nobody waits: the log itself then keeps what it is to be told later.
const (
	batchEvery  = 10 * time.Millisecond // from one record to the next
	batchBurst  = 50                    // records without a batch, after a while without any
	batchLabels = 16                    // URLs of one area in a record; beyond them the record names the whole area

	widenedEvery = time.Second // between two events about purges that were widened
)

// invalidate purges what a response says has changed. The error is the log's: the purge holds for this process in any case.
func (c *Cache) invalidate(ctx context.Context, r store.Record) error {
	if c.tiers.Follower != nil && c.tiers.Follower.CircuitOpen() {
		return c.post(ctx, r)
	}
	batch, first := c.batches.join(r, time.Now())
	switch {
	case batch == nil:
		return c.post(ctx, r)
	case !first:
		<-batch.done
		return batch.err
	}
	defer close(batch.done)
	time.Sleep(batchEvery)
	for _, r := range c.batches.take(batch) {
		if err := c.post(ctx, r); err != nil {
			batch.err = err
		}
	}
	return batch.err
}

// post appends the record on behalf of a request, which waits for a failing log no longer than for any other operation.
func (c *Cache) post(ctx context.Context, r store.Record) error {
	if c.tiers.Follower != nil {
		return c.recorded(c.tiers.Follower.Post(ctx, r))
	}
	return c.append(ctx, r)
}

// purgeBatches limit how many records requests append. The limit is a leaky bucket: each record is due batchEvery after the one
// before, and the bucket holds batchBurst of them.
type purgeBatches struct {
	needed bool // the log is shared with other processes; a log in memory has no reader to spare

	mu   sync.Mutex
	open *purgeBatch // requests may join it; nil: there is none
	due  time.Time   // when the records so far would have been written, one every interval
}

// admit reports whether one more record may be written at once. The lock is held.
func (bs *purgeBatches) admit(now time.Time) bool {
	if earliest := now.Add(-batchBurst * batchEvery); bs.due.Before(earliest) {
		bs.due = earliest
	}
	if bs.due.After(now) {
		return false
	}
	bs.due = bs.due.Add(batchEvery)
	return true
}

// join returns the batch that the record is now a part of, and whether the caller has opened it and must write it. It returns
// nil if the record may be written at once.
func (bs *purgeBatches) join(r store.Record, now time.Time) (b *purgeBatch, first bool) {
	if !bs.needed {
		return nil, false
	}
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if bs.open == nil {
		if bs.admit(now) {
			return nil, false
		}
		bs.open, first = newPurgeBatch(), true
	}
	bs.open.add(r.Labels)
	return bs.open, first
}

// take closes the batch to others and returns its records.
func (bs *purgeBatches) take(b *purgeBatch) []store.Record {
	bs.mu.Lock()
	bs.open, bs.due = nil, bs.due.Add(batchEvery)
	bs.mu.Unlock()
	return b.records()
}

// A purgeBatch collects the purges of several requests. Whoever opened it closes done once the log has answered.
type purgeBatch struct {
	done chan struct{}
	err  error // written before done is closed

	urls  map[keying.Label]keying.Label // each with the label of the place where it lies
	names map[keying.Label]struct{}     // labels without a place: groups, users
}

func newPurgeBatch() *purgeBatch {
	return &purgeBatch{done: make(chan struct{}), urls: map[keying.Label]keying.Label{}, names: map[keying.Label]struct{}{}}
}

// add takes the labels of one record: pairs of a URL and its place, and then labels without a place.
func (b *purgeBatch) add(labels []keying.Label) {
	for ; len(labels) > 1 && keys.IsPlace(labels[1]); labels = labels[2:] {
		b.urls[labels[0]] = labels[1]
	}
	for _, name := range labels {
		b.names[name] = struct{}{}
	}
}

// records are one record that names URLs, and one that names whole areas: those with too many URLs to name them one by one.
func (b *purgeBatch) records() []store.Record {
	some, wide := store.Record{}, store.Record{Wide: true}
	urlsIn := map[keys.Area]int{}
	for _, place := range b.urls {
		area, _ := keys.Meant(place)
		urlsIn[area]++
	}
	for url, place := range b.urls {
		switch area, _ := keys.Meant(place); {
		case urlsIn[area] == 0: // the area is named already
		case urlsIn[area] > batchLabels:
			urlsIn[area], wide.Labels = 0, append(wide.Labels, place)
		default:
			some.Labels = append(some.Labels, url, place)
		}
	}
	some.Labels = slices.AppendSeq(some.Labels, maps.Keys(b.names))
	return slices.DeleteFunc([]store.Record{some, wide}, func(r store.Record) bool { return len(r.Labels) == 0 })
}

// warnWidened tells, once in a while, that the ledger had to widen purges: there were more labels than it remembers.
func (c *Cache) warnWidened() {
	widened, now := int64(c.tiers.Log.Ledger().Rises()), time.Now().UnixNano()
	reported := c.widenedAt.Load()
	if widened == c.widened.Load() || now-reported < int64(widenedEvery) || !c.widenedAt.CompareAndSwap(reported, now) {
		return
	}
	c.emit(Event{Outcome: Warning, Reason: ReasonWidened, Count: int(widened - c.widened.Swap(widened)),
		Err: errors.New("cache: there are more purges than are remembered one by one: the oldest of an area count as one of all that lies there, which is asked for anew; purge by a tag that many answers have in common")})
}
