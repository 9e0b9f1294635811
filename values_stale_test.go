package cache_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/user"
)

func TestStaleValueStandsInForAnError(t *testing.T) {
	fail := errors.New("down")
	load := func(ctx context.Context, s *shelf, id string) (item, error) {
		if s.loads.Load() > 1 && s.loads.Load() < 4 {
			return item{}, fail
		}
		return item{ID: id, Loads: s.loads.Load()}, nil
	}
	runValues(t, cache.Policy{TTL: 10 * time.Second, StaleIfError: 20 * time.Second}, load, func(t *testing.T, s *shelf) {
		s.get(alice(t), "7", 1)
		time.Sleep(11 * time.Second)
		if got := s.get(alice(t), "7", 1); got.Loads != 1 {
			t.Errorf("Get = %+v; want the stale value", got)
		}
		time.Sleep(20 * time.Second)
		if _, err := s.values.Get(alice(t), "7"); !errors.Is(err, fail) {
			t.Errorf("past the window: %v; want the error", err)
		}
		s.get(alice(t), "7", 1)
		s.get(alice(t), "7", 0)
	})
}

func TestStaleValueIsServedAndRefreshedOnce(t *testing.T) {
	runValues(t, cache.Policy{TTL: 10 * time.Second, StaleWhileRevalidate: time.Minute}, nil, func(t *testing.T, s *shelf) {
		s.get(alice(t), "7", 1)
		time.Sleep(11 * time.Second)
		began := time.Now()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if got, err := s.values.Get(alice(t), "7"); err != nil || got.Loads != 1 {
					t.Errorf("Get = %+v, %v; want the stale value", got, err)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("stale values took %v", took)
		}
		time.Sleep(2 * time.Second)
		if got := s.get(alice(t), "7", 0); got.Loads != 2 {
			t.Errorf("after the refresh Get = %+v", got)
		}
	})
}

type requestData struct{}

// Routers reuse what they put into a request's context once it is answered. A value for everyone knows no user either.
func TestRefreshOfAValueKnowsOnlyTheUser(t *testing.T) {
	load := func(ctx context.Context, _ *shelf, id string) (item, error) {
		user, _ := user.Of(ctx)
		data, _ := ctx.Value(requestData{}).(string)
		return item{ID: id, Tags: []string{user, data}}, nil
	}
	runValues(t, cache.Policy{TTL: 10 * time.Second, StaleWhileRevalidate: time.Minute}, load, func(t *testing.T, s *shelf) {
		who := ""
		if s.class == cache.PerUser {
			who = "alice"
		}
		ctx := context.WithValue(alice(t), requestData{}, "data")
		if got := s.get(ctx, "7", 1).Tags; !slices.Equal(got, []string{who, "data"}) {
			t.Errorf("the load knew %q; want %q and data", got, who)
		}
		time.Sleep(11 * time.Second)
		_, _ = s.values.Get(ctx, "7")
		synctest.Wait()
		if got := s.get(ctx, "7", 0).Tags; !slices.Equal(got, []string{who, ""}) {
			t.Errorf("the refresh knew %q; want only %q", got, who)
		}
	})
}

func TestSlowValueIsRefreshedEarly(t *testing.T) {
	runValues(t, cache.Policy{TTL: 20 * time.Second}, nil, func(t *testing.T, s *shelf) {
		s.get(alice(t), "7", 1)
		for range 4000 {
			began := time.Now()
			if _, err := s.values.Get(alice(t), "7"); err != nil || time.Since(began) > 0 {
				t.Fatalf("Get = %v after %v; want a value at once", err, time.Since(began))
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := s.loads.Load(); n < 3 || n > 5 {
			t.Errorf("%d loads in 40 s; want about one every 15 s", n)
		}
	})
}
