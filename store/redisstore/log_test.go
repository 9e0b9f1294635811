package redisstore_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

const logName = "larder:1:log"

// servers play a test on a real Redis and on the one in process.
func servers(t *testing.T, test func(t *testing.T, addr string)) {
	t.Run("redis", func(t *testing.T) { test(t, redistest.NewProcess(t).Addr()) })
	t.Run("in process", func(t *testing.T) { test(t, redistest.Start(t).Addr()) })
}

func wantState(t *testing.T, s *redisstore.Store, key keying.Key, want store.Liveness) {
	t.Helper()
	if got := state(t, s, key); got != want {
		t.Errorf("the entry is %d; want %d", got, want)
	}
}

func TestPurgeIsSeenByAll(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		a, b := open(t, addr), open(t, addr)
		key := keep(t, a, "k")
		wantState(t, b, key, store.Live)
		purge(t, b, "unrelated")
		wantState(t, a, key, store.Live)
		purge(t, b, "x", "one")
		for _, s := range []*redisstore.Store{b, a, open(t, addr)} {
			wantState(t, s, key, store.Gone)
		}
		keep(t, b, "k")
		for _, s := range []*redisstore.Store{a, b, open(t, addr)} {
			wantState(t, s, key, store.Live)
		}
	})
}

func TestSoftPurgeAndEverything(t *testing.T) {
	addr := redistest.Start(t).Addr()
	a, b := open(t, addr), open(t, addr)
	for _, test := range []struct {
		r    store.Record
		want store.Liveness
	}{
		{store.Record{Labels: labels("one"), Soft: true}, store.Expired},
		{store.Record{All: true, Soft: true}, store.Expired},
		{store.Record{All: true}, store.Gone},
	} {
		key := keep(t, a, "k")
		if err := a.Append(t.Context(), test.r); err != nil {
			t.Fatalf("Append: %v", err)
		}
		for _, s := range []*redisstore.Store{a, b, open(t, addr)} {
			wantState(t, s, key, test.want)
		}
	}
}

func TestPurgeOfManyLabels(t *testing.T) {
	addr := redistest.Start(t).Addr()
	a, b := open(t, addr), open(t, addr)
	key := keep(t, a, "k")
	tags := make([]string, 3*store.MaxLabels)
	for i := range tags {
		tags[i] = fmt.Sprint(i)
	}
	purge(t, a, append(tags, "one")...)
	wantState(t, a, key, store.Gone)
	wantState(t, b, key, store.Gone)
	if n := dial(t, addr).XLen(t.Context(), logName).Val(); n != 5 {
		t.Errorf("%d records; want the first one and four of the purge", n)
	}
}

// An entry whose handler began before the purge and ended after it is gone.
func TestSlowHandlerDoesNotBringOldDataBack(t *testing.T) {
	addr := redistest.Start(t).Addr()
	a, b := open(t, addr), open(t, addr)
	key := storetest.Key("k")
	_, _, _ = a.Get(t.Context(), key)
	e := stamped(a, "k")
	purge(t, b, "one")
	_ = a.Set(t.Context(), key, e, time.Minute)
	wantState(t, b, key, store.Gone)
	wantState(t, a, key, store.Gone)
}

func TestLostLogLosesEntries(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		client := dial(t, addr)
		for name, lose := range map[string]func(){
			"deleted": func() { client.Del(t.Context(), logName) },
			"emptied": func() { client.XTrimMaxLen(t.Context(), logName, 0) },
			"replaced": func() {
				client.Del(t.Context(), logName)
				keep(t, open(t, addr), "other")
			},
			"lost before a purge": func() {
				client.Del(t.Context(), logName)
				purge(t, open(t, addr), "other")
			},
		} {
			t.Run(name, func(t *testing.T) {
				a := open(t, addr)
				key := keep(t, a, "k")
				lose()
				for _, s := range []*redisstore.Store{a, open(t, addr)} {
					wantState(t, s, key, store.Gone)
				}
				keep(t, a, "k")
				wantState(t, open(t, addr), key, store.Live)
			})
		}
	})
}

func TestPurgeIntoALostLog(t *testing.T) {
	addr := redistest.Start(t).Addr()
	a := open(t, addr)
	key := keep(t, a, "k")
	dial(t, addr).Del(t.Context(), logName)
	purge(t, a, "other")
	wantState(t, a, key, store.Gone)
	wantState(t, open(t, addr), key, store.Gone)
	keep(t, a, "k")
	wantState(t, open(t, addr), key, store.Live)
}

func TestFlushLosesEverything(t *testing.T) {
	addr := redistest.NewProcess(t).Addr()
	s := open(t, addr)
	key := keep(t, s, "k")
	near := stamped(s, "k")
	dial(t, addr).FlushAll(t.Context())
	if _, ok, err := s.Get(t.Context(), key); ok || err != nil {
		t.Errorf("Get = %v, %v; want a miss", ok, err)
	}
	if got := s.Ledger().State(near); got != store.Gone {
		t.Errorf("a near copy from before is %d; want it gone", got)
	}
}

func TestTrimmedPastLosesEntries(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		client := dial(t, addr)
		a, b := open(t, addr), open(t, addr)
		old := keep(t, a, "old")
		purge(t, b, "x")
		purge(t, b, "y")
		client.XTrimMaxLen(t.Context(), logName, 1)
		fresh := keep(t, b, "fresh")
		for _, s := range []*redisstore.Store{a, b, open(t, addr)} {
			wantState(t, s, fresh, store.Live)
		}
		for _, s := range []*redisstore.Store{a, open(t, addr)} { // b has missed nothing
			wantState(t, s, old, store.Gone)
		}
	})
}

func TestLongLogIsReadInPages(t *testing.T) {
	addr := redistest.Start(t).Addr()
	a, late := open(t, addr), open(t, addr)
	early := keep(t, a, "early")
	wantState(t, late, early, store.Live)
	pipe := dial(t, addr).Pipeline()
	for i := range 3500 {
		r := store.Record{At: a.Ledger().Head(), Labels: labels(fmt.Sprint(i))}
		if i == 1700 {
			r.Labels = labels("one")
		}
		b, err := store.Codec{}.EncodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: logName, Values: []any{"r", b}})
		if i%100 == 99 { // a busy machine would not answer in time for more
			if _, err := pipe.Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	fresh := open(t, addr)
	for _, s := range []*redisstore.Store{late, fresh} {
		eventually(t, "the log is read", func() bool { _, _, err := s.Get(t.Context(), early); return err == nil })
		wantState(t, s, early, store.Gone)
	}
	if late.Ledger().Head() != fresh.Ledger().Head() {
		t.Errorf("heads %v and %v; want the same", late.Ledger().Head(), fresh.Ledger().Head())
	}
}

func TestUnreadableRecordPurgesEverything(t *testing.T) {
	for name, values := range map[string][]any{
		"text": {"r", "hello"}, "another field": {"x", "y"}, "another version": {"r", "\x95\x02\x01\x00\x90\xc4\x04abcd"}, "empty": {"r", ""},
	} {
		t.Run(name, func(t *testing.T) {
			addr := redistest.Start(t).Addr()
			client, a := dial(t, addr), open(t, addr)
			key := keep(t, a, "k")
			client.XAdd(t.Context(), &redis.XAddArgs{Stream: logName, Values: values})
			wantState(t, a, key, store.Gone)
			wantState(t, open(t, addr), key, store.Gone)
			keep(t, a, "k")
			wantState(t, open(t, addr), key, store.Live)
			purge(t, open(t, addr), "one")
			wantState(t, a, key, store.Gone)
		})
	}
}

func TestForgedRecordsOnly(t *testing.T) {
	addr := redistest.Start(t).Addr()
	client := dial(t, addr)
	for range 5 {
		client.XAdd(t.Context(), &redis.XAddArgs{Stream: logName, Values: []any{"r", "forged"}})
	}
	a, b := open(t, addr), open(t, addr)
	key := keep(t, a, "k")
	wantState(t, b, key, store.Live)
}

func TestLogOfAnotherTypeIsAnError(t *testing.T) {
	addr := redistest.Start(t).Addr()
	s := open(t, addr)
	key := keep(t, s, "k")
	client := dial(t, addr)
	client.Set(t.Context(), logName, "x", 0)
	if n := wantOpen(t, func() error { _, _, err := s.Get(t.Context(), key); return err }); n != 5 {
		t.Errorf("%d errors before the breaker opened; want 5: such a log is asked no more often than a Redis that is down", n)
	}
	if err := s.Append(t.Context(), store.Record{Labels: labels("one")}); err == nil {
		t.Error("Append returned nil")
	}
}

func TestSealedStoresHaveLogsOfTheirOwn(t *testing.T) {
	addr := redistest.Start(t).Addr()
	plain := open(t, addr)
	sealed := plain.Sealed([]byte("secret")).(*redisstore.Store)
	again := open(t, addr).Sealed([]byte("secret")).(*redisstore.Store)
	key := keep(t, sealed, "k")
	purge(t, plain, "one")
	wantState(t, again, key, store.Live)
	purge(t, again, "one")
	wantState(t, sealed, key, store.Gone)
}

// Everybody purges and reads at once; afterwards all ledgers agree.
func TestConcurrentPurges(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		stores := make([]*redisstore.Store, 3)
		for i := range stores {
			stores[i] = open(t, addr)
		}
		var wg sync.WaitGroup
		for i, s := range stores {
			for g := range 4 {
				wg.Go(func() {
					for j := range 10 {
						if g == 0 {
							_ = s.Append(t.Context(), store.Record{Labels: labels(fmt.Sprint(i, j))})
						}
						key := storetest.Key(fmt.Sprint(g, j))
						if _, _, err := s.Get(t.Context(), key); err == nil {
							_ = s.Set(t.Context(), key, stamped(s, fmt.Sprint(g, j)), time.Minute)
						}
					}
				})
			}
		}
		wg.Wait()
		key := keep(t, stores[0], "k")
		for _, s := range stores {
			wantState(t, s, key, store.Live)
			if got, want := s.Ledger().Head(), stores[0].Ledger().Head(); got != want {
				t.Errorf("head %v; want %v", got, want)
			}
		}
	})
}

// After Append returned, its own process and every other sees the purge, whatever is going on.
func TestPurgeWinsEveryRace(t *testing.T) {
	addr := redistest.Start(t).Addr()
	a, b := open(t, addr), open(t, addr)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			_, _, _ = a.Get(ctx, storetest.Key("k"))
			_ = a.Set(ctx, storetest.Key("k"), stamped(a, "k"), time.Minute)
		}
	})
	for range 100 {
		before := stamped(b, "k")
		purge(t, b, "one")
		if b.Ledger().State(before) != store.Gone {
			t.Error("a purge is not seen where it was made")
		}
		head := b.Ledger().Head()
		if e, ok, err := a.Get(t.Context(), storetest.Key("k")); err == nil && ok && e.At.Before(head) && a.Ledger().State(e) != store.Gone {
			t.Errorf("an entry from %v is live after the purge at %v", e.At, head)
		}
	}
	cancel()
	wg.Wait()
}

func TestCatchUpBringsPurgesOfOthers(t *testing.T) {
	server := redistest.Start(t)
	s, other := open(t, server.Addr()), open(t, server.Addr())
	keep(t, s, "k")
	e := stamped(s, "k")
	purge(t, other, "one")
	if s.Ledger().State(e) != store.Live {
		t.Fatal("the purge is known already")
	}
	if err := s.CatchUp(t.Context()); err != nil {
		t.Fatalf("CatchUp: %v", err)
	}
	if s.Ledger().State(e) != store.Gone {
		t.Error("the purge is not known")
	}
	server.SetError("LOADING")
	if err := s.CatchUp(t.Context()); err == nil {
		t.Error("CatchUp without Redis returned nil")
	}
}
