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

// Responses to unsafe requests invalidate what these have changed (RFC 9111 §4.4), and anybody may send such requests. The purge log that
// processes share is bounded, and each process reads all of it. So a flood of unsafe requests must not become a flood of records: after a
// burst, all purges of one interval become one record.
//
// No client gets its response before its purge is in the log. So a client that acts on the response finds the cache up to date:
//
//	request A    the burst is used up; A opens a batch and waits for one interval
//	request B    joins A's batch, and waits for it
//	A            takes the batch, so that later requests open another, and appends one record for both
//	A and B      continue once the log has the record
//
// While the circuit to the log's store is open, nobody waits: the purges are pending there.
const (
	batchEvery  = 10 * time.Millisecond // from one record to the next
	batchBurst  = 50                    // records that need no batch, after a quiet time
	batchLabels = 16                    // URLs of one area in a record; if there are more, the record names the whole area

	widenedEvery = time.Second // between two events about widened purges
)

// invalidate purges what a response says has changed. An error is the log's: the purge applies to this process in any case.
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

// post appends the record for a request, which waits for a failing log no longer than for any other operation.
func (c *Cache) post(ctx context.Context, r store.Record) error {
	if c.tiers.Follower != nil {
		return c.recorded(c.tiers.Follower.Post(ctx, r))
	}
	return c.append(ctx, r)
}

// purgeBatches limits how many records requests append. The limit is a leaky bucket: each record is due batchEvery after the one before,
// and the bucket holds batchBurst of them.
type purgeBatches struct {
	needed bool // the log is shared with other processes; in memory, nobody has to read it

	mu   sync.Mutex
	open *purgeBatch // the batch that requests may join; nil: there is none
	due  time.Time   // when the records so far would all be written, at one per interval
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

// join returns the batch that now contains the record, and whether the caller has opened it, and so must write it. It returns nil if the
// record may be written at once.
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

// take closes the batch to further requests and returns its records.
func (bs *purgeBatches) take(b *purgeBatch) []store.Record {
	bs.mu.Lock()
	bs.open, bs.due = nil, bs.due.Add(batchEvery)
	bs.mu.Unlock()
	return b.records()
}

// A purgeBatch collects the purges of several requests. Whoever opened it closes done once the log has responded.
type purgeBatch struct {
	done chan struct{}
	err  error // written before done is closed

	urls  map[keying.Label]keying.Label // each with the label of its place
	names map[keying.Label]struct{}     // labels without a place: groups, users
}

func newPurgeBatch() *purgeBatch {
	return &purgeBatch{done: make(chan struct{}), urls: map[keying.Label]keying.Label{}, names: map[keying.Label]struct{}{}}
}

// add adds the labels of one record: first pairs of a URL and its place, then labels without a place.
func (b *purgeBatch) add(labels []keying.Label) {
	for ; len(labels) > 1 && keys.IsPlace(labels[1]); labels = labels[2:] {
		b.urls[labels[0]] = labels[1]
	}
	for _, name := range labels {
		b.names[name] = struct{}{}
	}
}

// records returns one record that names URLs, and one that names whole areas: those with too many URLs to name one by one.
func (b *purgeBatch) records() []store.Record {
	some, wide := store.Record{}, store.Record{Wide: true}
	urlsIn := map[keys.Area]int{}
	for _, place := range b.urls {
		area, _ := keys.Meant(place)
		urlsIn[area]++
	}
	for url, place := range b.urls {
		switch area, _ := keys.Meant(place); {
		case urlsIn[area] == 0: // already named by its area
		case urlsIn[area] > batchLabels:
			urlsIn[area], wide.Labels = 0, append(wide.Labels, place)
		default:
			some.Labels = append(some.Labels, url, place)
		}
	}
	some.Labels = slices.AppendSeq(some.Labels, maps.Keys(b.names))
	return slices.DeleteFunc([]store.Record{some, wide}, func(r store.Record) bool { return len(r.Labels) == 0 })
}

// warnWidened warns, at most once a second, that the ledger had to widen purges: there were more labels than it remembers.
func (c *Cache) warnWidened() {
	widened, now := int64(c.tiers.Log.Ledger().Rises()), time.Now().UnixNano()
	reported := c.widenedAt.Load()
	if widened == c.widened.Load() || now-reported < int64(widenedEvery) || !c.widenedAt.CompareAndSwap(reported, now) {
		return
	}
	c.emit(Event{Outcome: Warning, Reason: ReasonWidened, Count: int(widened - c.widened.Swap(widened)),
		Err: errors.New("cache: there are more purges than are remembered one by one: the oldest of an area count as one of all that lies there, which is asked for anew; purge by a tag that many answers have in common")})
}
