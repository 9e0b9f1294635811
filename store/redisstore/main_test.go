package redisstore_test

import (
	"cmp"
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
	goleak.VerifyTestMain(lenient{m})
}

// lenient gives go-redis the time to see that its clients are closed: one that could not dial looks each second.
type lenient struct{ *testing.M }

func (p lenient) Run() int {
	code := p.M.Run()
	for range 5 { // each takes half a second, unless there is nothing left
		if goleak.Find() == nil {
			break
		}
	}
	return code
}

// quiet keeps the client from reporting every dial that a test makes fail.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// tuned are options that New accepts. Time-outs are the longest allowed: a test machine is busy.
func tuned(addr string) *redis.Options {
	return &redis.Options{
		Addr: addr, ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1, DialTimeout: 500 * time.Millisecond,
		ReadTimeout: 250 * time.Millisecond, WriteTimeout: 250 * time.Millisecond, PoolTimeout: 250 * time.Millisecond,
	}
}

// dial returns a client of the server at addr that is closed when the test ends.
func dial(t testing.TB, addr string) *redis.Client {
	client := redis.NewClient(tuned(addr))
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func on(t testing.TB, client redis.UniversalClient, o redisstore.Options) *redisstore.Store {
	t.Helper()
	o.Prefix = cmp.Or(o.Prefix, "larder")
	s, err := redisstore.New(client, o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() }) // a bubble's clock stands still at its end, and no probe comes to an end then
	return s
}

// open returns a store on the server at addr, with a client of its own, as another process has.
func open(t testing.TB, addr string) *redisstore.Store {
	return on(t, dial(t, addr), redisstore.Options{})
}

// stamped returns an entry that was begun now, with the ledger of s.
func stamped(s store.Log, name string) *store.Entry {
	e := storetest.Entry(storetest.Key(name), name)
	s.Ledger().Stamp(e)
	return e
}

// keep stores an entry of the name in s, as a request does: look, stamp, set.
func keep(t testing.TB, s *redisstore.Store, name string) keying.Key {
	t.Helper()
	key := storetest.Key(name)
	eventually(t, "Redis answers", func() bool { // a busy machine may take longer than a time-out
		_, _, err := s.Get(t.Context(), key)
		return err == nil && s.Set(t.Context(), key, stamped(s, name), time.Minute) == nil
	})
	return key
}

// state is what a reader would do with the key.
func state(t testing.TB, s *redisstore.Store, key keying.Key) store.Liveness {
	t.Helper()
	var e *store.Entry
	var ok bool
	eventually(t, "Redis answers", func() bool {
		var err error
		e, ok, err = s.Get(t.Context(), key)
		return err == nil
	})
	if !ok {
		t.Fatal("Get: a miss; want an entry to judge")
	}
	return s.Ledger().State(e)
}

func purge(t testing.TB, s *redisstore.Store, tags ...string) {
	t.Helper()
	if err := s.Append(t.Context(), store.Record{Labels: labels(tags...)}); err != nil {
		t.Fatalf("Append: %v", err)
	}
}

func labels(tags ...string) []keying.Label {
	labels := make([]keying.Label, len(tags))
	for i, tag := range tags {
		labels[i] = keys.NewLabeler(nil).Tag(tag)
	}
	return labels
}

// eventually asks until done is true; it fails the test after ten seconds.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}
