package redisstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

// rotate gives a Redis another password and back again, over and over. While it has the other one, connections that are
// there go on, some end, and those that are dialled instead are refused by a reply.
func rotate(ctx context.Context, admin *redis.Client) {
	for i := 0; ctx.Err() == nil; i++ {
		_ = admin.ConfigSet(ctx, "requirepass", "other").Err()
		if i%10 == 0 {
			_ = admin.ClientKillByFilter(ctx, "TYPE", "normal", "SKIPME", "yes").Err()
		}
		for j, line := range strings.Split(admin.ClientList(ctx).Val(), "\n") {
			if id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " "); j%4 == i%4 {
				_ = admin.ClientKillByFilter(ctx, "ID", id, "SKIPME", "yes").Err()
			}
		}
		rest(ctx, 10*time.Millisecond)
		_ = admin.ConfigSet(ctx, "requirepass", "right").Err()
		rest(ctx, 5*time.Millisecond)
	}
}

// rest lets real time pass, as a server needs it to.
func rest(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// What a Redis that refuses connections has not written is not taken as written: a purge that returned nil is in the log, an
// entry that was kept can be read.
func TestNothingCountsAsWrittenThatARefusedConnectionWasToWrite(t *testing.T) {
	server := storetest.NewServer(t)
	admin := redis.NewClient(&redis.Options{Addr: server.Addr(), PoolSize: 1})
	defer admin.Close()
	o := tuned(server.Addr())
	o.Password = "right"
	client := redis.NewClient(o)
	defer client.Close()
	s := on(t, client, redisstore.Options{})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { rotate(ctx, admin) })
	var kept sync.Map // of keying.Key
	var n atomic.Int64
	for range 12 {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := n.Add(1)
				name := fmt.Sprint("entry ", i)
				key := storetest.Key(name)
				write := func() error { return s.Set(ctx, key, stamped(s, name), time.Hour) }
				if i%2 == 0 {
					token := store.Token{byte(i), byte(i >> 8), byte(i >> 16)}
					_, _, _ = s.Lease(ctx, key, token, time.Second)
					write = func() error { return s.Keep(ctx, key, token, stamped(s, name), time.Hour) }
				}
				_, _, _ = s.Get(ctx, key)
				if write() == nil {
					kept.Store(key, name)
				}
			}
		})
	}
	var told []keying.Label
	for i := range 400 {
		r := store.Record{Labels: labels(fmt.Sprint("purge ", i))}
		if s.Append(ctx, r) == nil {
			told = append(told, r.Labels...)
		}
		rest(ctx, time.Millisecond)
	}
	stop()
	wg.Wait()
	if err := admin.ConfigSet(t.Context(), "requirepass", "").Err(); err != nil {
		t.Fatal(err)
	}
	log := logged(t, admin)
	lost := 0
	for _, label := range told {
		if !log[label] {
			lost++
		}
	}
	if lost > 0 || len(told) == 0 {
		t.Errorf("%d of %d acknowledged purges are not in the log", lost, len(told))
	}
	missing, all := 0, 0
	kept.Range(func(key, _ any) bool {
		all++
		if admin.Exists(t.Context(), "larder:1:"+key.(keying.Key).String()).Val() == 0 {
			missing++
		}
		return true
	})
	if missing > 0 || all == 0 {
		t.Errorf("%d of %d entries that were kept are not there", missing, all)
	}
	t.Logf("%d of 400 purges and %d of %d entries were acknowledged", len(told), all, n.Load())
}

// logged returns the labels of the records in the log.
func logged(t *testing.T, client *redis.Client) map[keying.Label]bool {
	t.Helper()
	found := map[keying.Label]bool{}
	for _, m := range client.XRange(t.Context(), logName, "-", "+").Val() {
		r, err := store.Codec{}.DecodeRecord([]byte(m.Values["r"].(string)))
		if err != nil {
			t.Fatal(err)
		}
		for _, label := range r.Labels {
			found[label] = true
		}
	}
	return found
}

// Whatever is asked of a Redis that refuses the connection by a reply fails, and the breakers count it.
func TestAConnectionRefusedByAReplyIsAFailure(t *testing.T) {
	key, token := storetest.Key("k"), store.Token{1}
	ask := map[string]func(ctx context.Context, s *redisstore.Store) error{
		"Get":     func(ctx context.Context, s *redisstore.Store) error { _, _, err := s.Get(ctx, key); return err },
		"Delete":  func(ctx context.Context, s *redisstore.Store) error { return s.Delete(ctx, key) },
		"Append":  func(ctx context.Context, s *redisstore.Store) error { return s.Append(ctx, store.Record{All: true}) },
		"Rank":    func(ctx context.Context, s *redisstore.Store) error { return s.Rank(ctx, key) },
		"Hottest": func(ctx context.Context, s *redisstore.Store) error { _, err := s.Hottest(ctx, 1); return err },
		"Lease": func(ctx context.Context, s *redisstore.Store) error {
			_, _, err := s.Lease(ctx, key, token, time.Second)
			return err
		},
		"Keep": func(ctx context.Context, s *redisstore.Store) error {
			return s.Keep(ctx, key, token, stamped(s, "k"), time.Minute)
		},
	}
	for name, refuse := range map[string]func(ctx context.Context, admin *redis.Client) error{
		"another password": func(ctx context.Context, admin *redis.Client) error {
			return admin.ConfigSet(ctx, "requirepass", "other").Err()
		},
		"too many clients": func(ctx context.Context, admin *redis.Client) error {
			return admin.ConfigSet(ctx, "maxclients", "1").Err()
		},
	} {
		for op, ask := range ask {
			t.Run(name+" "+op, func(t *testing.T) {
				server := storetest.NewServer(t)
				admin := redis.NewClient(&redis.Options{Addr: server.Addr(), PoolSize: 1})
				defer admin.Close()
				o := tuned(server.Addr())
				o.Password = "right"
				client := redis.NewClient(o)
				defer client.Close()
				s := on(t, client, redisstore.Options{})
				defer s.Close()
				if err := refuse(t.Context(), admin); err != nil {
					t.Fatal(err)
				}
				for range 5 {
					if err := ask(t.Context(), s); err == nil {
						t.Error("it returned nil")
					}
				}
				// Without a breaker: rankings are no measure of what requests would meet, and a purge is worth the wait.
				if err := ask(t.Context(), s); op != "Rank" && op != "Hottest" && op != "Append" && !errors.Is(err, redisstore.ErrOpen) {
					t.Errorf("the sixth time it returned %v; want that Redis is given a rest", err)
				}
			})
		}
	}
}

// Only the function that sees to a pipeline's own error sends pipelines.
func TestPipelinesAreSentInOnePlace(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	places := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		n := bytes.Count(text, []byte(".Exec(")) + bytes.Count(text, []byte("ipelined("))
		if places += n; n > 0 && file != "roundtrip.go" {
			t.Errorf("%s sends a pipeline by itself; use exec, which gives the commands the error that only the pipeline has", file)
		}
	}
	if places != 1 {
		t.Errorf("pipelines are sent in %d places; want one", places)
	}
}
