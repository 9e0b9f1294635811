// Package fartest has a store that stands in for Redis in tests.
package fartest

import (
	"context"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/storetest"
)

// Store stands in for Redis: it stores entries as msgpack, and all caches on it share its purge log.
type Store struct {
	store.Log
	Gets, Sets atomic.Int64
	Records    atomic.Int64                         // how many were appended to the log
	Down       atomic.Bool                          // Get, Set and Append fail
	Before     func(op string, ctx context.Context) // called before every Get and Set, if not nil

	mu      sync.Mutex
	entries map[keying.Key]kept
}

type kept struct {
	bytes []byte
	until time.Time
}

// Down is the error of a store that is down.
type Down struct{}

func (Down) Error() string { return "the far store is down" }

// New returns an empty store.
func New() *Store { return &Store{Log: readthrough.NewLog(), entries: map[keying.Key]kept{}} }

func (f *Store) op(ctx context.Context, name string) error {
	if f.Before != nil {
		f.Before(name, ctx)
	}
	if f.Down.Load() {
		return Down{}
	}
	return ctx.Err()
}

// Get implements store.Store. Gets counts the calls.
func (f *Store) Get(ctx context.Context, key keying.Key) (*store.Entry, bool, error) {
	f.Gets.Add(1)
	if err := f.op(ctx, "get"); err != nil {
		return nil, false, err
	}
	f.mu.Lock()
	k, ok := f.entries[key]
	f.mu.Unlock()
	if !ok || !time.Now().Before(k.until) {
		return nil, false, nil
	}
	e, err := store.Codec{}.Decode(append([]byte(nil), k.bytes...))
	return e, err == nil, err
}

// Set implements store.Store. Sets counts the calls.
func (f *Store) Set(ctx context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	f.Sets.Add(1)
	if err := f.op(ctx, "set"); err != nil {
		return err
	}
	b, err := store.Codec{}.Encode(e)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries[key] = kept{b, time.Now().Add(keep)}
	return nil
}

// Delete implements store.Store.
func (f *Store) Delete(_ context.Context, keys ...keying.Key) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range keys {
		delete(f.entries, key)
	}
	return nil
}

// Append implements store.Log. Records counts the calls.
func (f *Store) Append(ctx context.Context, r store.Record) error {
	f.Records.Add(1)
	if f.Down.Load() {
		f.Ledger().ApplyHere(r)
		return Down{}
	}
	return f.Log.Append(ctx, r)
}

// Len returns how many entries it has, including expired ones.
func (f *Store) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.entries)
}

// Evict drops all entries, as Redis may at any time.
func (f *Store) Evict() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.entries)
}

// Operations returns how often Get and Set were called.
func (f *Store) Operations() int64 { return f.Gets.Load() + f.Sets.Load() }

// Plant stores an entry under the key, after change has changed it. It stores no invalid entry: no codec would read it.
func (f *Store) Plant(t *testing.T, key keying.Key, change func(*store.Entry)) {
	t.Helper()
	e := storetest.Entry(key, "planted")
	e.Status, e.Stored, e.Fresh = http.StatusOK, time.Now(), time.Hour
	f.Ledger().Stamp(e)
	change(e)
	if e.Validate() != nil {
		return
	}
	if err := f.Set(t.Context(), key, e, time.Hour); err != nil {
		t.Fatal(err)
	}
}

// Overwrite replaces the bodies of all entries.
func (f *Store) Overwrite(t *testing.T, body []byte) {
	t.Helper()
	f.mu.Lock()
	all := maps.Clone(f.entries)
	f.mu.Unlock()
	for key := range all {
		e, ok, err := f.Get(t.Context(), key)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		e.Body = body
		if err := f.Set(t.Context(), key, e, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
}
