package process

import (
	"context"
	"testing"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/store"
)

// BenchmarkPause is the longest that one of many hits took while a store got rid of 100,000 entries: because they
// expired, and because as many others came into a full store. "nothing" is the same loop while nothing is dropped, and "filling"
// while as many others came into a store that has room: the scheduler and the garbage collector have pauses of their own.
func BenchmarkPause(b *testing.B) {
	n := sized(100_000)
	for _, near := range nearStores {
		for _, what := range []struct {
			name      string
			keep      time.Duration // of what is there first
			meanwhile int           // how many come
			room      int
		}{
			{"nothing", time.Hour, 0, 2 * n},
			{"expiry", watched() / 3, 0, 2 * n},
			{"filling", time.Hour, n, 3 * n},
			{"eviction", time.Hour, n, n},
		} {
			b.Run(near.name+"/"+what.name, func(b *testing.B) {
				longestPause(b, near.open(b, what.room), n, what.keep, what.meanwhile)
			})
		}
	}
}

// watched is how long visits are watched; what has expired is swept within it.
func watched() time.Duration {
	if testing.Short() {
		return 200 * time.Millisecond
	}
	return 1500 * time.Millisecond
}

// longestPause visits one page again and again and reports the longest visit.
func longestPause(b *testing.B, memory store.Store, entries int, keep time.Duration, meanwhile int) {
	c := newLarder(b, cache.Options{Near: memory})
	s := newSite(1, kib)
	a := newAgent(c.Middleware(hour)(s))
	setEntries(memory, 0, entries, keep)
	done := make(chan struct{})
	go func() {
		defer close(done)
		setEntries(memory, entries, meanwhile, time.Hour)
	}()
	var longest time.Duration
	last := time.Now()
	for end := last.Add(watched()); last.Before(end); {
		a.visit(s.uris[0])
		now := time.Now()
		longest, last = max(longest, now.Sub(last)), now
	}
	<-done
	b.ReportMetric(float64(longest)/float64(time.Microsecond), "max-pause-µs")
	b.ReportMetric(0, "ns/op") // the time of the loop says nothing
}

// setEntries sets n small entries, each made for its place in the order.
func setEntries(s store.Store, from, n int, keep time.Duration) {
	namer := keys.NewNamer(nil)
	for i := from; i < from+n; i++ {
		key := namer.Key("pause", "", uriOf(i), "")
		e := &store.Entry{Key: key, Status: 200, Stored: time.Now(), Fresh: keep, Body: []byte("x")}
		_ = s.Set(context.Background(), key, e, keep)
	}
}
