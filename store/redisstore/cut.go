package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/keying"
)

// errCut is why an entry cannot be read.
var errOversized = errors.New("redis hangs up on whoever reads this entry, as on a reply that is over its client-output-buffer-limit for normal " +
	"clients; raise that, or lower redisstore.Options.MaxBytes")

const (
	oversizedFor = time.Minute // until an entry that Redis hangs up on is asked for again
	maxOversized = 256         // of which we know so much
)

// cuts are entries that Redis hangs up on. The zero value is ready to use.
type oversizedEntries struct {
	any        atomic.Bool
	lastFutile atomic.Int64 // when it was looked in vain which entry it is, in Unix nanoseconds
	mu         sync.Mutex
	until      map[keying.Key]time.Time
}

func (c *oversizedEntries) has(key keying.Key) bool {
	if !c.any.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Before(c.until[key])
}

// mayLook reports whether it is worth a look which entry it is: a Redis that hangs up on all is not dialled for that again
// and again.
func (c *oversizedEntries) mayInspect() bool {
	return time.Now().UnixNano()-c.lastFutile.Load() > int64(time.Second)
}

func (c *oversizedEntries) add(key keying.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until == nil || len(c.until) >= maxOversized {
		c.until = map[keying.Key]time.Time{}
	}
	c.until[key] = time.Now().Add(oversizedFor)
	c.any.Store(true)
}

// replaced is called when something else is kept under the key. What is as large would be cut off again.
func (c *oversizedEntries) replaced(key keying.Key, size int) {
	if size <= batchBytes {
		c.forget(key)
	}
}

// forget is called when what is kept under the keys is no more.
func (c *oversizedEntries) forget(keys ...keying.Key) {
	if !c.any.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		delete(c.until, key)
	}
	c.any.Store(len(c.until) > 0)
}

// mayLookAt reports whether a Redis that has hung up is to be asked which entry it was because of.
func (s *Store) mayInspect(n *node) bool {
	return s.reads.closed() && n.healthy() && s.oversized.mayInspect()
}

// cutBy looks whether it is because of the key's entry that Redis has hung up.
func (s *Store) isOversized(ctx context.Context, n *node, key keying.Key) bool {
	if !s.mayInspect(n) {
		return false
	}
	value := make([]*redis.StringCmd, 1)
	_, err := s.fetchApart(ctx, n, []keying.Key{key}, value)
	return err == nil && errors.Is(value[0].Err(), errOversized)
}

// pullApart is pull where Redis has hung up, because of one entry, perhaps, whose reply is larger than it allows. That one's
// fault is not that of the others, nor Redis' own: what is large is read alone.
func (s *Store) fetchApart(ctx context.Context, n *node, keys []keying.Key, values []*redis.StringCmd) (head *redis.XMessageSliceCmd, err error) {
	defer func() {
		if err != nil && ctx.Err() == nil { // too little time says nothing
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
	head, err = s.fetch(ctx, n, small, read) // last, so that the head is newer than all
	for i, value := range read {
		values[at[i]] = value
	}
	return head, err
}

// larger looks which values are larger than so many bytes.
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
