package redisstore_test

import (
	"runtime/debug"
	"strings"
	"testing"
	"time"

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
	client := dial(t, storetest.NewServer(t).Addr())
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
