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
	mu      sync.Mutex
	all     []*listener
	news    []rest // not told yet
	telling bool
}

type listener func(store.Operation, error)

// rest is one that begins, or is over.
type rest struct {
	what store.Operation
	err  error
}

// maxRests is how many wait for a listener that takes long.
const maxRests = 16

// OnRest has f called when Redis, or one node of a cluster, is given a rest and when that answers again.
func (l *link) OnRest(f func(what store.Operation, err error)) (stop func()) { return l.rests.add(f) }

// OnFault has f called with faults that no operation returns: a loss of purge records, which wraps store.ErrRecordsLost,
// and a panic of the client while Redis is told of a purge that had failed.
func (l *link) OnFault(f func(err error)) (stop func()) {
	return l.faults.add(func(_ store.Operation, err error) { f(err) })
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
func (l *link) tellRest(what store.Operation, err error) {
	if err != nil {
		err = fmt.Errorf("redisstore: %s: %w: %w", what, ErrOpen, err)
	}
	l.rests.tell(what, err)
}

func (ls *listeners) tell(what store.Operation, err error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if len(ls.all) == 0 || len(ls.news) >= maxRests {
		return
	}
	ls.news = append(ls.news, rest{what, err})
	if !ls.telling {
		ls.telling = true
		go ls.tellAll()
	}
}

func (ls *listeners) tellAll() {
	for {
		news, all := ls.next()
		if all == nil {
			return
		}
		for _, f := range all {
			ls.call(f, news)
		}
	}
}

func (ls *listeners) next() (news rest, all []*listener) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if len(ls.news) == 0 || len(ls.all) == 0 {
		ls.news, ls.telling = nil, false
		return news, nil
	}
	news = ls.news[0]
	ls.news = ls.news[1:]
	return news, slices.Clone(ls.all)
}

// call calls a listener that has not gone meanwhile. One that panics is no reason to end the process, or not to tell others.
func (ls *listeners) call(f *listener, news rest) {
	defer func() { _ = recover() }()
	ls.mu.Lock()
	listens := slices.Contains(ls.all, f)
	ls.mu.Unlock()
	if listens {
		(*f)(news.what, news.err)
	}
}
