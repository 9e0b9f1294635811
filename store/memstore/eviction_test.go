package memstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
)

func TestWholeCapacityIsUsed(t *testing.T) {
	for _, n := range []int{1, 100, 128, 1000, 20_000} {
		s := open(t, memstore.Options{MaxEntries: n, MaxBytes: 1 << 30})
		for i, key := range keysOf(2 * n) {
			_ = s.Set(t.Context(), key, &store.Entry{Key: key}, time.Hour)
			if _, ok := s.Peek(key); !ok {
				t.Fatalf("entry %d of at most %d is not there once it was set", i, n)
			}
			if i+1 == n && s.Len() != n {
				t.Errorf("%d of %d entries are there, which are within the bounds", s.Len(), n)
			}
		}
		if s.Len() != n {
			t.Errorf("%d entries; want %d", s.Len(), n)
		}
		if err := s.Check(); err != nil {
			t.Errorf("at most %d: %v", n, err)
		}
	}
}

func TestScanLeavesWhatWasAskedForTwice(t *testing.T) {
	const n = 2000
	for _, o := range []memstore.Options{{MaxEntries: n}, {MaxEntries: 1 << 30, MaxBytes: 4 << 20}} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			s, keys := open(t, o), keysOf(20*n)
			ask := func(i int) bool {
				_, ok := s.Peek(keys[i])
				if !ok {
					_ = s.Set(t.Context(), keys[i], &store.Entry{Key: keys[i]}, time.Hour)
				}
				return ok
			}
			const hot = n / 2
			for range 3 {
				for i := range hot {
					ask(i)
				}
			}
			for i := hot; i < len(keys); i++ {
				ask(i)
			}
			kept := 0
			for i := range hot {
				if ask(i) {
					kept++
				}
			}
			if kept < hot*98/100 {
				t.Errorf("%d of %d entries that were asked for before a scan are left after it", kept, hot)
			}
		})
	}
}

func TestWhatComesBackIsAdmitted(t *testing.T) {
	const n = 1000
	s, keys := open(t, memstore.Options{MaxEntries: n}), keysOf(5*n)
	set := func(keys ...keying.Key) {
		for _, key := range keys {
			_ = s.Set(t.Context(), key, &store.Entry{Key: key}, time.Hour)
		}
	}
	set(keys[:2*n]...) // the first half is gone
	set(keys[n-100 : n]...)
	set(keys[2*n:]...)
	back := 0
	for _, key := range keys[n-100 : n] {
		if _, ok := s.Peek(key); ok {
			back++
		}
	}
	if back < 95 {
		t.Errorf("%d of 100 keys that came back soon withstood newcomers", back)
	}
}

func TestForeignEntryIsRefused(t *testing.T) {
	s, keys := open(t, memstore.Options{}), keysOf(2)
	if err := s.Set(t.Context(), keys[0], &store.Entry{Key: keys[1]}, time.Hour); err == nil || s.Len() != 0 {
		t.Errorf("Set = %v, and %d entries; want a refusal", err, s.Len())
	}
}
