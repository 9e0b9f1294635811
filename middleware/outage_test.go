package middleware_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/redistest"
	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/storetest"
)

// What the circuit breakers do is seen as events: once when Redis is given a rest, once when it answers again.
func TestRestsAreEvents(t *testing.T) {
	server := redistest.Start(t)
	var mu sync.Mutex
	var rests, recoveries int
	c := newCache(t, cache.Options{Far: open(t, "redis://"+server.Addr()), FarBudget: time.Second, Observe: func(ev cache.Event) {
		mu.Lock()
		defer mu.Unlock()
		if ev.Reason == cache.ReasonRest && ev.Err != nil {
			rests++
		}
		if ev.Outcome == cache.Recovered && ev.Reason == cache.ReasonRest {
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

// A loss of purges that Redis had acknowledged is told, with a reason of its own, and what they named is not served again,
// from Redis or from memory.
func TestALossOfPurgesIsAnEvent(t *testing.T) {
	for _, class := range []cache.Class{cache.SharedGlobal, cache.HotShared, cache.FleetShared} {
		t.Run(class.String(), func(t *testing.T) {
			server := storetest.NewServer(t)
			client := redis.NewClient(&redis.Options{Addr: server.Addr()})
			defer client.Close()
			var mu sync.Mutex
			var told []cache.Event
			c := newCache(t, cache.Options{Far: open(t, server.URL()), FarBudget: time.Second, Observe: func(ev cache.Event) {
				mu.Lock()
				defer mu.Unlock()
				if ev.Reason == cache.ReasonRecords {
					told = append(told, ev)
				}
			}})
			get := counted(c, cache.Policy{Class: class})
			get()
			if err := c.Purge(t.Context(), cache.Tag("other")); err != nil { // the log is there also for a class in memory
				t.Fatal(err)
			}
			log := client.Dump(t.Context(), "larder:1:log").Val()
			if err := c.Purge(t.Context(), cache.URL("/x")); err != nil {
				t.Fatal(err)
			}
			if err := client.RestoreReplace(t.Context(), "larder:1:log", time.Hour, log).Err(); err != nil {
				t.Fatal(err)
			}
			if got := get(); got != "2" {
				t.Errorf("run %s of the handler; want a second one for what was purged", got)
			}
			if err := c.Purge(t.Context(), cache.Tag("another")); err != nil { // a class in memory asks nothing
				t.Fatal(err)
			}
			heard := func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(told) > 0
			}
			for deadline := time.After(10 * time.Second); !heard(); { // it is told by a goroutine of its own
				select {
				case <-deadline:
					t.Fatal("nothing was told")
				case <-time.After(time.Millisecond):
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if len(told) != 1 || told[0].Outcome != cache.Fault || !errors.Is(told[0].Err, store.ErrRecordsLost) {
				t.Errorf("told %v; want one fault of lost records", told)
			}
		})
	}
}
