package redisstore

import (
	"fmt"
	"slices"
	"sync"

	"github.com/larder-go/cache/store"
)

// listeners are told of rests, or of faults.
type listeners struct {
	mu  sync.Mutex
	all []*func(store.Operation, error)
}

// OnRest has f called when Redis is given a rest and when it answers again.
func (l *link) OnRest(f func(what store.Operation, err error)) (stop func()) { return l.rests.add(f) }

// OnFault has f called with faults that no operation returns: a loss of purge records, which wraps store.ErrRecordsLost,
// and a panic of the client while Redis is told of a purge that had failed.
func (l *link) OnFault(f func(err error)) (stop func()) {
	return l.faults.add(func(_ store.Operation, err error) { f(err) })
}

func (ls *listeners) add(f func(what store.Operation, err error)) (stop func()) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	mine := &f
	ls.all = append(ls.all, mine)
	return func() {
		ls.mu.Lock()
		defer ls.mu.Unlock()
		ls.all = slices.DeleteFunc(ls.all, func(other *func(store.Operation, error)) bool { return other == mine })
	}
}

// tellRest tells that a rest begins, or with nil that it is over.
func (l *link) tellRest(what store.Operation, err error) {
	if err != nil {
		err = fmt.Errorf("redisstore: %s: %w: %w", what, ErrOpen, err)
	}
	l.rests.tell(what, err)
}

func (ls *listeners) tell(what store.Operation, err error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, f := range ls.all {
		(*f)(what, err)
	}
}
