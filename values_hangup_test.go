package cache_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/larder-go/cache"
)

func TestCallersThatHangUpLoadNothing(t *testing.T) {
	runValues(t, cache.Policy{}, nil, func(t *testing.T, s *shelf) {
		var leader, waiters sync.WaitGroup
		leader.Go(func() { s.get(alice(t), "7", 1) })
		synctest.Wait()
		ctx, cancel := context.WithCancel(alice(t))
		for range 100 {
			waiters.Go(func() {
				if _, err := s.values.Get(ctx, "7"); !errors.Is(err, context.Canceled) {
					t.Errorf("Get = %v; want %v", err, context.Canceled)
				}
			})
		}
		synctest.Wait()
		cancel()
		waiters.Wait()
		leader.Wait()
		s.get(alice(t), "7", 0)
	})
}
