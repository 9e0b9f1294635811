package redisstore_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

func TestPrefixIsMadeOfTheModule(t *testing.T) {
	for name, test := range map[string]struct {
		info *debug.BuildInfo
		want string
	}{
		"a program":             {&debug.BuildInfo{Path: "example.org/shop/cmd/web", Main: debug.Module{Path: "example.org/shop"}}, "example.org/shop"},
		"another of its module": {&debug.BuildInfo{Path: "example.org/shop/cmd/job", Main: debug.Module{Path: "example.org/shop"}}, "example.org/shop"},
		"a test":                {&debug.BuildInfo{Path: "example.org/shop.test", Main: debug.Module{Path: "example.org/shop"}}, ""},
		"single files":          {&debug.BuildInfo{Path: "command-line-arguments"}, ""},
		"nothing is known":      {nil, ""},
	} {
		if got := redisstore.ModulePath(test.info); got != test.want {
			t.Errorf("%s: %q; want %q", name, got, test.want)
		}
	}
}

// A test has no module of its own, and must not read what the app that it tests has in Redis.
func TestWithoutAPrefixATestIsRefused(t *testing.T) {
	_, err := redisstore.Open("redis://127.0.0.1:1", redisstore.Options{})
	if err == nil || !strings.HasPrefix(err.Error(), "redisstore: Options.Prefix is empty") || !strings.Contains(err.Error(), "set Prefix") {
		t.Errorf("Open without a prefix = %v; want an error that says what to set", err)
	}
	if _, err := redisstore.New(dial(t, "127.0.0.1:1"), redisstore.Options{}); err == nil || !strings.Contains(err.Error(), "set Prefix") {
		t.Errorf("New without a prefix = %v; want an error that says what to set", err)
	}
}

func TestPrefixesThatBreakNamesAreRefused(t *testing.T) {
	for prefix, ok := range map[string]bool{
		"shop": true, "shop:eu": true, "example.org/~a/shop-2_x+y@z": true, strings.Repeat("x", 256): true,
		"{shop}": false, "shop{": false, "a b": false, "shop*": false, "a\n": false, "größe": false, strings.Repeat("x", 257): false,
	} {
		s, err := redisstore.Open("redis://127.0.0.1:1", redisstore.Options{Prefix: prefix})
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "Options.Prefix is") {
			t.Errorf("prefix %.20q: %v; want it taken: %t", prefix, err, ok)
		}
		if err == nil {
			if err := s.Warning(); err != nil {
				t.Errorf("prefix %.20q: warning %v; want none for what was chosen", prefix, err)
			}
			_ = s.Close()
		}
	}
}

func TestAppsWithPrefixesOfTheirOwnShareNothing(t *testing.T) {
	client := dial(t, redistest.NewProcess(t).Addr())
	shop, blog := on(t, client, redisstore.Options{Prefix: "shop"}), on(t, client, redisstore.Options{Prefix: "blog"})
	key := keep(t, shop, "k")
	if _, ok, err := blog.Get(t.Context(), key); ok || err != nil {
		t.Errorf("Get of the other app = %v, %v; want a miss", ok, err)
	}
	if _, lease, err := shop.Lease(t.Context(), key, store.Token{1}, time.Minute); lease.State != store.Taken {
		t.Fatalf("Lease = %v, %v", lease, err)
	}
	if _, lease, err := blog.Lease(t.Context(), key, store.Token{2}, time.Minute); lease.State != store.Taken {
		t.Errorf("Lease of the other app = %v, %v; want it free", lease, err)
	}
	if err := blog.Append(t.Context(), store.Record{All: true}); err != nil {
		t.Fatal(err)
	}
	if got := state(t, shop, key); got != store.Live {
		t.Errorf("after a purge of the other app the entry is %v; want it live", got)
	}
}

// Builds that run side by side have entries of their own, and purge each other's.
func TestBuildsShareOnlyPurges(t *testing.T) {
	server := redistest.Start(t)
	client := dial(t, server.Addr())
	of := func(build string) *redisstore.Store { return on(t, client, redisstore.Options{Build: build}) }
	key := storetest.Key("k")
	for _, build := range []string{"", "v1.0+abc", "log", "lease"} {
		s := of(build)
		if _, ok, err := s.Get(t.Context(), key); ok || err != nil {
			t.Errorf("build %q: Get = %v, %v; want a miss", build, ok, err)
		}
		keep(t, s, "k")
		wantState(t, of(build), key, store.Live)
	}
	purge(t, of("v2"), "one")
	for _, build := range []string{"", "v1.0+abc", "log", "lease"} {
		wantState(t, of(build), key, store.Gone)
	}
	if keys := server.Keys(); len(keys) != 5 {
		t.Errorf("keys %q; want four entries and one log", keys)
	}
}

// A rolling deploy: processes of an old and of a new build run side by side. Neither finds the other's entries, leases or
// rankings; a purge by either reaches both at once, in Redis and in memory; and what one purges, the other can make again.
func TestARollingDeployOfTwoBuilds(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		process := func(build string) *redisstore.Store { return on(t, dial(t, addr), redisstore.Options{Build: build}) }
		older, newer := process("v1"), process("v2")
		follow(t, older)
		follow(t, newer)
		key := keep(t, older, "k")
		if _, ok, err := newer.Get(t.Context(), key); ok || err != nil {
			t.Errorf("the new build's Get = %v, %v; want a miss", ok, err)
		}
		if _, l, err := older.Lease(t.Context(), storetest.Key("miss"), store.Token{1}, time.Minute); l.State != store.Taken || err != nil {
			t.Errorf("the old build's Lease = %v, %v; want it taken", l, err)
		}
		if _, l, err := newer.Lease(t.Context(), storetest.Key("miss"), store.Token{2}, time.Minute); l.State != store.Taken || err != nil {
			t.Errorf("the new build's Lease = %v, %v; want one of its own", l, err)
		}
		rank(t, older, "k")
		wantHottest(t, newer, 10)
		for name, purger := range map[string]*redisstore.Store{"old": older, "new": newer} {
			keep(t, older, "k")
			keep(t, newer, "k")
			inOld, inNew := stamped(older, "k"), stamped(newer, "k") // copies in memory
			purge(t, purger, "one")
			for _, s := range []*redisstore.Store{older, newer, process("v1"), process("v2")} {
				wantState(t, s, key, store.Gone)
			}
			eventually(t, "copies in memory learn of it", func() bool {
				return older.Ledger().State(inOld) == store.Gone && newer.Ledger().State(inNew) == store.Gone
			})
			if n := dial(t, addr).XLen(t.Context(), logName).Val(); n < 2 {
				t.Errorf("after the %s build's purge the log has %d records; want one log for both", name, n)
			}
		}
	})
}

// What another layout or format has left under our keys is a miss that is counted, and is written over.
func TestEntriesOfAnotherFormatAreMisses(t *testing.T) {
	client := dial(t, redistest.Start(t).Addr())
	s := on(t, client, redisstore.Options{})
	key := keep(t, s, "k")
	encoded, err := client.Get(t.Context(), "larder:1:"+key.String()).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	sealed := encoded[:len(encoded)-6] // a checksum of four bytes, and their head
	sealed[3]++                        // the format, after the head of an array of sixteen
	binary.BigEndian.PutUint32(encoded[len(encoded)-4:], crc32.Checksum(sealed, crc32.MakeTable(crc32.Castagnoli)))
	plant(t, client, key, encoded)
	if _, ok, err := s.Get(t.Context(), key); ok || !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "format") {
		t.Errorf("Get = %v, %v; want ErrCorrupt for its format", ok, err)
	}
	if err := s.Set(t.Context(), key, stamped(s, "k"), 1e9); err != nil {
		t.Errorf("Set: %v", err)
	}
	wantState(t, s, key, store.Live)
}

func TestNewRefusesBuilds(t *testing.T) {
	client := dial(t, "127.0.0.1:1")
	for _, build := range []string{"a:b", "a b", "{a}", "a\n", strings.Repeat("a", 65), "é"} {
		if _, err := redisstore.New(client, redisstore.Options{Build: build}); err == nil || !strings.Contains(err.Error(), "Options.Build") {
			t.Errorf("New with the build %q = %v; want an error", build, err)
		}
	}
}
