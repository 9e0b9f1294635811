package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Get reads the entry and the head of the purge log in one round trip, and the log's new records if there are any. If it
// cannot establish what was purged, it returns an error and no entry. While the circuit is open the error wraps [ErrOpen];
// an entry that cannot be trusted is an error that wraps store.ErrCorrupt.
func (s *Store) Get(ctx context.Context, key keying.Key) (*store.Entry, bool, error) {
	if s.oversized.has(key) {
		return nil, false, wrap(errOversized)
	}
	ctx, cancel := s.withBudget(ctx)
	defer cancel()
	value, head, err := s.read(ctx, key)
	if err == nil {
		err = serverError(value)
	}
	if err == nil {
		err = s.catchUpForRequest(ctx, head)
	}
	if err != nil {
		return nil, false, fmt.Errorf("redisstore: %w", s.sentinel.explainReply(err))
	}
	e, err := s.decode(key, value)
	if err != nil {
		return nil, false, fmt.Errorf("redisstore: %w", err)
	}
	return e, e != nil, nil
}

// decode returns the entry that Redis had under the key, or nil for a miss. Another program may have put anything there.
// So it checks the size, the checksum (with a secret, the MAC), and that the entry was made for this key.
func (s *Store) decode(key keying.Key, value *redis.StringCmd) (*store.Entry, error) {
	b, err := value.Bytes()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	case len(b) == 0:
		return nil, nil
	case len(b) > s.maxBytes:
		return nil, fmt.Errorf("%w: more than %d bytes", store.ErrCorrupt, s.maxBytes)
	}
	e, err := s.codec.Decode(b)
	if err == nil && e.Key != key {
		return nil, fmt.Errorf("%w: made for another key", store.ErrCorrupt)
	}
	return e, err
}

// Set stores the entry for the time keep, and does not retain it. An entry that cannot be encoded, or not within
// Options.MaxBytes, is refused with an error that wraps store.ErrRefused. With a keep of zero or less Set deletes the key.
func (s *Store) Set(ctx context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	if keep <= 0 { // for go-redis 0 means for ever, and -1 means to keep the old time to live
		return s.Delete(ctx, key)
	}
	b, err := s.encode(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	defer s.oversized.replaced(key, len(b))
	return wrap(s.writeTo(ctx, key, func() error {
		return confirmSet(s.client.Set(ctx, s.entryName(key), b, atLeastMilli(keep)))
	}))
}

// encode returns the entry as it is stored. Entries of different layouts are never mixed up, because the layout is in the key.
func (s *Store) encode(e *store.Entry) ([]byte, error) {
	b, err := s.codec.Encode(e)
	if err != nil {
		return nil, fmt.Errorf("redisstore: %w: %w", store.ErrRefused, err)
	}
	if len(b) > s.maxBytes {
		return nil, fmt.Errorf("redisstore: %w: %d bytes; at most %d", store.ErrRefused, len(b), s.maxBytes)
	}
	return b, nil
}

// deleteChunkSize is how many keys one round trip deletes.
const deleteChunkSize = 1000

// Delete deletes the keys' entries, a thousand per round trip. A key without an entry is not an error.
func (s *Store) Delete(ctx context.Context, keys ...keying.Key) error {
	for some := range slices.Chunk(keys, deleteChunkSize) {
		if err := s.deleteChunk(ctx, some); err != nil {
			return wrap(err)
		}
	}
	return nil
}

// deleteChunk deletes the entries of some keys in one round trip.
func (s *Store) deleteChunk(ctx context.Context, keys []keying.Key) error {
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	defer s.oversized.forget(keys...)
	n := &s.nodes.fallback // the keys of a chunk may live on many nodes: no single one is to blame
	if len(keys) == 1 {
		n = s.nodes.of(ctx, s.shared, keys[0])
	}
	return s.roundTrip(ctx, n, s.writeGate(n), func() error {
		pipe := s.client.Pipeline()
		for _, key := range keys {
			pipe.Unlink(ctx, s.entryName(key)) // one key per command: on a cluster a command may not name keys of several slots
		}
		return n.wrap(firstError(exec(ctx, pipe)...))
	})
}

// Entries that are larger than Redis' client-output-buffer-limit allows. Redis accepts such an entry, and then hangs up on
// every client that reads it:
//
//	a batch of 30 reads, one of them of such an entry   Redis hangs up: all 30 fail
//	the batch is read apart (fetchApart)                29 succeed; the entry is remembered for a minute
//	the next request for the entry                      fails at once, without a round trip, with an error that names the setting
//	its handler's response is stored again              as large as before: still remembered
//
// Otherwise each request for that one entry would cost others their responses, and open the circuit.

// errOversized is why an entry cannot be read.
var errOversized = errors.New("redis hangs up on whoever reads this entry, as on a reply that is over its client-output-buffer-limit for normal " +
	"clients; raise that, or lower redisstore.Options.MaxBytes")

const (
	oversizedFor = time.Minute // then the entry is read again: the setting may have been changed
	maxOversized = 256         // entries that are remembered; when there are more, all are forgotten
)

// oversizedEntries remembers entries on which Redis hangs up. The zero value is ready to use.
type oversizedEntries struct {
	any        atomic.Bool  // until is not empty; without such entries, reads need no lock
	lastFutile atomic.Int64 // when a search found no such entry, in Unix nanoseconds
	mu         sync.Mutex
	until      map[keying.Key]time.Time
}

// has reports whether the key's entry should not be read now.
func (o *oversizedEntries) has(key keying.Key) bool {
	if !o.any.Load() {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Now().Before(o.until[key])
}

// add remembers the key's entry. The number is bounded, since an attacker could cause many entries that are too large.
func (o *oversizedEntries) add(key keying.Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.until == nil || len(o.until) >= maxOversized {
		o.until = map[keying.Key]time.Time{}
	}
	o.until[key] = time.Now().Add(oversizedFor)
	o.any.Store(true)
}

// replaced is called when another entry was stored under the key. If that one is large, too, Redis may hang up on it as well.
func (o *oversizedEntries) replaced(key keying.Key, size int) {
	if size <= batchBytes {
		o.forget(key)
	}
}

// forget is called when the keys' entries are gone.
func (o *oversizedEntries) forget(keys ...keying.Key) {
	if !o.any.Load() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, key := range keys {
		delete(o.until, key)
	}
	o.any.Store(len(o.until) > 0)
}

// mayInspect reports whether it makes sense to look for such an entry. A Redis that hangs up on everybody is not searched
// more than once a second.
func (o *oversizedEntries) mayInspect() bool {
	return time.Now().UnixNano()-o.lastFutile.Load() > int64(time.Second)
}
