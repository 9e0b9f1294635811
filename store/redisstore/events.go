package redisstore

import (
	"slices"
	"sync"

	"github.com/larder-go/cache/store"
)

// Listeners learn of circuits that open and close, and of faults that no operation returns.

// OnRest has f called when a circuit of Redis, or of one node of a cluster, opens, and with nil when it closes again.
func (s *shared) OnRest(f func(what store.Operation, err error)) (stop func()) {
	return s.circuitEvents.add(f)
}

// OnFault has f called with faults that no operation returns: lost purge records (the error wraps store.ErrRecordsLost),
// missing commands (store.ErrUnfit), and a panic of the client while a pending purge is sent.
func (s *shared) OnFault(f func(err error)) (stop func()) {
	return s.faultEvents.add(func(_ store.Operation, err error) { f(err) })
}

// listeners are told on a goroutine of their own, which ends when there is nothing left to tell. They cannot be called
// directly: whoever finds out may hold the lock of the purge log, and a listener that purges would wait for itself.
type listeners struct {
	mu         sync.Mutex
	all        []*listener
	queue      []notice // not told yet
	delivering bool
}

type listener func(store.Operation, error)

// notice is one event for listeners.
type notice struct {
	operation store.Operation
	err       error
}

// maxNotices is how many notices wait while a listener is slow. Later ones are dropped.
const maxNotices = 16

func (ls *listeners) add(f listener) (stop func()) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.all = append(ls.all, &f)
	return func() {
		ls.mu.Lock()
		defer ls.mu.Unlock()
		ls.all = slices.DeleteFunc(ls.all, func(other *listener) bool { return other == &f })
	}
}

func (ls *listeners) notify(operation store.Operation, err error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if len(ls.all) == 0 || len(ls.queue) >= maxNotices {
		return
	}
	ls.queue = append(ls.queue, notice{operation, err})
	if !ls.delivering {
		ls.delivering = true
		go ls.deliver()
	}
}

func (ls *listeners) deliver() {
	for {
		notice, all := ls.next()
		if all == nil {
			return
		}
		for _, f := range all {
			ls.deliverTo(f, notice)
		}
	}
}

func (ls *listeners) next() (first notice, all []*listener) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if len(ls.queue) == 0 || len(ls.all) == 0 {
		ls.queue, ls.delivering = nil, false
		return first, nil
	}
	first = ls.queue[0]
	ls.queue = ls.queue[1:]
	return first, slices.Clone(ls.all)
}

// deliverTo calls a listener, unless it was removed meanwhile. A panic of one listener must not end the process, nor
// keep the notice from the others.
func (ls *listeners) deliverTo(f *listener, notice notice) {
	defer func() { _ = recover() }()
	ls.mu.Lock()
	listens := slices.Contains(ls.all, f)
	ls.mu.Unlock()
	if listens {
		(*f)(notice.operation, notice.err)
	}
}
