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
var errCut = errors.New("redis hangs up on whoever reads this entry, as on a reply that is over its client-output-buffer-limit for normal " +
	"clients; raise that, or lower redisstore.Options.MaxBytes")

const (
	cutFor = time.Minute // until an entry that Redis hangs up on is asked for again
	maxCut = 256         // of which we know so much
)

// cuts are entries that Redis hangs up on. The zero value is ready to use.
type cuts struct {
	some  atomic.Bool
	vain  atomic.Int64 // when it was looked in vain which entry it is, in Unix nanoseconds
	mu    sync.Mutex
	until map[keying.Key]time.Time
}

func (c *cuts) has(key keying.Key) bool {
	if !c.some.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Before(c.until[key])
}

// mayLook reports whether it is worth a look which entry it is: a Redis that hangs up on all is not dialled for that again
// and again.
func (c *cuts) mayLook() bool { return time.Now().UnixNano()-c.vain.Load() > int64(time.Second) }

func (c *cuts) add(key keying.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until == nil || len(c.until) >= maxCut {
		c.until = map[keying.Key]time.Time{}
	}
	c.until[key] = time.Now().Add(cutFor)
	c.some.Store(true)
}

// replaced is called when something else is kept under the key. What is as large would be cut off again.
func (c *cuts) replaced(key keying.Key, size int) {
	if size <= batchBytes {
		c.forget(key)
	}
}

// forget is called when what is kept under the keys is no more.
func (c *cuts) forget(keys ...keying.Key) {
	if !c.some.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		delete(c.until, key)
	}
	c.some.Store(len(c.until) > 0)
}

// mayLookAt reports whether a Redis that has hung up is to be asked which entry it was because of.
func (s *Store) mayLookAt(n *node) bool { return s.reads.closed() && n.well() && s.cuts.mayLook() }

// cutBy looks whether it is because of the key's entry that Redis has hung up.
func (s *Store) cutBy(ctx context.Context, n *node, key keying.Key) bool {
	if !s.mayLookAt(n) {
		return false
	}
	value := make([]*redis.StringCmd, 1)
	_, err := s.pullApart(ctx, n, []keying.Key{key}, value)
	return err == nil && errors.Is(value[0].Err(), errCut)
}

// pullApart is pull where Redis has hung up, because of one entry, perhaps, whose reply is larger than it allows. That one's
// fault is not that of the others, nor Redis' own: what is large is read alone.
func (s *Store) pullApart(ctx context.Context, q *node, keys []keying.Key, values []*redis.StringCmd) (head *redis.XMessageSliceCmd, err error) {
	defer func() {
		if err != nil && ctx.Err() == nil { // too little time says nothing
			s.cuts.vain.Store(time.Now().UnixNano())
		}
	}()
	large, err := s.larger(ctx, q, keys, batchBytes/len(keys))
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
		if _, err := s.pull(ctx, q, keys[i:i+1], one); hungUp(err) {
			one[0].SetErr(errCut)
			s.cuts.add(key)
		}
		values[i] = one[0]
	}
	read := make([]*redis.StringCmd, len(small))
	head, err = s.pull(ctx, q, small, read) // last, so that the head is newer than all
	for i, value := range read {
		values[at[i]] = value
	}
	return head, err
}

// larger looks which values are larger than so many bytes.
func (s *Store) larger(ctx context.Context, q *node, keys []keying.Key, bytes int) ([]bool, error) {
	looks := make([]*redis.StringCmd, len(keys))
	err := s.insist(ctx, q, func() error {
		pipe := s.client.Pipeline()
		for i, key := range keys {
			looks[i] = pipe.GetRange(ctx, s.name(key), int64(bytes), int64(bytes))
		}
		return q.own(outage(exec(ctx, pipe)...))
	})
	large := make([]bool, len(keys))
	for i, look := range looks {
		large[i] = look.Val() != ""
	}
	if err != nil {
		err = fmt.Errorf("looking which entry it is that Redis hangs up on: %w", err)
	}
	return large, err
}
