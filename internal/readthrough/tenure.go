package readthrough

import (
	"context"
	"sync"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Bounds of leases.
const (
	leaseFor   = 2 * time.Second        // how long one lasts that is not extended: its holder has died
	leaseWrite = 500 * time.Millisecond // for extending it or giving it back, which no request waits for
)

// A tenure is the time that a load of this process has the lease of its key. The lease is extended while the load runs,
// for as long as anybody would wait for it, and given back when it ends. A nil tenure is a load without a lease.
type tenure struct {
	t     *Cache
	route string
	key   keying.Key
	token store.Token
	until time.Time

	mu    sync.Mutex
	timer *time.Timer
	ended bool
}

// hold begins the tenure of a lease that was taken just now.
func (t *Cache) hold(route string, key keying.Key, token store.Token) *tenure {
	h := &tenure{t: t, route: route, key: key, token: token, until: time.Now().Add(maxWait)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timer = time.AfterFunc(leaseFor/3, h.extend)
	return h
}

// extend asks again after an error: there is time for that before the lease ends. One that was lost is another's.
func (h *tenure) extend() {
	ctx, cancel := context.WithTimeout(context.Background(), leaseWrite)
	defer cancel()
	var mine bool
	err := guarded(ctx, func(ctx context.Context) (err error) {
		mine, err = h.t.leaser.Extend(ctx, h.key, h.token, leaseFor)
		return err
	})
	h.t.report(Report{h.route, store.Leases, err})
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ended && (mine || err != nil) && time.Now().Before(h.until) {
		h.timer.Reset(leaseFor / 3)
	}
}

// given notes that the lease is back.
func (h *tenure) given() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.timer.Stop()
}

// end gives the lease back, without waiting for it; only the first call counts. Refused tells those who wait that they
// need not: the answer is not kept where they look.
func (h *tenure) end(refused bool) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return
	}
	h.ended = true
	h.timer.Stop()
	go h.t.release(h.route, h.key, h.token, refused)
}

// release tries again once: those who wait would wait until the lease ends.
func (t *Cache) release(route string, key keying.Key, token store.Token, refused bool) {
	var mark time.Duration
	if refused {
		mark = refusedFor
	}
	for try := range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), leaseWrite)
		err := guarded(ctx, func(ctx context.Context) error { return t.leaser.Release(ctx, key, token, mark) })
		cancel()
		if err == nil {
			return
		}
		if try > 0 {
			t.report(Report{route, store.Leases, err})
		}
	}
}
