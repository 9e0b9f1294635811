package store_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
	"github.com/larder-go/cache/store/storetest"
)

// counted is a store that counts its reads, and can fail.
type counted struct {
	*memstore.Store
	gets  int
	fails error
}

func newCounted(t *testing.T) *counted {
	s := &counted{Store: memstore.New(memstore.Options{})}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (s *counted) Get(ctx context.Context, key keying.Key) (*store.Entry, bool, error) {
	s.gets++
	if s.fails != nil {
		return nil, false, s.fails
	}
	return s.Store.Get(ctx, key)
}

func (s *counted) Set(ctx context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	if s.fails != nil {
		return s.fails
	}
	return s.Store.Set(ctx, key, e, keep)
}

func TestLayeredIsAStore(t *testing.T) {
	storetest.Config{
		Open: func(t *testing.T) store.Store {
			return &store.Layered{Near: newCounted(t).Store, Far: newCounted(t).Store, NearTTL: time.Second}
		},
		Advance: time.Sleep,
		Around:  synctest.Test,
	}.Run(t)
}

func TestLayered(t *testing.T) {
	key := storetest.Key("k")
	for name, test := range map[string]func(t *testing.T, l *store.Layered, near, far *counted, get func(body string)){
		"a near copy spares Far, for NearTTL": func(t *testing.T, l *store.Layered, _, far *counted, get func(string)) {
			_ = far.Set(t.Context(), key, storetest.Entry(key, "far"), time.Hour)
			get("far")
			get("far")
			if far.gets != 1 {
				t.Errorf("Far was read %d times; want once", far.gets)
			}
			_ = far.Set(t.Context(), key, storetest.Entry(key, "newer"), time.Hour)
			time.Sleep(l.NearTTL)
			get("newer")
		},
		"a near copy ends with its freshness": func(t *testing.T, l *store.Layered, near, _ *counted, get func(string)) {
			e := storetest.Entry(key, "short")
			e.Fresh = l.NearTTL / 2
			_ = l.Set(t.Context(), key, e, time.Hour)
			time.Sleep(e.Fresh)
			if near.Len() != 0 {
				t.Error("a copy is near although its entry is stale")
			}
			get("short")
		},
		"what Set keeps is near": func(t *testing.T, l *store.Layered, _, far *counted, get func(string)) {
			_ = l.Set(t.Context(), key, storetest.Entry(key, "set"), time.Hour)
			get("set")
			if far.gets != 0 {
				t.Error("Far was read")
			}
		},
		"what Far does not take is nowhere": func(t *testing.T, l *store.Layered, _, far *counted, get func(string)) {
			_ = l.Set(t.Context(), key, storetest.Entry(key, "old"), time.Hour)
			_ = far.Delete(t.Context(), key)
			far.fails = errors.New("full")
			if err := l.Set(t.Context(), key, storetest.Entry(key, "new"), time.Hour); !errors.Is(err, far.fails) {
				t.Errorf("Set = %v; want Far's error", err)
			}
			far.fails = nil
			get("")
		},
		"a fault of Near is a miss there": func(t *testing.T, l *store.Layered, near, _ *counted, get func(string)) {
			_ = l.Set(t.Context(), key, storetest.Entry(key, "set"), time.Hour)
			near.fails = errors.New("broken")
			get("set")
		},
		"a fault of Far is the caller's": func(t *testing.T, l *store.Layered, _, far *counted, _ func(string)) {
			far.fails = errors.New("away")
			if e, ok, err := l.Get(t.Context(), key); e != nil || ok || !errors.Is(err, far.fails) {
				t.Errorf("Get = %v, %v, %v; want Far's error", e, ok, err)
			}
		},
		"Delete forgets in both": func(t *testing.T, l *store.Layered, near, far *counted, get func(string)) {
			_ = l.Set(t.Context(), key, storetest.Entry(key, "set"), time.Hour)
			if err := l.Delete(t.Context(), key); err != nil {
				t.Errorf("Delete: %v", err)
			}
			get("")
			if near.Len()+far.Len() != 0 {
				t.Error("an entry is left")
			}
		},
		"without NearTTL there are no copies": func(t *testing.T, l *store.Layered, near, _ *counted, get func(string)) {
			l.NearTTL = 0
			_ = l.Set(t.Context(), key, storetest.Entry(key, "set"), time.Hour)
			get("set")
			if near.Len() != 0 {
				t.Error("there is a copy")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := newCounted(t), newCounted(t)
				l := &store.Layered{Near: near, Far: far, NearTTL: 5 * time.Second}
				test(t, l, near, far, func(body string) {
					t.Helper()
					e, ok, err := l.Get(t.Context(), key)
					if err != nil || ok != (body != "") || ok && string(e.Body) != body {
						t.Errorf("Get = %v, %v, %v; want %q", e, ok, err, body)
					}
				})
			})
		})
	}
}
