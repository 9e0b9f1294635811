package storetest

import (
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/proc"
	"github.com/larder-go/cache/store"
)

// leaserTests are for stores that are a store.Leaser. A lease saves work and protects nothing, so they test what waiting processes rely on: there is
// one holder at a time, whoever takes the lease sees what was stored under it, and a lease ends even if its holder dies.
var leaserTests = []test{
	{"OneHolderPerLease", false, leased(oneHolder)},
	{"HolderFindsWhatWasKept", false, leased(holderFinds)},
	{"KeepReleases", false, leased(keepReleases)},
	{"OnlyTheHolderReleases", false, leased(onlyTheHolder)},
	{"RefusedLeaseIsNobodys", false, leased(refusedIsNobodys)},
	{"LeaseEnds", true, leased(leaseEnds)},
	{"LeaseIsExtended", true, leased(leaseIsExtended)},
	{"RefusalEnds", true, leased(refusalEnds)},
}

// leased makes a test of a function that needs a store with leases. For other stores it is skipped.
func leased(f func(t *testing.T, s store.Store, l leaser, c Config)) func(t *testing.T, c Config) {
	return func(t *testing.T, c Config) {
		s := c.Open(t)
		l, ok := s.(store.Leaser)
		if !ok {
			t.Skip("the store is no store.Leaser")
		}
		f(t, s, leaser{t, l}, c)
	}
}

// alice and bob are two holders. Their tokens differ at both ends, for stores that lose zeros.
var alice, bob = store.Token{1}, store.Token{15: 2}

// oneHolder: if many ask for a lease at once, one gets it. It gets it again if it asks again, because an answer may be lost on the way.
func oneHolder(t *testing.T, _ store.Store, l leaser, _ Config) {
	var taken, held atomic.Int64
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			switch _, got, err := l.s.Lease(t.Context(), Key("k"), store.Token{byte(i)}, time.Minute); {
			case err != nil:
				t.Errorf("Lease: %v", err)
			case got.State == store.Taken:
				taken.Add(1)
			case got.State == store.Held:
				held.Add(1)
			}
		})
	}
	wg.Wait()
	if taken.Load() != 1 || held.Load() != 31 {
		t.Errorf("of 32 leases %d are taken and %d held; want 1 and 31", taken.Load(), held.Load())
	}
	l.want("other", alice, store.Taken)
	l.want("other", alice, store.Taken)
}

// holderFinds: Lease returns the entry that is stored, to the holder and to others. To give the lease back does not delete it.
func holderFinds(t *testing.T, s store.Store, l leaser, _ Config) {
	l.want("k", alice, store.Taken)
	e := Entry(Key("k"), "body")
	set(t, s, e, time.Minute)
	for _, token := range []store.Token{alice, bob} {
		got, _, err := l.s.Lease(t.Context(), e.Key, token, time.Minute)
		if err != nil || got == nil || !Equal(got, e) {
			t.Errorf("Lease = %+v, %v; want the entry that was kept", got, err)
		}
	}
	wantHit(t, s, e)
	l.release("k", alice, 0)
	wantHit(t, s, e)
}

// keepReleases: Keep stores the entry, whoever calls it, and releases only the caller's own lease.
func keepReleases(t *testing.T, s store.Store, l leaser, c Config) {
	e := Entry(Key("k"), "body")
	l.want("k", alice, store.Taken)
	for _, token := range []store.Token{bob, alice} {
		l.want("k", bob, store.Held)
		if err := l.s.Keep(t.Context(), e.Key, token, e, time.Minute); err != nil {
			t.Errorf("Keep: %v", err)
		}
		wantHit(t, s, e)
	}
	l.extend("k", alice, false)
	l.want("k", bob, store.Taken)
}

// onlyTheHolder: nobody can extend or release a lease that is not his, nor one that he has given back.
func onlyTheHolder(t *testing.T, _ store.Store, l leaser, _ Config) {
	l.want("k", alice, store.Taken)
	l.release("k", bob, 0)
	l.release("k", bob, time.Minute)
	l.release("other", alice, time.Minute)
	l.extend("k", bob, false)
	l.want("k", bob, store.Held)
	l.release("k", alice, 0)
	l.extend("k", alice, false)
	l.want("k", bob, store.Taken)
	l.release("k", alice, 0)
	l.want("k", alice, store.Held)
	l.want("other", bob, store.Taken)
}

// refusedIsNobodys: a lease that was released with a time is refused to all, its last holder included, and nobody can end that early.
func refusedIsNobodys(t *testing.T, _ store.Store, l leaser, _ Config) {
	l.want("k", alice, store.Taken)
	l.release("k", alice, time.Minute)
	for _, token := range []store.Token{alice, bob} {
		l.want("k", token, store.Refused)
		l.release("k", token, 0)
		l.extend("k", token, false)
	}
	l.want("other", alice, store.Taken)
}

// leaseEnds: a lease ends after its time. From then on its holder can neither extend nor release it:
//
//  1. alice takes the lease, and is slow
//  2. her lease ends
//  3. bob takes it
//  4. alice, who does not know, releases it: bob must still have it
func leaseEnds(t *testing.T, _ store.Store, l leaser, c Config) {
	l.want("k", alice, store.Taken)
	c.Advance(59 * time.Second)
	l.want("k", bob, store.Held)
	c.Advance(2 * time.Second)
	l.extend("k", alice, false)
	l.want("k", bob, store.Taken)
	l.release("k", alice, 0)
	l.want("k", alice, store.Held)
}

// leaseIsExtended: an extended lease lasts on, and those who wait see another beat each time. By that they know that its holder lives.
func leaseIsExtended(t *testing.T, _ store.Store, l leaser, c Config) {
	l.want("k", alice, store.Taken)
	beats := map[uint64]bool{}
	for range 3 {
		c.Advance(40 * time.Second)
		l.extend("k", alice, true)
		for range 2 {
			_, got, err := l.s.Lease(t.Context(), Key("k"), bob, time.Minute)
			if got.State != store.Held || err != nil {
				t.Errorf("Lease = %+v, %v; want it held", got, err)
			}
			beats[got.Beat] = true
		}
	}
	if len(beats) != 3 {
		t.Errorf("a lease that was extended three times has had %d beats; want another each time", len(beats))
	}
	c.Advance(61 * time.Second)
	l.want("k", bob, store.Taken)
}

// refusalEnds: a refused lease can be taken after the time of the refusal.
func refusalEnds(t *testing.T, _ store.Store, l leaser, c Config) {
	l.want("k", alice, store.Taken)
	l.release("k", alice, 10*time.Second)
	c.Advance(9 * time.Second)
	l.want("k", bob, store.Refused)
	c.Advance(2 * time.Second)
	l.want("k", bob, store.Taken)
}

// A leaser asks for leases of a minute.
type leaser struct {
	t *testing.T
	s store.Leaser
}

// want takes the lease of the name's key, and compares its state.
func (l leaser) want(name string, token store.Token, want store.LeaseState) {
	l.t.Helper()
	if _, got, err := l.s.Lease(l.t.Context(), Key(name), token, time.Minute); got.State != want || err != nil {
		l.t.Errorf("Lease = %v, %v; want %v", got, err, want)
	}
}

// extend extends the lease of the name's key. want is whether the token still has it.
func (l leaser) extend(name string, token store.Token, want bool) {
	l.t.Helper()
	if got, err := l.s.Extend(l.t.Context(), Key(name), token, time.Minute); got != want || err != nil {
		l.t.Errorf("Extend = %v, %v; want %v", got, err, want)
	}
}

// release releases the lease of the name's key, which is never an error.
func (l leaser) release(name string, token store.Token, refused time.Duration) {
	l.t.Helper()
	if err := l.s.Release(l.t.Context(), Key(name), token, refused); err != nil {
		l.t.Errorf("Release: %v", err)
	}
}

// Redis starts a redis-server for the test and returns its URL. It listens on a free port of 127.0.0.1, writes nothing to disk, and is killed when
// the test ends. If there is no redis-server on the PATH, the test is skipped.
func Redis(t testing.TB) string { return NewServer(t).URL() }

// A Server is the redis-server process of a test. Call its methods from the test's goroutine only: they may end the test. Use [NewServer] to make one.
type Server struct {
	t     testing.TB
	redis *proc.Redis
}

// NewServer is [Redis] for tests that kill the server, or start it again.
func NewServer(t testing.TB) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on the PATH; install Redis to run this test")
	}
	dir, processes := t.TempDir(), new(proc.Group)
	t.Cleanup(processes.End) // before the directory is removed
	redis, err := processes.StartRedis(t.Context(), dir)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	return &Server{t, redis}
}

// Addr returns the server's host and port.
func (s *Server) Addr() string { return s.redis.Addr() }

// URL returns the server's redis:// URL.
func (s *Server) URL() string { return s.redis.URL() }

// Process returns the process that was started last, to send it a signal.
func (s *Server) Process() *os.Process { return s.redis.OS() }

// Start starts the server again, on the same port and without data, and waits until it answers. If that fails, so does the test.
func (s *Server) Start() {
	s.t.Helper()
	if err := s.redis.Start(s.t.Context()); err != nil {
		s.t.Fatalf("storetest: %v", err)
	}
}

// Kill ends the server at once, as a crash does, and waits until it is gone. If it is gone already, Kill does nothing.
func (s *Server) Kill() { s.redis.Kill() }
