package redisstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

// lag makes every pipeline of a client take a while, and notes how many commands each has.
type lag struct {
	mu     sync.Mutex
	takes  time.Duration
	sizes  []int
	before func() // runs in place of the wait, if set
}

func (l *lag) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (l *lag) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (l *lag) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		l.mu.Lock()
		l.sizes = append(l.sizes, len(cmds))
		takes, before := l.takes, l.before
		l.mu.Unlock()
		if before != nil {
			before()
		} else if takes > 0 {
			time.Sleep(takes)
		}
		return next(ctx, cmds)
	}
}

func (l *lag) set(takes time.Duration, before func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.takes, l.before, l.sizes = takes, before, nil
}

// pipelines returns how many commands each had since it was last asked.
func (l *lag) pipelines() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	sizes := l.sizes
	l.sizes = nil
	return sizes
}

// batching returns a store that reads in batches already, in a bubble, with 64 entries.
func batching(t *testing.T) (*redisstore.Store, *lag, *wires, []keying.Key) {
	w, l := newWires(t), new(lag)
	client := w.client()
	s := on(t, client, redisstore.Options{})
	keys := make([]keying.Key, 64)
	for i := range keys {
		keys[i] = keep(t, s, fmt.Sprint(i))
	}
	client.AddHook(l)
	l.set(time.Millisecond/2, nil)
	for range 5 {
		for i, err := range readAll(t.Context(), s, keys) {
			if err != nil {
				t.Fatalf("read %d: %v", i, err)
			}
		}
	}
	l.set(0, nil)
	return s, l, w, keys
}

// readAll reads the keys at once and checks that each brings its own.
func readAll(ctx context.Context, s *redisstore.Store, keys []keying.Key) []error {
	errs := make([]error, len(keys))
	var all sync.WaitGroup
	for i, key := range keys {
		all.Go(func() {
			e, ok, err := s.Get(ctx, key)
			switch errs[i] = err; {
			case err == nil && !ok:
				errs[i] = errors.New("a miss")
			case err == nil && (e.Key != key || !strings.HasPrefix(string(e.Body), fmt.Sprint(i))):
				errs[i] = fmt.Errorf("the answer is another's: %q", e.Body)
			}
		})
	}
	all.Wait()
	return errs
}

func TestReadsAtOnceShareRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, _, keys := batching(t)
		l.set(time.Millisecond/2, nil)
		for _, err := range readAll(t.Context(), s, keys) {
			if err != nil {
				t.Error(err)
			}
		}
		if got := l.pipelines(); !slices.Equal(got, []int{2, 64}) { // each with one look at the log
			t.Errorf("pipelines of %v commands; want one of 2 and one of 64", got)
		}
	})
}

// A lone reader asks Redis himself: no goroutine, no wait for others.
func TestLoneReadIsItsCallersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, _, keys := batching(t)
		l.set(0, func() {
			if !strings.Contains(string(debug.Stack()), "TestLoneReadIsItsCallersOwn") {
				t.Error("another goroutine asks Redis")
			}
		})
		for range 20 {
			if _, _, err := s.Get(t.Context(), keys[0]); err != nil {
				t.Errorf("Get: %v", err)
			}
		}
		if got := l.pipelines(); len(got) != 20 {
			t.Errorf("%d pipelines; want 20", len(got))
		}
	})
}

// Two readers do not wait for one another.
func TestTwoReadsAreNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, _, keys := batching(t)
		for range 30 { // by and by
			readAll(t.Context(), s, keys[:2])
		}
		l.set(10*time.Millisecond, nil)
		began := time.Now()
		readAll(t.Context(), s, keys[:2])
		if took := time.Since(began); took != 10*time.Millisecond {
			t.Errorf("two reads took %v; want the 10 ms that one takes", took)
		}
	})
}

// A slow batch holds up nobody for long who comes after it.
func TestSlowBatchHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, _, keys := batching(t)
		var slow atomic.Bool
		slow.Store(true)
		l.set(0, func() {
			if slow.Swap(false) {
				time.Sleep(200 * time.Millisecond)
			}
		})
		var first sync.WaitGroup
		first.Go(func() { _, _, _ = s.Get(t.Context(), keys[0]) })
		synctest.Wait()
		began := time.Now()
		for _, err := range readAll(t.Context(), s, keys) {
			if err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took > 2*time.Millisecond {
			t.Errorf("reads behind a slow one took %v; want 2 ms at most", took)
		}
		first.Wait()
	})
}

// Who gives up leaves at once, and takes nothing from the others.
func TestReaderLeavesItsBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, _, keys := batching(t)
		l.set(20*time.Millisecond, nil)
		var first, leaver sync.WaitGroup
		first.Go(func() { _, _, _ = s.Get(t.Context(), keys[0]) })
		synctest.Wait()
		for _, ctx := range []func() (context.Context, context.CancelFunc){
			func() (context.Context, context.CancelFunc) {
				return context.WithTimeout(t.Context(), 3*time.Millisecond)
			},
			func() (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(3*time.Millisecond, cancel)
				return ctx, cancel
			},
		} {
			leaver.Go(func() {
				ctx, cancel := ctx()
				defer cancel()
				began := time.Now()
				_, _, err := s.Get(ctx, keys[1])
				if took := time.Since(began); took != 3*time.Millisecond || !errors.Is(err, ctx.Err()) {
					t.Errorf("Get = %v after %v; want %v after 3 ms", err, took, ctx.Err())
				}
			})
		}
		for _, err := range readAll(t.Context(), s, keys) {
			if err != nil {
				t.Error(err)
			}
		}
		leaver.Wait()
		first.Wait()
	})
}

// However many readers a batch has, its failure is one.
func TestFailedBatchIsOneFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, w, keys := batching(t)
		l.set(time.Millisecond/2, nil)
		w.SetError("LOADING")
		for i, err := range readAll(t.Context(), s, keys) {
			if err == nil || errors.Is(err, redisstore.ErrOpen) {
				t.Errorf("read %d: %v; want Redis' own error", i, err)
			}
		}
		if _, _, err := s.Get(t.Context(), keys[0]); errors.Is(err, redisstore.ErrOpen) {
			t.Error("the breaker is open after two batches")
		}
		if n := wantOpen(t, func() error { _, _, err := s.Get(t.Context(), keys[0]); return err }); n != 2 {
			t.Errorf("the breaker opened after another %d failures; want 2", n)
		}
		l.set(time.Millisecond/2, nil)
		for i, err := range readAll(t.Context(), s, keys) {
			if !errors.Is(err, redisstore.ErrOpen) {
				t.Errorf("read %d: %v; want ErrOpen", i, err)
			}
		}
	})
}

// With a Redis that hangs nobody waits longer than the budget.
func TestHungRedisCostsReadersOneBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := on(t, hung(t), redisstore.Options{})
		var all sync.WaitGroup
		for range 500 {
			all.Go(func() {
				for range 3 {
					began := time.Now()
					_, _, err := s.Get(t.Context(), storetest.Key("k"))
					if took := time.Since(began); err == nil || took > 50*time.Millisecond {
						t.Errorf("Get = %v after %v; want an error after 50 ms at most", err, took)
					}
				}
			})
		}
		all.Wait()
	})
}

func TestPanicOfAHookIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, _, keys := batching(t)
		var calls atomic.Int64
		l.set(0, func() {
			if calls.Add(1) == 2 {
				panic("a hook")
			}
			time.Sleep(time.Millisecond / 2)
		})
		failed := 0
		for _, err := range readAll(t.Context(), s, keys) {
			if err != nil {
				failed++
			}
		}
		if failed != 63 {
			t.Errorf("%d reads failed; want the 63 of the second batch", failed)
		}
		for _, err := range readAll(t.Context(), s, keys) {
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// Large values are not read by the dozen: the last would come too late.
func TestLargeValuesMakeSmallBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, _, keys := batching(t)
		for i, key := range keys {
			e := stamped(s, fmt.Sprint(i))
			e.Body = []byte(fmt.Sprint(i, strings.Repeat("x", 100<<10)))
			if err := s.Set(t.Context(), key, e, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		_, _, _ = s.Get(t.Context(), keys[0])
		l.set(time.Millisecond/2, nil)
		for _, err := range readAll(t.Context(), s, keys) {
			if err != nil {
				t.Error(err)
			}
		}
		if got := l.pipelines(); slices.Max(got) > 3 {
			t.Errorf("pipelines of %v commands; want 3 at most", got)
		}
	})
}

// What was acknowledged before a read began is known when it returns, whatever batch it came with.
func TestBatchesMissNoPurge(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		s, other := open(t, addr), open(t, addr)
		key := keep(t, s, "k")
		purge(t, other, "one")
		ctx, cancel := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		for range 32 {
			readers.Go(func() {
				for ctx.Err() == nil {
					head := other.Ledger().Head()
					if _, _, err := s.Get(ctx, key); err == nil && s.Ledger().Head().Before(head) {
						t.Errorf("the ledger stands at %v after a read; %v was acknowledged before", s.Ledger().Head(), head)
						return
					}
				}
			})
		}
		for range 200 {
			_ = other.Append(t.Context(), store.Record{Labels: labels("one")})
		}
		cancel()
		readers.Wait()
	})
}

// A reply that is over the server's limit costs those who read other entries nothing, and ends the cache for nobody.
func TestAnEntryThatRedisHangsUpOnSpoilsNoOther(t *testing.T) {
	server := start(t, "save \"\"\nclient-output-buffer-limit normal 1mb 0 0")
	s := opened(t, "redis://"+server.addr+"?read_timeout=250ms&dial_timeout=250ms")
	keys := make([]keying.Key, 32)
	for i := range keys {
		keys[i] = keep(t, s, fmt.Sprint(i))
	}
	large := stamped(s, "large")
	large.Body = bytes.Repeat([]byte("x"), 3<<20)
	eventually(t, "it is kept", func() bool { return s.Set(t.Context(), large.Key, large, time.Minute) == nil })
	for range 40 {
		var all sync.WaitGroup
		all.Go(func() {
			_, ok, err := s.Get(t.Context(), large.Key)
			if ok || err == nil || errors.Is(err, redisstore.ErrOpen) {
				t.Errorf("Get of the large entry = %v, %v; want an error of its own", ok, err)
			}
		})
		for _, key := range keys {
			all.Go(func() {
				if _, ok, err := s.Get(t.Context(), key); !ok && !busy(err) {
					t.Errorf("Get = %v, %v; want a hit", ok, err)
				}
			})
		}
		all.Wait()
	}
	if _, _, err := s.Get(t.Context(), large.Key); err == nil || !strings.Contains(err.Error(), "client-output-buffer-limit") {
		t.Errorf("Get of the large entry = %v; want the setting at fault", err)
	}
}

// It is not asked for again for a while, though whoever has missed it keeps it once more.
func TestAnEntryThatRedisHangsUpOnIsNotAskedForAgain(t *testing.T) {
	server := start(t, "save \"\"\nclient-output-buffer-limit normal 1mb 0 0")
	s := opened(t, "redis://"+server.addr+"?read_timeout=250ms&dial_timeout=250ms")
	keep(t, s, "small")
	large := stamped(s, "large")
	large.Body = bytes.Repeat([]byte("x"), 3<<20)
	set := func() bool { return s.Set(t.Context(), large.Key, large, time.Minute) == nil }
	get := func() string { _, _, err := s.Get(t.Context(), large.Key); return fmt.Sprint(err) }
	eventually(t, "it is kept", set)
	eventually(t, "Redis hangs up on it", func() bool { return strings.Contains(get(), "client-output-buffer-limit") })
	before := reads(t, server)
	for range 5 {
		eventually(t, "it is kept again", set)
		if err := get(); !strings.Contains(err, "client-output-buffer-limit") {
			t.Errorf("Get = %v; want the setting at fault", err)
		}
	}
	if n := reads(t, server) - before; n > 0 {
		t.Errorf("it was asked for %d times again", n)
	}
	large.Body = nil
	eventually(t, "something smaller is kept", set)
	if _, ok, err := s.Get(t.Context(), large.Key); !ok || err != nil {
		t.Errorf("Get = %v, %v; want what is kept now", ok, err)
	}
}

// reads is how many GETRANGE commands the server has had.
func reads(t *testing.T, server *peer) (n int) {
	t.Helper()
	_, text, _ := strings.Cut(server.Info(t.Context(), "commandstats").Val(), "cmdstat_getrange:calls=")
	_, _ = fmt.Sscan(strings.SplitN(text, ",", 2)[0], &n)
	return n
}

// busy reports whether the error is that of a machine with too much to do.
func busy(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// Nor does a lease on it cost the writes of others anything.
func TestALeaseOnAnEntryThatRedisHangsUpOnSpoilsNoWrite(t *testing.T) {
	server := start(t, "save \"\"\nclient-output-buffer-limit normal 1mb 0 0")
	s := opened(t, "redis://"+server.addr+"?read_timeout=250ms&dial_timeout=250ms")
	small := keep(t, s, "small")
	large := stamped(s, "large")
	large.Body = bytes.Repeat([]byte("x"), 3<<20)
	eventually(t, "it is kept", func() bool { return s.Set(t.Context(), large.Key, large, time.Minute) == nil })
	for i := range 10 {
		_, _, err := s.Lease(t.Context(), large.Key, store.Token{byte(i)}, time.Second)
		if err == nil || !busy(err) && !strings.Contains(err.Error(), "client-output-buffer-limit") {
			t.Errorf("Lease = %v; want the setting at fault", err)
		}
	}
	if err := s.Set(t.Context(), small, stamped(s, "small"), time.Minute); err != nil {
		t.Errorf("Set of another = %v", err)
	}
}
