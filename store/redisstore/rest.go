package redisstore

import (
	"fmt"
	"slices"
	"sync"

	"github.com/larder-go/cache/store"
)

// listeners are told of rests.
type listeners struct {
	mu  sync.Mutex
	all []*func(store.Operation, error)
}

// OnRest has f called when Redis is given a rest and when it answers again.
func (l *link) OnRest(f func(what store.Operation, err error)) (stop func()) {
	l.rests.mu.Lock()
	defer l.rests.mu.Unlock()
	mine := &f
	l.rests.all = append(l.rests.all, mine)
	return func() {
		l.rests.mu.Lock()
		defer l.rests.mu.Unlock()
		l.rests.all = slices.DeleteFunc(l.rests.all, func(other *func(store.Operation, error)) bool { return other == mine })
	}
}

func (ls *listeners) tell(what store.Operation, err error) {
	if err != nil {
		err = fmt.Errorf("redisstore: %s: %w: %w", what, ErrOpen, err)
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, f := range ls.all {
		(*f)(what, err)
	}
}
