package redisstore

import (
	"fmt"
	"slices"
	"sync"

	"github.com/larder-go/cache/store"
)

// listeners are told of rests, or of faults, on a goroutine that ends when there is no more to tell. The goroutine that has
// found out may have the purge log's turn: a listener that purges would wait for itself.
type listeners struct {
	mu         sync.Mutex
	all        []*listener
	queue      []notice // not told yet
	delivering bool
}

type listener func(store.Operation, error)

// rest is one that begins, or is over.
type notice struct {
	operation store.Operation
	err       error
}

// maxRests is how many wait for a listener that takes long.
const maxNotices = 16

// OnRest has f called when Redis, or one node of a cluster, is given a rest and when that answers again.
func (s *shared) OnRest(f func(what store.Operation, err error)) (stop func()) {
	return s.circuitEvents.add(f)
}

// OnFault has f called with faults that no operation returns: a loss of purge records, which wraps store.ErrRecordsLost,
// and a panic of the client while Redis is told of a purge that had failed.
func (s *shared) OnFault(f func(err error)) (stop func()) {
	return s.faultEvents.add(func(_ store.Operation, err error) { f(err) })
}

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

// tellRest tells that a rest begins, or with nil that it is over.
func (s *shared) notifyCircuit(operation store.Operation, err error) {
	if err != nil {
		err = fmt.Errorf("redisstore: %s: %w: %w", operation, ErrOpen, err)
	}
	s.circuitEvents.notify(operation, err)
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

// call calls a listener that has not gone meanwhile. One that panics is no reason to end the process, or not to tell others.
func (ls *listeners) deliverTo(f *listener, notice notice) {
	defer func() { _ = recover() }()
	ls.mu.Lock()
	listens := slices.Contains(ls.all, f)
	ls.mu.Unlock()
	if listens {
		(*f)(notice.operation, notice.err)
	}
}
