package redisstore

import (
	"cmp"
	"slices"
	"sync"

	"github.com/larder-go/cache/keying"
)

const (
	maxInFlight = 4       // batches under way at once
	maxBatch    = 64      // reads in one batch
	maxDirect   = 2       // reads at once that are sent one by one, where batches have been small:
	smallBatch  = 3       // reads in a batch
	batchBytes  = 1 << 18 // of the values that one batch brings, more or less
)

// batches gather reads while others are under way. Who comes while there are few sends his own at once; who comes later
// joins what gathers, which is sent as soon as one is back. A read never joins a batch that has been sent: the head that
// it is held against must be newer than the read.
type batches struct {
	mu       sync.Mutex
	inFlight int      // under way
	queue    []*batch // not sent yet; only the last may be joined
	capacity int      // for how many reads a batch has room, as the last one's values were; 0: none is back yet
	size16   int      // of the last batches: 16 times their mean
}

// join returns the batch that reads the key now, and the key's place in it.
func (q *batches) join(key keying.Key) (b *batch, place int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.inFlight == 0 || q.inFlight < maxDirect && len(q.queue) == 0 && q.size16 < 16*smallBatch {
		q.started(1)
		return &batch{keys: []keying.Key{key}}, 0
	}
	capacity := cmp.Or(q.capacity, maxBatch)
	if n := len(q.queue); n > 0 && len(q.queue[n-1].keys) < capacity {
		b = q.queue[n-1]
	} else {
		b = &batch{done: make(chan struct{}), keys: make([]keying.Key, 0, capacity)}
		q.queue = append(q.queue, b)
	}
	b.keys = append(b.keys, key)
	b.waiters++
	return b, len(b.keys) - 1
}

// leave is called by a reader who does not wait any longer.
func (q *batches) leave(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b.waiters--
}

// takeOff lets b be sent before others are back, unless it was sent already or too many are under way. There may be more
// where large values leave room for few in each.
func (q *batches) startEarly(b *batch) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.queue, b)
	if i < 0 || q.inFlight >= maxInFlight*min(4, maxBatch/cmp.Or(q.capacity, maxBatch)) {
		return false
	}
	q.queue = slices.Delete(q.queue, i, i+1)
	q.started(len(b.keys))
	return true
}

func (q *batches) started(reads int) {
	q.inFlight++
	q.size16 += 4*reads - q.size16/4
}

// landed returns the next batch to be sent by whoever sent b, or nil. Batches that everybody has left are not sent.
func (q *batches) finished(b *batch) *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.inFlight--
	q.capacity = b.capacity()
	for len(q.queue) > 0 {
		next := q.queue[0]
		q.queue = slices.Delete(q.queue, 0, 1)
		if next.waiters > 0 {
			q.started(len(next.keys))
			return next
		}
		close(next.done)
	}
	return nil
}

// room is how many values of the size that b has brought one batch may bring.
func (b *batch) capacity() int {
	bytes := 1
	for _, value := range b.values {
		bytes += len(value.Val())
	}
	return min(max(batchBytes*len(b.keys)/bytes, 1), maxBatch)
}
