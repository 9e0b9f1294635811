package readthrough_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
	"github.com/larder-go/cache/store/storetest"
)

// fleet is what the processes of a test share: a store with leases, without I/O.
type fleet struct {
	store.Store
	log store.Log

	mu     sync.Mutex
	leases map[keying.Key]lease
	down   bool
}

type lease struct {
	token   store.Token
	refused bool
	beat    int
	until   time.Time
}

var errDown = errors.New("down")

// inFleet plays a test on a fleet of its own, in fake time.
func inFleet(t *testing.T, test func(t *testing.T, f *fleet)) {
	synctest.Test(t, func(t *testing.T) {
		memory := memstore.New(memstore.Options{})
		defer memory.Close()
		test(t, &fleet{Store: struct{ store.Store }{memory}, log: readthrough.NewLog(), leases: map[keying.Key]lease{}})
		time.Sleep(time.Minute) // what goes on after the test ends by itself
	})
}

// layers are the two tiers of a process, for over.
type layers struct {
	store.Store // none
	near, far   store.Store
	ttl, outage time.Duration
}

// over returns a Cache over the store: memory, what is far, or both.
func over(s store.Store, log store.Log, budget time.Duration, report func(readthrough.Report)) *readthrough.Cache {
	o := readthrough.Options{Budget: budget, Report: report}
	if l, ok := s.(layers); ok {
		o.NearTTL, o.Outage = l.ttl, l.outage
		return readthrough.New(readthrough.Resolve(l.near, l.far).WithLog(log), o)
	}
	if _, ok := s.(store.Local); ok {
		return readthrough.New(readthrough.Resolve(s, nil).WithLog(log), o)
	}
	return readthrough.New(readthrough.Resolve(nil, s).WithLog(log), o)
}

// process returns a Cache as another process has it.
func (f *fleet) process() *readthrough.Cache {
	return over(f, f.log, 50*time.Millisecond, nil)
}

func (f *fleet) Lease(ctx context.Context, key keying.Key, token store.Token, hold time.Duration) (*store.Entry, store.Lease, error) {
	got := store.Lease{State: store.Held}
	f.mu.Lock()
	l, taken := f.leases[key]
	switch {
	case f.down:
		f.mu.Unlock()
		return nil, store.Lease{}, errDown
	case taken && l.until.After(time.Now()) && l.refused:
		got.State = store.Uncacheable
	case !taken || !l.until.After(time.Now()) || l.token == token:
		f.leases[key], got.State = lease{token: token, until: time.Now().Add(hold)}, store.Taken
	default:
		got.Beat = uint64(l.beat)
	}
	f.mu.Unlock()
	e, _, err := f.Get(ctx, key)
	return e, got, err
}

func (f *fleet) Extend(_ context.Context, key keying.Key, token store.Token, hold time.Duration) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return false, errDown
	}
	l := f.leases[key]
	if l.token != token || !l.until.After(time.Now()) {
		return false, nil
	}
	f.leases[key] = lease{token: token, until: time.Now().Add(hold), beat: l.beat + 1}
	return true, nil
}

func (f *fleet) SetAndRelease(ctx context.Context, key keying.Key, token store.Token, e *store.Entry, keep time.Duration) error {
	if err := f.Set(ctx, key, e, keep); err != nil {
		return err
	}
	return f.Release(ctx, key, token, 0)
}

func (f *fleet) Release(_ context.Context, key keying.Key, token store.Token, refused time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch l := f.leases[key]; {
	case f.down:
		return errDown
	case l.token != token:
	case refused > 0:
		f.leases[key] = lease{refused: true, until: time.Now().Add(refused)}
	default:
		delete(f.leases, key)
	}
	return nil
}

func (f *fleet) crash() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = true
}

// held returns the keys whose leases are held or refused.
func (f *fleet) held() map[keying.Key]lease {
	f.mu.Lock()
	defer f.mu.Unlock()
	held := maps.Clone(f.leases)
	maps.DeleteFunc(held, func(_ keying.Key, l lease) bool { return !l.until.After(time.Now()) })
	return held
}

// crowd is a number of calls for one key, by several processes.
type crowd struct {
	loads   atomic.Int64
	results sync.Map // readthrough.Result → struct{}
	calls   sync.WaitGroup
	mu      sync.Mutex
	longest time.Duration
}

// ask makes n calls by each process.
func (c *crowd) ask(t *testing.T, n int, load readthrough.LoaderFunc, processes ...*readthrough.Cache) {
	began := time.Now()
	for _, p := range processes {
		for range n {
			c.calls.Go(func() {
				r := p.Get(t.Context(), storetest.Key("k"), func(run *readthrough.Run) readthrough.Verdict {
					c.loads.Add(1)
					return load(run)
				})
				c.results.Store(r, struct{}{})
				c.mu.Lock()
				defer c.mu.Unlock()
				c.longest = max(c.longest, time.Since(began))
			})
		}
	}
}

// want waits for the calls and says how many loads there were to be, within which time.
func (c *crowd) want(t *testing.T, loads int64, within time.Duration) {
	t.Helper()
	c.calls.Wait()
	if n := c.loads.Load(); n != loads {
		t.Errorf("%d loads; want %d", n, loads)
	}
	if c.longest > within {
		t.Errorf("the last call took %v; want %v at most", c.longest, within)
	}
}

// after delays a load.
func after(d time.Duration, load readthrough.LoaderFunc) readthrough.LoaderFunc {
	return func(run *readthrough.Run) readthrough.Verdict {
		time.Sleep(d)
		return load(run)
	}
}
