package main

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// A watch takes the time of each answer within the server: from when the server calls the handler to when that returns. It
// is what a cache has in its hand. What clients see is longer by the queues of server, load and kernel, and where one core
// has sixty clients these are most of it.
type watch struct {
	mu   sync.Mutex
	took []time.Duration
}

// mostTimes is how many answers are timed at most: more than a visit has.
const mostTimes = 1 << 20

func (t *watch) on(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called := time.Now()
		h.ServeHTTP(w, r)
		t.note(time.Since(called))
	})
}

func (t *watch) note(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.took) < mostTimes {
		t.took = append(t.took, d)
	}
}

// reset forgets all times, and has room for new ones.
func (t *watch) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took = make([]time.Duration, 0, mostTimes)
}

// p99 is what one answer in a hundred takes longer than; 0 if none was timed.
func (t *watch) p99() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.took) == 0 {
		return 0
	}
	took := slices.Clone(t.took)
	slices.Sort(took)
	return took[len(took)*99/100]
}
