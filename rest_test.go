package cache_test

import (
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/larder-go/cache"
)

// What the circuit breakers do is seen as events: once when Redis is given a rest, once when it answers again.
func TestRestsAreEvents(t *testing.T) {
	server := miniredis.RunT(t)
	var mu sync.Mutex
	var rests, recoveries int
	c := newCache(t, cache.Options{Far: open(t, "redis://"+server.Addr()), FarBudget: time.Second, Observe: func(ev cache.Event) {
		mu.Lock()
		defer mu.Unlock()
		if ev.Reason == cache.RestReason && ev.Err != nil {
			rests++
		}
		if ev.Outcome == cache.Recovered {
			recoveries++
		}
	}})
	get := counted(c, cache.Policy{Class: cache.FleetShared})
	want := func(wantRests, wantRecoveries int) bool {
		mu.Lock()
		defer mu.Unlock()
		return rests == wantRests && recoveries == wantRecoveries
	}
	get()
	server.SetError("LOADING Redis is loading the dataset in memory")
	for range 20 {
		get()
	}
	eventually := func(wantRests, wantRecoveries int) {
		t.Helper()
		for deadline := time.After(10 * time.Second); !want(wantRests, wantRecoveries); get() {
			select {
			case <-deadline:
				t.Fatalf("%d rests and %d recoveries; want %d and %d", rests, recoveries, wantRests, wantRecoveries)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	eventually(1, 0)
	server.SetError("")
	eventually(1, 1)
}
