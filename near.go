package cache

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// nearStore is the process' memory. Where purges come from other processes, the first copy that is kept there starts
// following them.
func (c *Cache) nearStore() store.Store {
	if c.following == nil {
		return c.near
	}
	s := followedStore{c.near, c.following}
	if local, ok := c.near.(store.Local); ok {
		return followedMemory{s, local}
	}
	return s
}

// followedStore is memory whose copies follow the purge log. Reading costs nothing more: what is read was kept.
type followedStore struct {
	store.Store
	following *following
}

func (s followedStore) Set(ctx context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	s.following.begin()
	return s.Store.Set(ctx, key, e, keep)
}

type followedMemory struct {
	followedStore
	memory store.Local
}

func (s followedMemory) Memory() store.Local { return s.memory }

// following follows a purge log from its beginning to its end, once. It is safe for concurrent use.
type following struct {
	log     store.Follower
	changed func(error)

	begun atomic.Bool // set under mu; also by an end that came first
	mu    sync.Mutex
	stop  context.CancelFunc
	ended chan struct{} // nil: it never began
}

func (f *following) begin() {
	if f.begun.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.begun.Swap(true) {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop, f.ended = stop, make(chan struct{})
	go f.run(ctx)
}

func (f *following) run(ctx context.Context) {
	defer close(f.ended)
	defer func() {
		if p := recover(); p != nil { // the caller's Redis client may have hooks
			f.changed(fmt.Errorf("cache: following the purge log: panic: %v", p))
		}
	}()
	f.log.Follow(ctx, f.changed)
}

// end waits for the end of it as long as the context allows.
func (f *following) end(ctx context.Context) error {
	f.mu.Lock()
	f.begun.Store(true)
	stop, ended := f.stop, f.ended
	f.mu.Unlock()
	if ended == nil {
		return nil
	}
	stop()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow prepares following the log, if others append to it.
func (c *Cache) follow() {
	log, ok := c.log.(store.Follower)
	if !ok {
		return
	}
	c.following = &following{log: log, changed: func(err error) {
		ev := Event{Outcome: Fault, Reason: ReasonLog, Err: err}
		if err != nil {
			c.limiter.began(ev, store.Reads)
		} else if !c.limiter.ended(ev, store.Reads) {
			c.tell(Event{Outcome: Followed})
		}
	}}
}
