package redisstore_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

// follow follows the log of s until the test ends, and notes what it is told of losses.
func follow(t *testing.T, s *redisstore.Store) *losses {
	l := new(losses)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Follow(ctx, l.add)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return l
}

type losses struct {
	mu  sync.Mutex
	all []error
}

func (l *losses) add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, err)
}

// want checks what was told since it was last asked: "lost" or "back".
func (l *losses) want(t *testing.T, want ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var got []string
	for _, err := range l.all {
		got = append(got, map[bool]string{true: "back", false: "lost"}[err == nil])
	}
	if !slices.Equal(got, want) {
		t.Errorf("was told %v; want %v", l.all, want)
	}
	l.all = nil
}

// within waits that long in fake time.
func within(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestFollowerLearnsOfPurges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		s, other := w.open(), w.open()
		l := follow(t, s)
		within(3 * time.Second)
		for i := range 5 {
			e := stamped(s, "k")
			purge(t, other, "one")
			if within(20 * time.Millisecond); s.Ledger().State(e) != store.Gone {
				t.Errorf("purge %d is not known after 20 ms", i)
			}
		}
		l.want(t)
	})
}

func TestFollowerNoticesAnotherLog(t *testing.T) {
	for name, lose := range map[string]func(w *wires){
		"flushed":  func(w *wires) { w.Do("flushall") },
		"replaced": func(w *wires) { w.Do("flushall"); keep(w.t, w.open(), "other") },
		"trimmed": func(w *wires) {
			for range 5 {
				purge(w.t, w.open(), "x")
			}
			w.client().XTrimMaxLen(w.t.Context(), logName, 1)
		},
	} {
		for _, away := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " while away ", away), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWires(t)
					s := w.open()
					follow(t, s)
					within(3 * time.Second)
					e := stamped(s, "k")
					if away {
						w.cut()
					}
					lose(w)
					within(5 * time.Second)
					if got, want := s.Ledger().State(e), store.Gone; got != want && (name != "trimmed" || away) {
						t.Errorf("a near copy is %d; want %d", got, want)
					}
					e = stamped(s, "k")
					purge(t, w.open(), "one")
					if within(20 * time.Millisecond); s.Ledger().State(e) != store.Gone {
						t.Error("a later purge is not known")
					}
				})
			})
		}
	}
}

// A connection that is cut off without a word is replaced in about two seconds, and what was missed is made up for.
func TestFollowerComesBack(t *testing.T) {
	for name, lose := range map[string]func(*wires){"black hole": (*wires).cut, "closed": (*wires).hangUp} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWires(t)
				s := w.open()
				l := follow(t, s)
				within(3 * time.Second)
				e := stamped(s, "k")
				lose(w)
				purge(t, w.open(), "one")
				if within(2500 * time.Millisecond); s.Ledger().State(e) != store.Gone {
					t.Error("the purge is not known after 2.5 s")
				}
				within(2 * time.Second)
				l.want(t, "lost", "back")
			})
		})
	}
}

// asked counts what would be counted as asking: dials, or reads of the log, whichever are more.
func (w *wires) asked(reads *atomic.Int64) int64 { return max(w.dials.Load(), reads.Load()) }

// While Redis cannot be used, for whatever reason, it is asked twice a second at most, and the loss is told once.
func TestFollowerDoesNotHammer(t *testing.T) {
	for name, deny := range map[string]struct{ reply, command string }{
		"refused":        {},
		"loading":        {"LOADING Redis is loading the dataset in memory", ""},
		"wrong password": {"WRONGPASS invalid username-password pair", ""},
		"denied":         {"NOPERM this user has no permissions to run the 'xread' command", "xread"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWires(t)
				s := w.open()
				var reads atomic.Int64
				w.SetHook(func(command []string) string {
					if command[0] == "xrevrange" {
						reads.Add(1)
					}
					if deny.command == "" || deny.command == command[0] {
						return deny.reply
					}
					return ""
				})
				w.down.Store(deny.reply == "")
				l := follow(t, s)
				within(time.Minute)
				if n := w.asked(&reads); n > 60 || n < 20 {
					t.Errorf("Redis was asked %d times in a minute; want some, and two a second at most", n)
				}
				l.want(t, "lost")
				if deny.command != "" { // requests do not suffer
					for range 10 {
						if _, _, err := s.Get(t.Context(), storetest.Key("k")); err != nil {
							t.Errorf("Get: %v", err)
						}
					}
				}
				w.SetHook(nil)
				w.down.Store(false)
				within(5 * time.Second)
				l.want(t, "back")
			})
		})
	}
}

// With requests under way, too, Redis is not asked more often than the breaker allows while the circuit is open.
func TestFollowerSharesTheBreakersProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		s := w.open()
		follow(t, s)
		within(3 * time.Second)
		w.down.Store(true)
		w.hangUp()
		read := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); within(time.Millisecond) {
				_, _, _ = s.Get(t.Context(), storetest.Key("k"))
			}
		}
		read(3 * time.Second)
		before := w.dials.Load()
		read(time.Minute)
		if n := w.dials.Load() - before; n > 130 {
			t.Errorf("%d connections in a minute of requests; want two a second at most", n)
		}
		w.down.Store(false)
		within(3 * time.Second) // go-redis dials on in the background
	})
}

func TestFollowEndsAtOnce(t *testing.T) {
	for name, state := range map[string]func(*wires){
		"waiting": func(*wires) {}, "black hole": (*wires).cut,
		"resting": func(w *wires) { w.down.Store(true); w.hangUp() },
	} {
		for _, how := range []string{"context", "Close"} {
			t.Run(name+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWires(t)
					s := w.open()
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					done := make(chan struct{})
					go func() {
						defer close(done)
						s.Follow(ctx, func(error) {})
					}()
					within(3 * time.Second)
					state(w)
					within(100 * time.Millisecond)
					began := time.Now()
					if how == "context" {
						cancel()
					} else if err := s.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
					<-done
					if took := time.Since(began); took > 50*time.Millisecond {
						t.Errorf("it took %v; want no time", took)
					}
				})
			})
		}
	}
}

// A flood of purges wakes the follower two hundred times a second at most.
func TestFollowerReadsAFloodTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		s, other := w.open(), w.open()
		follow(t, s)
		purge(t, other, "zero") // what is done beside the first use is done
		within(3 * time.Second)
		before := w.Commands()
		const purges = 1000
		for range purges {
			purge(t, other, "one")
			within(time.Millisecond)
		}
		e := stamped(s, "k")
		purge(t, other, "one")
		if within(20 * time.Millisecond); s.Ledger().State(e) != store.Gone {
			t.Error("the last purge is not known after 20 ms")
		}
		const ofPurge, ofWake = 4, 3 // commands
		if n := w.Commands() - before; n > purges*ofPurge+210*ofWake {
			t.Errorf("%d commands; want %d for the purges and %d for the follower at most", n, purges*ofPurge, 210*ofWake)
		}
	})
}

// On a real Redis: every purge is known within a moment, and goes without a read of any entry.
func TestFollowerOnRedis(t *testing.T) {
	addr := redistest.NewProcess(t).Addr()
	s, other := open(t, addr), open(t, addr)
	follow(t, s)
	key := keep(t, other, "k")
	eventually(t, "the log is followed", func() bool { return s.Ledger().Head() != store.Position{} })
	var took []time.Duration
	for range 300 {
		e := stamped(s, "k")
		eventually(t, "Redis takes a purge", func() bool { // a busy machine may take longer than a time-out
			return other.Append(t.Context(), store.Record{Labels: labels("one")}) == nil
		})
		began := time.Now()
		for s.Ledger().State(e) != store.Gone {
			if runtime.Gosched(); time.Since(began) > 10*time.Second {
				t.Fatal("a purge is not known after 10 s")
			}
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("a purge is known elsewhere after %v (median), %v (99 of 100), %v (last)", took[150], took[297], took[299])
	if took[150] > 50*time.Millisecond { // the median: the machine may be busy
		t.Errorf("half of the purges took more than %v; want 50 ms at most", took[150])
	}
	wantState(t, other, key, store.Gone)
}

func TestFollowerOutlivesRedis(t *testing.T) {
	srv := redistest.NewProcess(t)
	s, other := open(t, srv.Addr()), open(t, srv.Addr())
	follow(t, s)
	keep(t, s, "k")
	e := stamped(s, "k")
	srv.Kill()
	srv.Start()
	eventually(t, "the new log is followed", func() bool { return s.Ledger().State(e) == store.Gone })
	keep(t, s, "k")
	e = stamped(s, "k")
	eventually(t, "Redis takes a purge", func() bool {
		return other.Append(t.Context(), store.Record{Labels: labels("one")}) == nil
	})
	eventually(t, "the purge is known", func() bool { return s.Ledger().State(e) == store.Gone })
}

// Two processes begin the log at once, and one of them purges in between: what the other made before is gone.
func TestPurgeBetweenTwoBeginnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		s, other := w.open(), w.open()
		var begun atomic.Bool
		w.SetHook(func(command []string) string {
			if command[0] == "xadd" && command[1] == logName && !begun.Swap(true) {
				purge(t, other, "one")
			}
			return ""
		})
		e := stamped(s, "k")
		if err := s.CatchUp(t.Context()); err != nil {
			t.Fatalf("CatchUp: %v", err)
		}
		if got := s.Ledger().State(e); got != store.Gone {
			t.Errorf("what was made before is %d; want it gone", got)
		}
		e = stamped(s, "k")
		if got := s.Ledger().State(e); got != store.Live {
			t.Errorf("what is made after is %d; want it live", got)
		}
		purge(t, other, "one")
		if err := s.CatchUp(t.Context()); err != nil || s.Ledger().State(e) != store.Gone {
			t.Errorf("a later purge is not known: %v", err)
		}
	})
}
