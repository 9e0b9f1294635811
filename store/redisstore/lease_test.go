package redisstore_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

// gets are calls for one key by several processes at once.
type gets struct {
	loads, hits atomic.Int64
	faults      atomic.Int64
	calls       sync.WaitGroup
}

// process is a process of a fleet: a store with a client of its own, read through.
func (g *gets) process(t testing.TB, addr string) *readthrough.Cache {
	s := open(t, addr)
	return readthrough.New(readthrough.Resolve(nil, s), readthrough.Options{Budget: 250 * time.Millisecond, Report: func(r readthrough.Report) {
		if r.Err != nil {
			g.faults.Add(1)
		}
	}})
}

func (g *gets) ask(t *testing.T, n int, p *readthrough.Cache, load readthrough.LoaderFunc) {
	for range n {
		g.calls.Go(func() {
			r := p.Get(t.Context(), storetest.Key("k"), func(run *readthrough.Run) readthrough.Verdict {
				g.loads.Add(1)
				return load(run)
			})
			if r.Entry != nil && string(r.Entry.Body) == "body" {
				g.hits.Add(1)
			}
		})
	}
}

// want waits for the calls and says how many loads there were to be. On a busy machine Redis may miss a time-out; whoever
// meets that loads for himself.
func (g *gets) want(t *testing.T, loads int64) {
	t.Helper()
	g.calls.Wait()
	if n := g.loads.Load(); n < loads || n > loads+g.faults.Load() {
		t.Errorf("%d loads; want %d, with %d faults", n, loads, g.faults.Load())
	}
}

func load(run *readthrough.Run) readthrough.Verdict {
	run.Entry.Body, run.Entry.Stored, run.Entry.Fresh = []byte("body"), time.Now(), time.Minute
	return readthrough.Cacheable
}

func TestOneLoadPerFleet(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		var g gets
		first := g.process(t, addr)
		begun, release := make(chan struct{}), make(chan struct{})
		g.ask(t, 1, first, func(run *readthrough.Run) readthrough.Verdict {
			close(begun)
			<-release
			return load(run)
		})
		<-begun
		for _, p := range []*readthrough.Cache{first, g.process(t, addr), g.process(t, addr)} {
			g.ask(t, 50, p, load)
		}
		time.AfterFunc(300*time.Millisecond, func() { close(release) })
		g.want(t, 1)
		if n := g.hits.Load() + g.loads.Load(); n != 151 {
			t.Errorf("%d answers; want 151", n)
		}
	})
}

func TestUnstorableAnswerLetsTheFleetGo(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		var streaming, g gets
		first, second := g.process(t, addr), g.process(t, addr)
		begun, refuse, end := make(chan struct{}), make(chan struct{}), make(chan struct{})
		streaming.ask(t, 1, first, func(run *readthrough.Run) readthrough.Verdict {
			close(begun)
			<-refuse
			run.MarkUncacheable()
			<-end
			return readthrough.Uncacheable
		})
		<-begun
		g.ask(t, 20, second, func(*readthrough.Run) readthrough.Verdict { return readthrough.Uncacheable })
		close(refuse)
		g.want(t, 20) // everyone's own
		close(end)
		streaming.calls.Wait()
	})
}

// A holder that was killed neither extends its lease nor gives it back.
func TestLeaseOfAKilledHolderIsTakenOver(t *testing.T) {
	addr := redistest.NewProcess(t).Addr()
	dead := open(t, addr)
	began := time.Now()
	if _, l, err := dead.Lease(t.Context(), storetest.Key("k"), store.Token{1}, 2*time.Second); l.State != store.Taken {
		t.Fatalf("Lease = %v, %v", l, err)
	}
	var g gets
	for range 3 {
		g.ask(t, 20, g.process(t, addr), load)
	}
	g.want(t, 1)
	if took := time.Since(began); took > 4*time.Second { // what a busy machine adds
		t.Errorf("the lease was taken over after %v; want 2 s", took)
	}
}

// A holder whose lease has ended must not give back the next one's.
func TestEndedLeaseReleasesNothing(t *testing.T) {
	addr := redistest.NewProcess(t).Addr()
	late, next := open(t, addr), open(t, addr)
	lease := func(s *redisstore.Store, token store.Token, hold time.Duration) store.LeaseState {
		_, l, err := s.Lease(t.Context(), storetest.Key("k"), token, hold)
		if err != nil {
			t.Errorf("Lease: %v", err)
		}
		return l.State
	}
	lease(late, store.Token{1}, time.Millisecond)
	eventually(t, "the lease ends", func() bool { return lease(next, store.Token{2}, time.Minute) == store.Taken })
	for _, refused := range []time.Duration{0, time.Minute} {
		if err := late.Release(t.Context(), storetest.Key("k"), store.Token{1}, refused); err != nil {
			t.Errorf("Release: %v", err)
		}
	}
	if ok, err := late.Extend(t.Context(), storetest.Key("k"), store.Token{1}, time.Minute); ok || err != nil {
		t.Errorf("Extend = %v, %v; want false", ok, err)
	}
	if got := lease(late, store.Token{1}, time.Minute); got != store.Held {
		t.Errorf("the lease is %v; want it held", got)
	}
}

// With Redis gone, every process helps itself.
func TestWithoutRedisOneLoadPerProcess(t *testing.T) {
	server := redistest.NewProcess(t)
	var g gets
	processes := []*readthrough.Cache{g.process(t, server.Addr()), g.process(t, server.Addr()), g.process(t, server.Addr())}
	begun, release := make(chan struct{}, 3), make(chan struct{})
	slow := func(run *readthrough.Run) readthrough.Verdict {
		begun <- struct{}{}
		<-release
		return load(run)
	}
	g.ask(t, 1, processes[0], slow)
	<-begun // and has the lease; the others wait for it until Redis is gone
	for _, p := range processes[1:] {
		g.ask(t, 1, p, slow)
	}
	server.Kill()
	<-begun
	<-begun
	close(release)
	g.calls.Wait()
	if n := g.loads.Load(); n != 3 {
		t.Errorf("%d loads; want one for each process", n)
	}
}

// A Redis that forbids scripts keeps entries as before, without leases.
func TestWithoutScriptsThereAreNoLeases(t *testing.T) {
	addr := redistest.NewProcess(t).Addr()
	client := dial(t, addr)
	if err := client.Do(t.Context(), "ACL", "SETUSER", "default", "-eval", "-evalsha").Err(); err != nil {
		t.Fatalf("access lists, which Redis has since 6.0: %v", err)
	}
	s := open(t, addr)
	key := keep(t, s, "k")
	_, l, err := s.Lease(t.Context(), key, store.Token{1}, time.Minute)
	if l.State != store.Taken && l.State != store.Unleased || err != nil { // the probe of the commands runs meanwhile, and may be faster
		t.Fatalf("Lease = %v, %v", l, err)
	}
	for range 50 {
		if err := s.Release(t.Context(), key, store.Token{1}, 0); err == nil && l.State == store.Taken {
			t.Fatal("Release = nil; want what Redis says")
		}
	}
	if _, l, err := s.Lease(t.Context(), key, store.Token{2}, time.Minute); l.State != store.Unleased || err != nil {
		t.Errorf("Lease = %v, %v; want none", l, err)
	}
	if err := s.Set(t.Context(), key, stamped(s, "k"), time.Minute); err != nil {
		t.Errorf("Set: %v; scripts that fail are no reason not to write", err)
	}
}

func TestLeasesOnRedis(t *testing.T) {
	addr := redistest.NewProcess(t).Addr()
	client, s := dial(t, addr), open(t, addr)
	key := keep(t, s, "k")
	for _, release := range []time.Duration{-1, time.Minute} {
		if _, _, err := s.Lease(t.Context(), key, store.Token{1}, time.Minute); err != nil {
			t.Fatalf("Lease: %v", err)
		}
		if release > 0 {
			_ = s.Release(t.Context(), key, store.Token{1}, release)
		}
		names := client.Keys(t.Context(), "*:lease:*").Val()
		if len(names) != 1 || !strings.HasSuffix(names[0], ":lease:{larder:1:"+key.String()+"}") {
			t.Fatalf("keys %q; want one lease, with the entry's name as its hash tag", names)
		}
		if ttl := client.PTTL(t.Context(), names[0]).Val(); ttl <= 0 {
			t.Errorf("%s has no time to live", names[0])
		}
		for _, foreign := range []any{"", "x", "a longer value than any token's"} {
			client.Set(t.Context(), names[0], foreign, time.Minute)
			if e, l, err := s.Lease(t.Context(), key, store.Token{2}, time.Minute); e != nil || l.State != store.Unleased || err != nil {
				t.Errorf("with %q in its place the lease is %v, %v, %v; want none", foreign, e, l, err)
			}
		}
		client.Del(t.Context(), names[0])
		client.LPush(t.Context(), names[0], "x")
		client.Expire(t.Context(), names[0], time.Minute)
		if _, l, err := s.Lease(t.Context(), key, store.Token{2}, time.Minute); l.State != store.Unleased || err != nil {
			t.Errorf("with a list in its place the lease is %v, %v; want none", l, err)
		}
		client.Persist(t.Context(), names[0])
		if _, l, err := s.Lease(t.Context(), key, store.Token{2}, time.Minute); l.State != store.Taken || err != nil {
			t.Errorf("with a list in its place for ever the lease is %v, %v; want it taken over", l, err)
		}
		client.Del(t.Context(), names[0])
	}
}

// A lease that lasts longer than any of ours was planted, or Redis' clock was set back: nobody gives it back, and nobody waits
// for it, with a secret or without.
func TestStuckLeaseIsTakenOver(t *testing.T) {
	server := redistest.NewProcess(t)
	client := dial(t, server.Addr())
	for name, secret := range map[string]string{"plain": "", "sealed": "a secret of enough bytes"} {
		for place, value := range map[string]string{"another's": strings.Repeat("x", 24), "a refusal": "-", "no lease": "x"} {
			for life, keep := range map[string]time.Duration{"for ever": 0, "for years": 10 * 365 * 24 * time.Hour} {
				t.Run(name+"/"+place+"/"+life, func(t *testing.T) {
					s := open(t, server.Addr())
					if secret != "" {
						s = s.Sealed([]byte(secret)).(*redisstore.Store)
					}
					key := storetest.Key(t.Name())
					if err := client.Set(t.Context(), "larder:1:lease:{larder:1:"+key.String()+"}", value, keep).Err(); err != nil {
						t.Fatal(err)
					}
					began := time.Now()
					var took, held int
					for i := range 5 { // by one, once
						_, lease, err := s.Lease(t.Context(), key, store.Token{byte(1 + i)}, 2*time.Second)
						if err != nil {
							t.Fatal(err)
						}
						switch lease.State {
						case store.Taken:
							took++
						case store.Held:
							held++
						}
					}
					if took != 1 || held != 4 {
						t.Errorf("%d took the lease and %d wait for it; want one and four", took, held)
					}
					r := readthrough.New(readthrough.Resolve(nil, s), readthrough.Options{Budget: time.Second}).Get(t.Context(), storetest.Key(t.Name()+"2"), load)
					if waited := time.Since(began); r.Source != readthrough.Loaded || waited > 2*time.Second {
						t.Errorf("%v after %v", r.Source, waited)
					}
				})
			}
		}
	}
}
