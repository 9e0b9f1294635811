package redisstore_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

// A quiet process is one that is asked nothing. These are ways in which its Redis is away, and how it comes back.
var aways = map[string]func(w *wires) (back func()){
	"refused": func(w *wires) func() {
		w.down.Store(true)
		w.hangUp()
		return func() { w.down.Store(false) }
	},
	"loading": func(w *wires) func() {
		w.SetError("LOADING Redis is loading the dataset in memory")
		return func() { w.SetError("") }
	},
	"read-only": func(w *wires) func() {
		w.SetHook(func(command []string) string {
			if command[0] == "xadd" {
				return "READONLY You can't write against a read only replica."
			}
			return ""
		})
		return func() { w.SetHook(nil) }
	},
	"black hole": func(w *wires) func() {
		w.down.Store(true)
		w.cut()
		return func() { w.down.Store(false); w.hangUp() }
	},
}

// waysToPurge are those of the app, which may wait, and of requests, which may not.
var waysToPurge = map[string]func(*redisstore.Store, context.Context, store.Record) error{
	"Append": (*redisstore.Store).Append,
	"Post":   (*redisstore.Store).Post,
}

// A purge that failed reaches the others within seconds of Redis' return, from a process that is asked nothing.
func TestAFailedPurgeIsToldByAQuietProcess(t *testing.T) {
	for name, away := range aways {
		for _, lasts := range []time.Duration{0, 10 * time.Second, time.Hour} {
			for _, read := range []bool{false, true} {
				for way, purge := range waysToPurge {
					t.Run(fmt.Sprint(name, " for ", lasts, ", has read ", read, ", by ", way), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							w := newWires(t)
							other, s := w.open(), w.open()
							defer s.Close()
							key := keepLabelled(t, other, "k", labels("one")...)
							if read {
								wantState(t, s, key, store.Live)
							}
							back := away(w)
							for range 8 { // after five the circuit is open
								if err := purge(s, t.Context(), store.Record{Labels: labels("one")}); err == nil {
									t.Fatalf("%s returned nil", way)
								}
							}
							within(lasts)
							back()
							within(5 * time.Second)
							wantState(t, other, key, store.Gone)
							within(time.Second) // and what is done beside
							before := w.Commands()
							within(time.Hour)
							if n := w.Commands() - before; n > 0 {
								t.Errorf("%d commands in an hour after Redis was told; want none", n)
							}
						})
					})
				}
			}
		}
	}
}

// However many purges are pending, Redis receives what they name, or areas if that is too much: what lies elsewhere stays,
// in this process and in others.
func TestManyPurgesThatAreOwedTakeNothingElse(t *testing.T) {
	const many = 100_000
	l := keys.NewLabeler(nil)
	url := func(path string) []keying.Label { // as requests name it
		_, label := l.URLs(&url.URL{Path: path}, "http", "example.com")
		return []keying.Label{label, keys.Within(l.Place(path), 1)}
	}
	for name, record := range map[string]func(i int) store.Record{
		"one URL": func(int) store.Record { return store.Record{Labels: url("/items/0")} },
		"URLs":    func(i int) store.Record { return store.Record{Labels: url(fmt.Sprint("/items/", i))} },
		"and groups": func(i int) store.Record {
			return store.Record{Labels: append(url(fmt.Sprint("/items/", i%1000)), l.Tag("g"))}
		},
		"tags": func(i int) store.Record { return store.Record{Labels: []keying.Label{l.Tag(fmt.Sprint(i % 5000))}} },
		"soft": func(i int) store.Record {
			return store.Record{Labels: []keying.Label{l.Tag(fmt.Sprint(i % 5000))}, Soft: i%2 == 0}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWires(t)
				other, s := w.open(), w.open()
				defer s.Close()
				elsewhere := keepLabelled(t, other, "elsewhere", url("/pages/1")...)
				named := keepLabelled(t, other, "named", record(0).Labels...)
				w.down.Store(true)
				w.hangUp()
				for i := range many {
					if err := s.Post(t.Context(), record(i)); err == nil {
						t.Fatal("Post returned nil")
					}
				}
				w.down.Store(false)
				within(time.Minute)
				for process, s := range map[string]*redisstore.Store{"this": s, "the other": other} {
					wantState(t, s, elsewhere, store.Live)
					if got := state(t, s, named); got == store.Live {
						t.Errorf("%s process: what was purged is live", process)
					}
				}
				if n := w.client().XLen(t.Context(), logName).Val(); n > 500 {
					t.Errorf("%d records", n)
				}
			})
		})
	}
}

// keepLabelled stores an entry that carries the labels, for longer than any outage of these tests.
func keepLabelled(t *testing.T, s *redisstore.Store, name string, labels ...keying.Label) keying.Key {
	t.Helper()
	if err := s.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := storetest.Entry(storetest.Key(name), name)
	e.Labels = labels
	s.Ledger().Stamp(e)
	if err := s.Set(t.Context(), e.Key, e, 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	return e.Key
}

// While Redis is away, pending purges are tried once in two seconds at most, however many there are.
func TestWhatIsOwedIsNotToldTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		s := w.open()
		defer s.Close()
		w.down.Store(true)
		for i := range 100 {
			_ = s.Append(t.Context(), store.Record{Labels: labels(fmt.Sprint(i))})
		}
		within(10 * time.Second)
		before := w.dials.Load()
		within(time.Minute)
		if n := w.dials.Load() - before; n > 60+2 || n < 20 { // and there is the probe
			t.Errorf("%d dials in a minute; want some, and one a second at most", n)
		}
		w.down.Store(false)
		within(5 * time.Second)
		client := w.client()
		if n := client.XLen(t.Context(), logName).Val(); n > 3 {
			t.Errorf("%d records; want the first one and two that name the 100 labels", n)
		}
		if n := len(logged(t, client)); n != 100 {
			t.Errorf("%d labels; want 100", n)
		}
	})
}

// Nothing is tried any more once the Store, or a client that is the caller's own, is closed.
func TestTellingEndsWithTheStore(t *testing.T) {
	for name, end := range map[string]func(*redisstore.Store, *redis.Client) error{
		"Store":  func(s *redisstore.Store, _ *redis.Client) error { return s.Close() },
		"client": func(_ *redisstore.Store, c *redis.Client) error { return c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWires(t)
				client := w.client()
				s := on(t, client, redisstore.Options{})
				sealed := s.Sealed([]byte("secret")).(*redisstore.Store)
				w.down.Store(true)
				for _, s := range []*redisstore.Store{s, sealed} {
					_ = s.Append(t.Context(), store.Record{All: true})
				}
				within(5 * time.Second)
				if err := end(s, client); err != nil {
					t.Errorf("Close: %v", err)
				}
				within(5 * time.Second)
				before := w.dials.Load()
				within(time.Hour)
				if n := w.dials.Load() - before; n > 0 {
					t.Errorf("%d dials in an hour; want none", n)
				}
			})
		})
	}
}

// tripwire is a hook that panics while it is armed.
type tripwire struct{ armed atomic.Bool }

func (h *tripwire) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *tripwire) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if h.armed.Load() {
			panic("hook")
		}
		return next(ctx, cmd)
	}
}

func (h *tripwire) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if h.armed.Load() {
			panic("hook")
		}
		return next(ctx, cmds)
	}
}

// A panic of a hook on the timer is told, ends nothing, and costs the purge nothing.
func TestAPanicWhileTellingIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		client, hook := w.client(), new(tripwire)
		client.AddHook(hook)
		s, other := on(t, client, redisstore.Options{}), w.open()
		defer s.Close()
		var told atomic.Pointer[error] // the first
		defer s.OnFault(func(err error) { told.CompareAndSwap(nil, &err) })()
		key := keep(t, other, "k")
		w.down.Store(true)
		w.hangUp()
		if s.Append(t.Context(), store.Record{Labels: labels("one")}) == nil {
			t.Fatal("Append returned nil")
		}
		hook.armed.Store(true)
		w.down.Store(false)
		within(10 * time.Second)
		synctest.Wait()
		if err := told.Load(); err == nil || !strings.Contains((*err).Error(), "panic: hook") {
			t.Errorf("told of %v; want the hook's panic", err)
		}
		hook.armed.Store(false)
		within(5 * time.Second)
		wantState(t, other, key, store.Gone)
	})
}

// hung returns a client of a Redis that takes connections and never answers, for a bubble of fake time.
func hung(t *testing.T) *redis.Client {
	o := tuned("127.0.0.1:1") // no name: go-redis would look it up, past the bubble
	o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	o.Dialer = func(context.Context, string, string) (net.Conn, error) {
		conn, _ := net.Pipe()
		return conn, nil
	}
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// With a Redis that hangs, purges fail together and not one after the other; every one holds for this process.
func TestPurgesDoNotQueueForHungRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := on(t, hung(t), redisstore.Options{})
		for _, most := range []time.Duration{250 * time.Millisecond, 250 * time.Millisecond, 100 * time.Millisecond} {
			e := stamped(s, "k")
			began := time.Now()
			var purges sync.WaitGroup
			for range 100 {
				purges.Go(func() {
					if err := s.Append(t.Context(), store.Record{Labels: labels("one")}); err == nil {
						t.Error("Append returned nil")
					}
				})
			}
			purges.Wait()
			if took := time.Since(began); took > most {
				t.Errorf("100 purges took %v; want %v at most", took, most)
			}
			if s.Ledger().State(e) != store.Gone {
				t.Error("a purge that failed does not hold for its own process")
			}
		}
	})
}

// A purge that failed holds here at once, whether the log was ever read or not, and elsewhere when Redis is back.
func TestFailedPurgeIsMadeUpFor(t *testing.T) {
	for name, r := range map[string]store.Record{"all": {All: true}, "label": {Labels: labels("one")}} {
		for _, contact := range []bool{false, true} {
			t.Run(fmt.Sprint(name, contact), func(t *testing.T) {
				server := redistest.Start(t)
				other := open(t, server.Addr())
				key := keep(t, other, "k")
				s := open(t, server.Addr())
				if contact {
					wantState(t, s, key, store.Live)
				}
				server.SetError("LOADING")
				if err := s.Append(t.Context(), r); err == nil {
					t.Fatal("Append returned nil")
				}
				server.SetError("")
				wantState(t, s, key, store.Gone)
				wantState(t, other, key, store.Gone)
				keep(t, s, "k")
				wantState(t, s, key, store.Live)
				wantState(t, other, key, store.Live)
			})
		}
	}
}

func TestOwedPurgesAreBounded(t *testing.T) {
	server := redistest.Start(t)
	s, other := open(t, server.Addr()), open(t, server.Addr())
	key := keep(t, other, "k")
	server.SetError("LOADING")
	tags := make([]string, 1<<16+1)
	for i := range tags {
		tags[i] = fmt.Sprint(i)
	}
	_ = s.Append(t.Context(), store.Record{Labels: labels(tags...)})
	server.SetError("")
	eventually(t, "the others are told", func() bool {
		_, _, _ = s.Get(t.Context(), key)
		return state(t, other, key) == store.Gone
	})
	if n := dial(t, server.Addr()).XLen(t.Context(), logName).Val(); n != 2 {
		t.Errorf("%d records; want the first one and one that purges everything", n)
	}
}
