package redisstore_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

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
