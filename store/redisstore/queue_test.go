package redisstore_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
)

// hung returns a client of a Redis that takes connections and never answers, for a bubble of fake time.
func hung(t *testing.T) *redis.Client {
	o := tuned("127.0.0.1:1") // no name: go-redis would look it up, past the bubble
	o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	o.Dialer = func(context.Context, string, string) (net.Conn, error) {
		conn, _ := net.Pipe()
		return conn, nil
	}
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// With a Redis that hangs, purges fail together and not one after the other; every one holds for this process.
func TestPurgesDoNotQueueForHungRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := on(t, hung(t), redisstore.Options{})
		for _, most := range []time.Duration{250 * time.Millisecond, 250 * time.Millisecond, 100 * time.Millisecond} {
			e := stamped(s, "k")
			began := time.Now()
			var purges sync.WaitGroup
			for range 100 {
				purges.Go(func() {
					if err := s.Append(t.Context(), store.Record{Labels: labels("one")}); err == nil {
						t.Error("Append returned nil")
					}
				})
			}
			purges.Wait()
			if took := time.Since(began); took > most {
				t.Errorf("100 purges took %v; want %v at most", took, most)
			}
			if s.Ledger().State(e) != store.Gone {
				t.Error("a purge that failed does not hold for its own process")
			}
		}
	})
}
