package memstore_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
)

// TestIndexAndOrderAgree plays readers, writers, deletes, expiry and eviction on few keys, and looks that nobody gets a
// foreign entry, an expired one, or one that is older than the last that was set before.
func TestIndexAndOrderAgree(t *testing.T) {
	for _, o := range []memstore.Options{
		{}, {MaxEntries: 20}, {MaxEntries: 300}, {MaxBytes: 100_000}, {MaxBytes: 3 << 20}, {MaxBytes: 32 << 20, MaxEntries: 2000},
	} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			s, keys := open(t, o), keysOf(600)
			var wg sync.WaitGroup
			for g := range 6 {
				wg.Go(func() { stress(t, s, keys, rand.New(rand.NewPCG(uint64(g), 1)), g) })
			}
			wg.Wait()
			if err := s.Check(); err != nil {
				t.Error(err)
			}
			for s.Len() > 0 && !t.Failed() {
				_ = s.Delete(t.Context(), keys...)
			}
			if err := s.Check(); err != nil || s.Bytes() != 0 {
				t.Errorf("%d bytes are left, %v", s.Bytes(), err)
			}
		})
	}
}

// stress works on all keys, but sets only those that are its own.
func stress(t *testing.T, s *memstore.Store, keys []keying.Key, r *rand.Rand, own int) {
	last := map[keying.Key]int{}
	for i := 1; i < 6000; i++ {
		key := keys[r.IntN(len(keys))]
		e, ok := s.Peek(key)
		switch {
		case ok && e.Key != key:
			t.Error("a foreign entry")
		case ok && !time.Now().Before(e.Stored.Add(e.Fresh+time.Second)):
			t.Error("an expired entry")
		}
		s.Remember(key, hashOf(key), key[:])
		if e, ok := s.Recall(hashOf(key), key[:], time.Now()); ok && e.Key != key {
			t.Error("a foreign entry, by its text")
		}
		at := r.IntN(len(keys)/6)*6 + own
		key = keys[at]
		if e, ok := s.Recall(hashOf(key), key[:], time.Now()); ok && e.Status != last[key] {
			t.Errorf("entry %d by a text; want %d or none", e.Status, last[key])
		}
		if e, ok := s.Peek(key); ok && e.Status != last[key] {
			t.Errorf("entry %d of a key; want %d or none", e.Status, last[key])
		}
		keep := time.Duration(1+r.IntN(20)) * time.Millisecond
		switch r.IntN(8) {
		case 0:
			_ = s.Delete(t.Context(), key)
			last[key] = -1
			continue
		case 1:
			_ = s.Delete(t.Context(), key)
			last[key] = -1
			_ = s.Len()
			continue
		case 2, 3, 4:
			keep = time.Minute
		}
		last[key] = i
		_ = s.Set(t.Context(), key, &store.Entry{
			Key: key, Status: i, Stored: time.Now(), Fresh: keep, Body: make([]byte, r.IntN(20_000)),
		}, keep)
	}
}
