package redisstore_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

func TestStoreInProcess(t *testing.T) {
	var server *redistest.Server
	storetest.Config{
		Open: func(t *testing.T) store.Store {
			server = redistest.Start(t)
			return open(t, server.Addr())
		},
		Advance: func(d time.Duration) { server.Advance(d) },
	}.Run(t)
}

func TestStoreOnRedis(t *testing.T) {
	addr := redistest.NewProcess(t).Addr()
	for name, seal := range map[string]func(*redisstore.Store) store.Store{
		"plain":  func(s *redisstore.Store) store.Store { return s },
		"sealed": func(s *redisstore.Store) store.Store { return s.Sealed([]byte("secret")) },
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) store.Store {
				client := dial(t, addr)
				client.FlushAll(t.Context())
				return seal(on(t, client, redisstore.Options{}))
			})
		})
	}
}

func TestEveryKeyExpires(t *testing.T) {
	client := dial(t, redistest.NewProcess(t).Addr())
	s := on(t, client, redisstore.Options{Prefix: "shop"})
	keep(t, s, "a")
	purge(t, s, "other")
	keep(t, s.Sealed([]byte("secret")).(*redisstore.Store), "b")
	e := storetest.Entry(storetest.Key("c"), "body")
	_ = s.Set(t.Context(), e.Key, e, time.Nanosecond+time.Second)
	keys := client.Keys(t.Context(), "*").Val()
	if len(keys) != 5 {
		t.Errorf("keys %q; want three entries and two logs", keys)
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "shop:1:") {
			t.Errorf("key %s; want the prefix shop:1:", key)
		}
		if ttl := client.PTTL(t.Context(), key).Val(); ttl <= 0 {
			t.Errorf("key %s has no time to live", key)
		}
	}
}

func TestNothingIsKeptForNoTime(t *testing.T) {
	s := open(t, redistest.Start(t).Addr())
	for _, d := range []time.Duration{0, -1, -2, -time.Hour} {
		key := keep(t, s, "k")
		if err := s.Set(t.Context(), key, stamped(s, "k"), d); err != nil {
			t.Errorf("Set for %d: %v", d, err)
		}
		if _, ok, err := s.Get(t.Context(), key); ok || err != nil {
			t.Errorf("Get of an entry kept for %d = %v, %v; want a miss", d, ok, err)
		}
	}
}

func TestLogLivesOnWhileItIsRead(t *testing.T) {
	server := redistest.Start(t)
	keep(t, open(t, server.Addr()), "a")
	server.Advance(20 * 24 * time.Hour)
	_, _, _ = open(t, server.Addr()).Get(t.Context(), storetest.Key("a"))
	if ttl := server.TTL("larder:1:log"); ttl != 30*24*time.Hour {
		t.Errorf("the log lives for another %v after a read; want 30 days", ttl)
	}
}

// trips counts what goes over the wire.
type trips struct{ n int }

func (h *trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { h.n++; return next(ctx, cmd) }
}

func (h *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { h.n++; return next(ctx, cmds) }
}

func TestHitIsOneRoundTrip(t *testing.T) {
	addr := redistest.Start(t).Addr()
	client := dial(t, addr)
	s, other := on(t, client, redisstore.Options{}), open(t, addr)
	key := keep(t, s, "a")
	var h trips
	client.AddHook(&h)
	for name, want := range map[string]int{"hit": 1, "miss": 1} {
		h.n = 0
		if _, _, err := s.Get(t.Context(), map[string]keying.Key{"hit": key, "miss": storetest.Key("absent")}[name]); err != nil || h.n != want {
			t.Errorf("a %s takes %d round trips (%v); want %d", name, h.n, err, want)
		}
	}
	purge(t, other, "other")
	for _, want := range []int{2, 1} { // the news once
		h.n = 0
		if _, _, err := s.Get(t.Context(), key); err != nil || h.n != want {
			t.Errorf("after a purge elsewhere a hit takes %d round trips (%v); want %d", h.n, err, want)
		}
	}
	h.n = 0
	if err := s.Set(t.Context(), key, stamped(s, "a"), time.Minute); err != nil || h.n != 1 {
		t.Errorf("Set takes %d round trips (%v); want 1", h.n, err)
	}
}

// plant writes a value under the entry's key, past the store.
func plant(t *testing.T, client *redis.Client, key keying.Key, value any) {
	t.Helper()
	if err := client.Set(t.Context(), "larder:1:"+key.String(), value, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
}

func wantCorrupt(t *testing.T, s store.Store, key keying.Key) {
	t.Helper()
	if e, ok, err := s.Get(t.Context(), key); e != nil || ok || !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Get = %v, %v, %v; want ErrCorrupt", e, ok, err)
	}
}

func TestForeignValuesAreMisses(t *testing.T) {
	client := dial(t, redistest.Start(t).Addr())
	s := on(t, client, redisstore.Options{MaxBytes: 4096})
	a, b := keep(t, s, "a"), keep(t, s, "b")
	encoded, err := client.Get(t.Context(), "larder:1:"+a.String()).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string][]byte{
		"swapped": encoded, "text": []byte("hello"), "long": bytes.Repeat([]byte{0x91}, 4097), "longest": bytes.Repeat([]byte{0x91}, 1<<20),
		"depth bomb": bytes.Repeat([]byte{0x91}, 4096), "a byte too many": append(bytes.Clone(encoded), 0),
	} {
		t.Run(name, func(t *testing.T) {
			plant(t, client, b, value)
			wantCorrupt(t, s, b)
		})
	}
	t.Run("another type", func(t *testing.T) {
		client.Del(t.Context(), "larder:1:"+b.String())
		client.LPush(t.Context(), "larder:1:"+b.String(), "x")
		for range 10 { // and it does not open the breaker
			wantCorrupt(t, s, b)
		}
	})
	if state(t, s, a) != store.Live {
		t.Error("its neighbour suffers")
	}
}

func TestDamageIsNoticed(t *testing.T) {
	for name, secret := range map[string][]byte{"checksum": nil, "secret": []byte("secret")} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			var s store.Store = open(t, server.Addr())
			if secret != nil {
				s = s.(store.Sealer).Sealed(secret)
			}
			e := storetest.Entry(storetest.Key("k"), "body")
			_ = s.Set(t.Context(), e.Key, e, time.Minute)
			name := "larder:1:" + e.Key.String()
			whole := server.Do("get", name).(string)
			for bit := range len(whole) * 8 {
				flipped := []byte(whole)
				flipped[bit/8] ^= 1 << (bit % 8)
				server.Do("set", name, string(flipped))
				wantCorrupt(t, s, e.Key)
			}
			for n := 1; n < len(whole); n++ {
				server.Do("set", name, whole[:n])
				wantCorrupt(t, s, e.Key)
			}
		})
	}
}

func TestPlantedHugeValueIsNotRead(t *testing.T) {
	client := dial(t, redistest.NewProcess(t).Addr())
	s := on(t, client, redisstore.Options{MaxBytes: 1 << 20})
	key := storetest.Key("k")
	_, _, _ = s.Get(t.Context(), key)
	name := "larder:1:" + key.String()
	if err := client.SetRange(t.Context(), name, 64<<20, "x").Err(); err != nil {
		t.Skipf("this Redis does not take a huge value: %v", err)
	}
	wantCorrupt(t, s, key)
}

func TestForgedIsAMiss(t *testing.T) {
	client := dial(t, redistest.Start(t).Addr())
	plain := on(t, client, redisstore.Options{})
	sealed := plain.Sealed([]byte("secret"))
	e := storetest.Entry(storetest.Key("k"), "body")
	for name, forger := range map[string]store.Store{"no secret": plain, "another": plain.Sealed([]byte("other"))} {
		t.Run(name, func(t *testing.T) {
			if err := forger.Set(t.Context(), e.Key, e, time.Minute); err != nil {
				t.Fatal(err)
			}
			wantCorrupt(t, sealed, e.Key)
		})
	}
}

func TestOversizedIsRefused(t *testing.T) {
	s := on(t, dial(t, redistest.Start(t).Addr()), redisstore.Options{MaxBytes: 4096})
	for name, e := range map[string]*store.Entry{
		"body":   storetest.Entry(storetest.Key("k"), strings.Repeat("x", 4096)),
		"status": {Status: 101},
		"labels": {Labels: make([]keying.Label, store.MaxLabels+1)},
	} {
		if err := s.Set(t.Context(), e.Key, e, time.Minute); !errors.Is(err, store.ErrRefused) {
			t.Errorf("Set with a bad %s = %v; want ErrRefused", name, err)
		}
	}
}

func TestDeleteManyKeys(t *testing.T) {
	s := open(t, redistest.Start(t).Addr())
	last := keep(t, s, "last")
	keys := make([]keying.Key, 2500)
	if err := s.Delete(t.Context(), append(keys, last)...); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	if _, ok, err := s.Get(t.Context(), last); ok || err != nil {
		t.Errorf("Get = %v, %v; want a miss", ok, err)
	}
}

func TestCloseLeavesAGivenClientOpen(t *testing.T) {
	client := dial(t, redistest.Start(t).Addr())
	if err := on(t, client, redisstore.Options{}).Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the caller's client is closed: %v", err)
	}
}
