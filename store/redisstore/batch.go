package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/keying"
)

// A batch is sent when the one before it returns: the busier Redis is, the more reads share a round trip. Up to two reads at
// once are sent directly, unless the last batches had three reads or more on average.
const (
	maxInFlight = 4       // batches under way at once
	maxBatch    = 64      // reads in one batch
	maxDirect   = 2       // reads that are sent directly, if the last batches were small:
	smallBatch  = 3       // reads in a batch
	batchBytes  = 1 << 18 // bytes of values that one batch should bring at most

	maxBatchWait = time.Millisecond // how long a batch waits for the one before it
)

// batches gather the reads of one node while other reads are under way.
//
//	reader 1   nothing is under way: it sends a batch of its own, on its own goroutine
//	readers 2, 3 and 4 come in the meantime: 2 may send its own, 3 and 4 join a batch that waits
//	reader 1's batch is back: a goroutine sends the waiting batch, then the next, until none waits
//
// A lone reader pays nothing for this: no goroutine, no channel, no wait.
//
// A read never joins a batch that was sent already. Its entry must be judged by a head of the purge log that was read
// after the request began:
//
//	batch is sent, its head is 6
//	Purge appends record 7 and returns: from now on nobody may be served the old entry
//	a read begins; joining the batch, it would get head 6, and serve the old entry
type batches struct {
	mu       sync.Mutex
	inFlight int      // batches that were sent and are not back
	queue    []*batch // not sent yet; only the last one can be joined
	capacity int      // reads that fit into one batch, going by the values of the last one; 0: none is back yet
	size16   int      // a moving average of the batches' sizes, times 16
}

// batch is one round trip: it reads entries, and after them the purge log's head.
type batch struct {
	keys    []keying.Key
	waiters int           // readers that have not given up; guarded by batches.mu
	done    chan struct{} // closed when the batch is back; nil: its only reader sends it

	// Written before done is closed.
	values []*redis.StringCmd      // one for each key
	head   *redis.XMessageSliceCmd // of the purge log
	err    error                   // why nothing was read
}

// read returns what is stored under the key and the log's head after that, or why nothing was read. It returns when ctx
// ends; the batch goes on for its other readers.
func (s *Store) read(ctx context.Context, key keying.Key) (*redis.StringCmd, *redis.XMessageSliceCmd, error) {
	n := s.nodes.of(ctx, s.shared, key)
	b, i := n.join(key)
	if b.done == nil {
		defer s.finishBatch(n, b)
		s.send(ctx, n, b)
		return b.result(i)
	}
	if i == 0 {
		s.sendIfDelayed(ctx, n, b)
	}
	select {
	case <-b.done:
		return b.result(i)
	case <-ctx.Done():
		n.leave(b)
		return nil, nil, fmt.Errorf("waiting for a batch of reads: %w", ctx.Err())
	}
}

// result returns the result of the read at place i. It must not be called before the batch is back.
func (b *batch) result(i int) (*redis.StringCmd, *redis.XMessageSliceCmd, error) {
	if b.err != nil {
		return nil, nil, b.err
	}
	return b.values[i], b.head, nil
}

// sendIfDelayed sends the batch on its own if the ones under way take longer than a millisecond. The first reader of each
// batch waits here, so a slow round trip holds up later reads no longer than that.
func (s *Store) sendIfDelayed(ctx context.Context, n *node, b *batch) {
	timer := time.NewTimer(maxBatchWait)
	defer timer.Stop()
	select {
	case <-b.done:
	case <-ctx.Done():
	case <-timer.C:
		if n.startEarly(b) {
			go s.sendQueued(n, b)
		}
	}
}

// finishBatch is called when b is back. If a batch waits, a goroutine sends it.
func (s *Store) finishBatch(n *node, b *batch) {
	if b = n.finished(b); b != nil {
		go s.sendQueued(n, b)
	}
}

// sendQueued sends b, and after it whatever waits by then. It returns when nothing waits: no goroutine idles.
func (s *Store) sendQueued(n *node, b *batch) {
	for ; b != nil; b = n.finished(b) {
		s.sendForWaiters(n, b)
	}
}

// sendForWaiters sends a batch on behalf of its readers, with the budget of the Store: their own deadlines differ.
func (s *Store) sendForWaiters(n *node, b *batch) {
	defer close(b.done)
	defer func() {
		if p := recover(); p != nil { // the caller's Redis client may have hooks
			b.err = fmt.Errorf("panic: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), s.budget)
	defer cancel()
	s.send(ctx, n, b)
}

// send is one operation for the circuit breaker, however many reads it has. If the commands were sent, each has its own
// error; b.err is for a batch that was not sent, or panicked.
func (s *Store) send(ctx context.Context, n *node, b *batch) {
	err := s.guarded(ctx, s.readGate(n), func() (err error) {
		b.values = make([]*redis.StringCmd, len(b.keys))
		b.head, err = s.fetch(ctx, n, b.keys, b.values)
		if disconnected(err) && s.mayInspect(n) {
			b.head, err = s.fetchApart(ctx, n, b.keys, b.values)
		}
		return err
	})
	if b.head == nil || errors.Is(err, errPanic) { // the commands know of neither
		b.err = err
	}
}

// fetch reads the keys and the log's head in one round trip. The head comes last:
//
//	reader: entry (stamped 5)    purger               reader: head
//	an old entry is read         XADD → record 6      head 6: catch up, the entry is purged
//
// In the other order the reader could get head 5, miss record 6, and serve the entry after Purge has returned.
func (s *Store) fetch(ctx context.Context, n *node, keys []keying.Key, values []*redis.StringCmd) (head *redis.XMessageSliceCmd, err error) {
	err = s.retryOnDead(ctx, n, func() error {
		cmds := make([]redis.Cmder, len(keys), len(keys)+2)
		s.readCommands(ctx, keys, values, cmds)
		head = redis.NewXMessageSliceCmd(ctx, s.log.headCommand...)
		pipe := s.client.Pipeline()
		_ = pipe.BatchProcess(ctx, append(cmds, head)...)
		s.log.extend(ctx, pipe)
		exec(ctx, pipe)
		return n.readError(head, serverError(cmds...))
	})
	return head, err
}

// readCommands makes the commands that read the keys, as values and in cmds. It allocates all their arguments and names at
// once. GETRANGE never reads more than MaxBytes, whatever is stored there.
func (s *Store) readCommands(ctx context.Context, keys []keying.Key, values []*redis.StringCmd, cmds []redis.Cmder) {
	if len(keys) == 0 {
		return
	}
	args := make([]any, 4*len(keys))
	names, each := s.entryNames(keys)
	for i := range keys {
		a := args[4*i : 4*i+4 : 4*i+4]
		a[0], a[1], a[2], a[3] = "getrange", names[each*i:each*(i+1)], 0, s.maxBytesArg
		values[i] = redis.NewStringCmd(ctx, a...)
		cmds[i] = values[i]
	}
}

// fetchApart is fetch after Redis has hung up, perhaps because of one entry that is larger than it allows. It determines
// which entries are large, reads each of those alone, and the rest together.
func (s *Store) fetchApart(ctx context.Context, n *node, keys []keying.Key, values []*redis.StringCmd) (head *redis.XMessageSliceCmd, err error) {
	defer func() {
		if err != nil && ctx.Err() == nil { // a search that ran out of time proves nothing
			s.oversized.lastFutile.Store(time.Now().UnixNano())
		}
	}()
	large, err := s.findLarger(ctx, n, keys, batchBytes/len(keys))
	if err != nil {
		return nil, err
	}
	var small []keying.Key
	var at []int
	for i, key := range keys {
		if !large[i] {
			small, at = append(small, key), append(at, i)
			continue
		}
		one := make([]*redis.StringCmd, 1)
		if _, err := s.fetch(ctx, n, keys[i:i+1], one); disconnected(err) {
			one[0].SetErr(errOversized)
			s.oversized.add(key)
		}
		values[i] = one[0]
	}
	read := make([]*redis.StringCmd, len(small))
	head, err = s.fetch(ctx, n, small, read) // last, so that this head is newer than every value
	for i, value := range read {
		values[at[i]] = value
	}
	return head, err
}

// findLarger reports which values have more than the given number of bytes, without reading them: it reads one byte at that offset.
func (s *Store) findLarger(ctx context.Context, n *node, keys []keying.Key, bytes int) ([]bool, error) {
	probes := make([]*redis.StringCmd, len(keys))
	err := s.retryOnDead(ctx, n, func() error {
		pipe := s.client.Pipeline()
		for i, key := range keys {
			probes[i] = pipe.GetRange(ctx, s.entryName(key), int64(bytes), int64(bytes))
		}
		return n.wrap(serverError(exec(ctx, pipe)...))
	})
	large := make([]bool, len(keys))
	for i, probe := range probes {
		large[i] = probe.Val() != ""
	}
	if err != nil {
		err = fmt.Errorf("looking which entry it is that Redis hangs up on: %w", err)
	}
	return large, err
}

// isOversized determines whether Redis has hung up because of the key's entry.
func (s *Store) isOversized(ctx context.Context, n *node, key keying.Key) bool {
	if !s.mayInspect(n) {
		return false
	}
	value := make([]*redis.StringCmd, 1)
	_, err := s.fetchApart(ctx, n, []keying.Key{key}, value)
	return err == nil && errors.Is(value[0].Err(), errOversized)
}

// mayInspect reports whether Redis should be searched for an oversized entry after it has hung up: not while it is being
// probed.
func (s *Store) mayInspect(n *node) bool {
	return s.reads.closed() && n.healthy() && s.oversized.mayInspect()
}

// join adds a read to a batch and returns its place there. A batch without a done channel is the caller's own to send.
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

// leave is called by a reader that gives up.
func (q *batches) leave(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b.waiters--
}

// startEarly takes b out of the queue so that it can be sent before others are back. It returns false if b was sent
// already, or too many are under way; more are allowed if large values make for small batches.
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

// finished returns the next batch to send, or nil. It skips batches that all readers have left.
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

// started counts a batch that is about to be sent, and its size: the average moves by a quarter of the difference.
func (q *batches) started(reads int) {
	q.inFlight++
	q.size16 += 4*reads - q.size16/4
}

// capacity returns how many values, of the size that b has read, fit into one batch. It keeps round trips short when entries
// are large.
func (b *batch) capacity() int {
	bytes := 1
	for _, value := range b.values {
		bytes += len(value.Val())
	}
	return min(max(batchBytes*len(b.keys)/bytes, 1), maxBatch)
}
