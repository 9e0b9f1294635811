package redisstore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

// A process that starts asks for what is hot; see Cache.Preload.
var _ readthrough.Ranker = (*redisstore.Store)(nil)

func rank(t testing.TB, s *redisstore.Store, names ...string) {
	t.Helper()
	if err := s.Rank(t.Context(), storeKeys(names...)...); err != nil {
		t.Fatalf("Rank: %v", err)
	}
}

func wantHottest(t testing.TB, s *redisstore.Store, n int, names ...string) {
	t.Helper()
	if got, err := s.Hottest(t.Context(), n); err != nil || !slices.Equal(got, storeKeys(names...)) {
		t.Errorf("Hottest = %v, %v; want %q", got, err, names)
	}
}

func storeKeys(names ...string) (keys []keying.Key) {
	for _, name := range names {
		keys = append(keys, storetest.Key(name))
	}
	return keys
}

func TestHottestComesFirst(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		s, other := open(t, addr), open(t, addr)
		wantHottest(t, s, 10)
		rank(t, s)
		rank(t, s, "cold", "warm", "hot")
		rank(t, other, "warm", "hot")
		rank(t, other, "hot")
		wantHottest(t, open(t, addr), 10, "hot", "warm", "cold")
		wantHottest(t, s, 2, "hot", "warm")
		wantHottest(t, s, 0)
		wantHottest(t, s, -1)
	})
}

// What was hot counts in the next hour, beside what is, and no longer.
func TestRankingsAreForgotten(t *testing.T) {
	client := dial(t, redistest.NewProcess(t).Addr())
	s := on(t, client, redisstore.Options{})
	hour := int64(0)
	for hour != time.Now().Unix()/3600 { // again if it strikes meanwhile
		hour = time.Now().Unix() / 3600
		client.FlushAll(t.Context())
		for ago, name := range []string{"now", "last", "before"} {
			key := storetest.Key(name)
			client.ZIncrBy(t.Context(), fmt.Sprint("larder:1:hot:", hour-int64(ago)), float64(2+ago), string(key[:]))
		}
	}
	wantHottest(t, s, 10, "last", "now")
	rank(t, s, "now", "now")
	wantHottest(t, s, 10, "now", "last")
}

func TestRankingsAreBounded(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.Addr())
	rank(t, s, "hot")
	rank(t, s, "hot")
	for i := range 3 {
		names := make([]string, 500)
		for j := range names {
			names[j] = fmt.Sprint(i, " ", j)
		}
		rank(t, s, names...)
	}
	keys, err := s.Hottest(t.Context(), 5000)
	if len(keys) != 1000 || err != nil || keys[0] != storetest.Key("hot") {
		t.Errorf("%d keys, %v; want a thousand, the hot one first", len(keys), err)
	}
	names := server.Keys()
	if len(names) != 1 || !strings.HasPrefix(names[0], "larder:1:hot:") || server.TTL(names[0]) != 2*time.Hour {
		t.Errorf("keys %q; want one, which lives for two hours", names)
	}
	if members := server.Do("zrevrange", names[0], "0", "-1").([]any); len(members) != 1000 {
		t.Errorf("Redis has %d of them; want 1000", len(members))
	}
}

// Entries of other builds and secrets are not to be had, so their rankings are of no use.
func TestRankingsAreApartAsEntriesAre(t *testing.T) {
	client := dial(t, redistest.Start(t).Addr())
	plain := on(t, client, redisstore.Options{})
	stores := map[string]*redisstore.Store{
		"plain":  plain,
		"sealed": plain.Sealed([]byte("secret")).(*redisstore.Store),
		"other":  plain.Sealed([]byte("other")).(*redisstore.Store),
		"build":  on(t, client, redisstore.Options{Build: "hot"}),
		"prefix": on(t, client, redisstore.Options{Prefix: "shop"}),
	}
	for name, s := range stores {
		rank(t, s, name)
	}
	for name, s := range stores {
		wantHottest(t, s, 10, name)
	}
}

func TestForeignRankings(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.Addr())
	rank(t, s, "k")
	name := server.Keys()[0]
	for _, member := range []string{"", "short", strings.Repeat("long", 9)} {
		server.Do("zincrby", name, "9", member)
	}
	wantHottest(t, s, 10, "k")
	server.Do("set", name, "no sorted set")
	if keys, err := s.Hottest(t.Context(), 10); err == nil || len(keys) > 0 {
		t.Errorf("Hottest of what is no ranking = %v, %v; want an error", keys, err)
	}
	keep(t, s, "k") // which it costs nothing
}

// What ranks is no measure of what requests meet: its failures do not count.
func TestRankingDoesNotOpenTheBreaker(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.Addr())
	key := keep(t, s, "k")
	server.SetError("LOADING")
	for range 10 {
		if err := s.Rank(t.Context(), key); err == nil {
			t.Error("Rank: no error")
		}
		if _, err := s.Hottest(t.Context(), 1); err == nil || !strings.HasPrefix(err.Error(), "redisstore: ") {
			t.Errorf("Hottest = %v; want Redis' error", err)
		}
	}
	server.SetError("")
	if _, ok, err := s.Get(t.Context(), key); !ok || err != nil {
		t.Errorf("Get = %v, %v; want a hit", ok, err)
	}
}

// On a cluster the hours' rankings live where they may.
func TestRankingOnACluster(t *testing.T) {
	nodes := cluster(t)
	s := opened(t, fmt.Sprintf("redis+cluster://%s?addr=%s&read_timeout=250ms&dial_timeout=250ms", nodes[0].addr, nodes[1].addr))
	eventually(t, "Redis ranks", func() bool {
		return s.Rank(t.Context(), storeKeys("hot", "hot", "warm")...) == nil
	})
	wantHottest(t, s, 10, "hot", "warm")
}
