package redisstore

import (
	"fmt"
	"slices"
	"sync"
)

// events are what a Store reports: circuits that open and close, and faults that no operation returns.
type events struct{ circuitEvents, faultEvents listeners }

// OnCircuit registers f to be called when a circuit of Redis, or of one node of a cluster, opens, and with nil when it closes again.
func (s *Store) OnCircuit(f func(what string, err error)) (stop func()) {
	return s.circuitEvents.add(f)
}

// OnFault registers f to be called with faults that no operation returns: lost purge records (the error wraps
// store.ErrRecordsLost), missing commands (store.ErrUnfit), and a panic of the client while a pending purge is sent.
func (s *Store) OnFault(f func(err error)) (stop func()) {
	return s.faultEvents.add(func(_ string, err error) { f(err) })
}

// notifyCircuit reports that a circuit opens because of err, or, with nil, that it closes.
func (e *events) notifyCircuit(operation string, err error) {
	if err != nil {
		err = fmt.Errorf("redisstore: %s: %w: %w", operation, ErrOpen, err)
	}
	e.circuitEvents.notify(operation, err)
}

// listeners are called on a goroutine of their own, one notice after the other. The goroutine ends when the queue is empty.
// They cannot be called directly:
//
//	a request   has the log's lock, finds a loss, and calls a listener
//	listener    purges something: waits for the log's lock, which the request holds until the listener returns
type listeners struct {
	mu         sync.Mutex
	all        []*listener
	queue      []notice // not delivered yet
	delivering bool     // the goroutine is running
}

// listener is compared by its address: functions cannot be compared.
type listener func(string, error)

// notice is one event for listeners.
type notice struct {
	operation string
	err       error
}

// maxNotices is how many notices are queued while a listener is slow. Later ones are dropped.
const maxNotices = 16

// add adds a listener. Once stop has returned, no call to it begins.
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

// notify queues a notice, and starts the goroutine that delivers it. It never blocks.
func (ls *listeners) notify(operation string, err error) {
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

// deliver calls the listeners until the queue is empty.
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

// next takes the oldest notice out of the queue. Without one it returns no listeners.
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

// deliverTo calls a listener, unless it was removed in the meantime. A panic of one listener must not end the process, nor
// deprive the others of the notice.
func (ls *listeners) deliverTo(f *listener, notice notice) {
	defer func() { _ = recover() }()
	ls.mu.Lock()
	listens := slices.Contains(ls.all, f)
	ls.mu.Unlock()
	if listens {
		(*f)(notice.operation, notice.err)
	}
}
