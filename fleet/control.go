package main

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/store/redisstore"
)

func trimUser(s string) string { return strings.TrimPrefix(s, "u") }

// purge purges by the tags that it is sent. A status of 503 says that Redis was not told.
func (a *app) purge(w http.ResponseWriter, r *http.Request) {
	var labels []cache.Label
	for _, tag := range r.URL.Query()["tag"] {
		labels = append(labels, cache.Tag(tag))
	}
	if err := a.cache.Purge(r.Context(), labels...); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// tally counts a process' events.
type tally struct {
	mu     sync.Mutex
	counts counts
}

// counts are what a process tells the harness of its events.
type counts struct {
	Events map[string]int // by outcome and reason
	Opened time.Time      // of the first event that said that Redis is given a rest
	Last   string         // the last fault other than that
}

func (t *tally) observe(ev cache.Event) {
	name := string(ev.Outcome)
	if ev.Reason != "" {
		name += "/" + string(ev.Reason)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case errors.Is(ev.Err, redisstore.ErrOpen):
		name += "/open"
		if t.counts.Opened.IsZero() {
			t.counts.Opened = time.Now()
		}
	case ev.Err != nil:
		t.counts.Last = ev.Err.Error()
	}
	if t.counts.Events == nil {
		t.counts.Events = map[string]int{}
	}
	t.counts.Events[name] += max(1, ev.Count)
}

func (t *tally) write(w http.ResponseWriter, _ *http.Request) {
	t.mu.Lock()
	c := t.counts
	c.Events = maps.Clone(c.Events)
	t.mu.Unlock()
	_ = json.NewEncoder(w).Encode(c)
}

func (t *tally) reset(http.ResponseWriter, *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts = counts{}
}
