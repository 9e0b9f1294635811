package cache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/internal/user"
	"github.com/larder-go/cache/store/memstore"
)

type item struct {
	ID    string
	Loads int64
	Tags  []string
}

// A shelf is values in a cache, with a count of loads.
type shelf struct {
	t      *testing.T
	class  cache.Class
	far    *fartest.Store
	cache  *cache.Cache
	values *cache.Values[item]
	loads  atomic.Int64
}

// runValues plays f for every class, or for those named, in a bubble of fake time. If load is nil, a load takes a second.
func runValues(t *testing.T, p cache.Policy, load func(ctx context.Context, s *shelf, id string) (item, error), f func(t *testing.T, s *shelf), only ...cache.Class) {
	t.Helper()
	if len(only) == 0 {
		only = classes
	}
	for _, class := range only {
		t.Run(class.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &shelf{t: t, class: class, far: fartest.New()}
				c, err := cache.New(cache.Options{Far: s.far})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = c.Close(context.Background()) })
				p := p
				p.Class = class
				s.cache = c
				s.values = cache.NewValues(c, "product", p, func(ctx context.Context, id string) (item, error) {
					n := s.loads.Add(1)
					if load != nil {
						return load(ctx, s, id)
					}
					time.Sleep(time.Second)
					return item{ID: id, Loads: n, Tags: []string{"a"}}, nil
				})
				f(t, s)
			})
		})
	}
}

// get wants the value of the id, and the given number of loads for it.
func (s *shelf) get(ctx context.Context, id string, loads int64) item {
	s.t.Helper()
	before := s.loads.Load()
	got, err := s.values.Get(ctx, id)
	if n := s.loads.Load() - before; err != nil || got.ID != id || n != loads {
		s.t.Errorf("Get(%q) = %+v, %v after %d loads; want its value after %d", id, got, err, n, loads)
	}
	return got
}

var (
	classes = []cache.Class{cache.SharedGlobal, cache.PerUser, cache.HotShared, cache.FleetShared}
	shared  = []cache.Class{cache.SharedGlobal, cache.HotShared, cache.FleetShared}
	inRedis = []cache.Class{cache.PerUser, cache.HotShared, cache.FleetShared}
)

func alice(t *testing.T) context.Context { return cache.WithUser(t.Context(), "alice") }
func bob(t *testing.T) context.Context   { return cache.WithUser(t.Context(), "bob") }

func TestValuesAreLoadedOnce(t *testing.T) {
	runValues(t, cache.Policy{}, nil, func(t *testing.T, s *shelf) {
		first := s.get(alice(t), "7", 1)
		if again := s.get(alice(t), "7", 0); again.Loads != first.Loads {
			t.Errorf("the second value is %+v; want %+v", again, first)
		}
		s.get(alice(t), "8", 1)
		s.get(alice(t), "", 1)
		s.get(alice(t), "", 0)
		time.Sleep(time.Minute)
		s.get(alice(t), "7", 1)
	})
}

func TestValuesAtOnceShareOneLoad(t *testing.T) {
	runValues(t, cache.Policy{}, nil, func(t *testing.T, s *shelf) {
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if got, err := s.values.Get(alice(t), "7"); err != nil || got.Loads != 1 {
					t.Errorf("Get = %+v, %v; want the one load's", got, err)
				}
			})
		}
		all.Wait()
		if n := s.loads.Load(); n != 1 {
			t.Errorf("%d loads; want 1", n)
		}
	})
}

func TestValuesOfUsersAreTheirOwn(t *testing.T) {
	load := func(ctx context.Context, s *shelf, id string) (item, error) {
		time.Sleep(time.Millisecond)
		return item{ID: id, Loads: s.loads.Load()}, nil
	}
	runValues(t, cache.Policy{}, load, func(t *testing.T, s *shelf) {
		if s.class != cache.PerUser {
			s.get(alice(t), "7", 1)
			s.get(bob(t), "7", 0)
			return
		}
		a, b := s.get(alice(t), "7", 1), s.get(bob(t), "7", 1)
		if a.Loads == b.Loads || s.get(alice(t), "7", 0).Loads != a.Loads || s.get(bob(t), "7", 0).Loads != b.Loads {
			t.Error("users share a value")
		}
		for range 2 {
			s.get(t.Context(), "7", 1) // nobody: loaded and not kept
			s.get(cache.WithUser(t.Context(), ""), "7", 1)
		}
		if err := s.cache.Purge(t.Context(), cache.User("alice")); err != nil {
			t.Fatal(err)
		}
		s.get(alice(t), "7", 1)
		s.get(bob(t), "7", 0)
	})
}

func TestValuesArePurged(t *testing.T) {
	load := func(ctx context.Context, s *shelf, id string) (item, error) {
		cache.AddTags(ctx, "added:"+id)
		return item{ID: id}, nil
	}
	runValues(t, cache.Policy{Tags: []string{"product:{id}", "products"}}, load, func(t *testing.T, s *shelf) {
		purges := map[string]func() error{
			"ids":        func() error { return s.values.Purge(t.Context(), "7", "9") },
			"a tag":      func() error { return s.cache.Purge(t.Context(), cache.Tag("product:7")) },
			"an added":   func() error { return s.cache.Purge(t.Context(), cache.Tag("added:7")) },
			"everything": func() error { return s.cache.Purge(t.Context(), cache.Everything()) },
		}
		s.get(alice(t), "7", 1)
		s.get(alice(t), "8", 1)
		for name, purge := range purges {
			if err := errors.Join(purge(), s.values.Purge(t.Context())); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			s.get(alice(t), "7", 1)
			if name == "everything" {
				s.get(alice(t), "8", 1)
			}
			s.get(alice(t), "8", 0)
		}
	})
}

func TestPurgeDuringALoadWins(t *testing.T) {
	runValues(t, cache.Policy{}, nil, func(t *testing.T, s *shelf) {
		go func() { _, _ = s.values.Get(alice(t), "7") }()
		synctest.Wait()
		if err := s.values.Purge(t.Context(), "7"); err != nil {
			t.Fatal(err)
		}
		if got := s.get(alice(t), "7", 1); got.Loads != 2 {
			t.Errorf("after the purge Get = %+v; want a load of its own", got)
		}
		synctest.Wait()
		if got := s.get(alice(t), "7", 0); got.Loads != 2 {
			t.Errorf("later Get = %+v; want the second load's", got)
		}
	})
}

func TestErrorsOfLoadsAreTheCallers(t *testing.T) {
	fault := errors.New("no such product")
	load := func(context.Context, *shelf, string) (item, error) { return item{}, fault }
	runValues(t, cache.Policy{}, load, func(t *testing.T, s *shelf) {
		for n := range int64(3) {
			if _, err := s.values.Get(alice(t), "7"); !errors.Is(err, fault) || s.loads.Load() != n+1 {
				t.Errorf("Get: %v after %d loads; want the load's own error each time", err, s.loads.Load())
			}
		}
	})
}

func TestLoadThatPanicsLeavesNothingBehind(t *testing.T) {
	load := func(ctx context.Context, s *shelf, id string) (item, error) {
		first := s.loads.Load() == 1
		time.Sleep(time.Second)
		if first {
			panic("a bug")
		}
		return item{ID: id}, nil
	}
	runValues(t, cache.Policy{}, load, func(t *testing.T, s *shelf) {
		var all sync.WaitGroup
		all.Go(func() {
			defer func() {
				if got := recover(); got != "a bug" {
					t.Errorf("the caller recovered %v; want the load's panic", got)
				}
			}()
			_, _ = s.values.Get(alice(t), "7")
		})
		synctest.Wait()
		for range 20 {
			all.Go(func() {
				if got, err := s.values.Get(alice(t), "7"); err != nil || got.ID != "7" {
					t.Errorf("a waiter got %+v, %v", got, err)
				}
			})
		}
		all.Wait()
		s.get(alice(t), "7", 0)
	})
}

// A caller that gives up does not fail the others: the load goes on while somebody waits for it.
func TestCallerThatGivesUpFailsNobody(t *testing.T) {
	load := func(ctx context.Context, _ *shelf, id string) (item, error) {
		select {
		case <-time.After(time.Second):
			return item{ID: id}, nil
		case <-ctx.Done():
			return item{}, ctx.Err()
		}
	}
	runValues(t, cache.Policy{}, load, func(t *testing.T, s *shelf) {
		ctx, cancel := context.WithCancel(alice(t))
		go func() { _, _ = s.values.Get(ctx, "7") }()
		synctest.Wait()
		time.AfterFunc(time.Millisecond, cancel)
		s.get(alice(t), "7", 0)
		if _, err := s.values.Get(ctx, "8"); !errors.Is(err, context.Canceled) {
			t.Errorf("Get with a context that has ended: %v", err)
		}
	})
}

func TestValuesSteer(t *testing.T) {
	load := func(ctx context.Context, _ *shelf, id string) (item, error) {
		switch id {
		case "no-store":
			cache.NoStore(ctx)
		case "short":
			cache.SetTTL(ctx, 10*time.Second)
		case "large":
			return item{ID: id, Tags: make([]string, 2000)}, nil
		}
		return item{ID: id}, nil
	}
	runValues(t, cache.Policy{MaxBody: 1000}, load, func(t *testing.T, s *shelf) {
		for range 2 {
			s.get(alice(t), "no-store", 1)
			s.get(alice(t), "large", 1)
		}
		s.get(alice(t), "short", 1)
		time.Sleep(9 * time.Second)
		s.get(alice(t), "short", 0)
		time.Sleep(time.Second)
		s.get(alice(t), "short", 1)
	})
}

func TestPerUserValuesNeverStayInTheProcess(t *testing.T) {
	near := memstore.New(memstore.Options{})
	defer near.Close()
	far := fartest.New()
	c, err := cache.New(cache.Options{Near: near, Far: far})
	if err != nil {
		t.Fatal(err)
	}
	v := cache.NewValues(c, "me", cache.Policy{Class: cache.PerUser}, func(_ context.Context, id string) (string, error) { return id, nil })
	for range 2 {
		if got, err := v.Get(alice(t), "x"); got != "x" || err != nil {
			t.Errorf("Get = %q, %v", got, err)
		}
	}
	if near.Len() != 0 || far.Len() != 1 {
		t.Errorf("%d entries in memory and %d in Redis; want 0 and 1", near.Len(), far.Len())
	}
}

// cloned is a value that its callers may change.
type cloned struct{ List []string }

func (c cloned) Clone() cloned { return cloned{append([]string(nil), c.List...)} }

func TestValuesThatCloneAreTheCallersOwn(t *testing.T) {
	for _, class := range classes {
		c, err := cache.New(cache.Options{Far: fartest.New()})
		if err != nil {
			t.Fatal(err)
		}
		v := cache.NewValues(c, "list", cache.Policy{Class: class}, func(context.Context, string) (cloned, error) { return cloned{[]string{"a"}}, nil })
		for range 4 {
			got, err := v.Get(alice(t), "x")
			if err != nil || fmt.Sprint(got.List) != "[a]" {
				t.Errorf("%s: Get = %v, %v; want [a]", class, got, err)
			}
			got.List[0] = "changed"
		}
		_ = c.Close(context.Background())
	}
}

// Two names, or two classes, never share.
func TestNamesAndClassesOfValuesNeverShare(t *testing.T) {
	c, err := cache.New(cache.Options{Far: fartest.New()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	for _, class := range classes {
		for _, name := range []string{"a", "ab", "a/b"} {
			want := fmt.Sprint(class, name)
			v := cache.NewValues(c, name, cache.Policy{Class: class}, func(context.Context, string) (string, error) { return want, nil })
			for range 2 {
				if got, err := v.Get(alice(t), "x"); got != want || err != nil {
					t.Errorf("Get = %q, %v; want %q", got, err, want)
				}
			}
		}
	}
}

func TestValuesOutageIsALoad(t *testing.T) {
	runValues(t, cache.Policy{}, nil, func(t *testing.T, s *shelf) {
		s.far.Down.Store(true)
		s.get(alice(t), "7", 1)
		if err := s.values.Purge(t.Context(), "7"); err == nil {
			t.Error("Purge without Redis returns no error")
		}
		s.get(alice(t), "7", 1)
	}, inRedis...)
}

func TestValuesRefusePoliciesAboutRequests(t *testing.T) {
	c, err := cache.New(cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []cache.Policy{{}, {Class: cache.HotShared}, {Class: cache.SharedGlobal, Vary: []string{"Accept"}}, {Class: cache.SharedGlobal, Client: "no-cache"}, {Class: cache.SharedGlobal, Skip: func(*http.Request) bool { return false }}, {Class: cache.SharedGlobal, SkipName: "preview"},
		{Class: cache.SharedGlobal, VaryBy: func(*http.Request) string { return "" }}, {Class: cache.SharedGlobal, VaryByName: "tenant"},
		{Class: cache.SharedGlobal, Tags: []string{"{name}"}}, {Class: cache.SharedGlobal, StatusTTL: map[int]time.Duration{404: time.Second}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewValues with %q does not panic", p)
				}
			}()
			cache.NewValues(c, "x", p, func(context.Context, string) (int, error) { return 0, nil })
		}()
	}
}

// Events say for every loaded value whether it was stored, and if not, why.
func TestEventsTellWhatBecameOfAValue(t *testing.T) {
	for name, at := range map[string]struct {
		class  cache.Class
		before func(s *shelf)
		load   func(s *shelf)
		want   cache.Reason
	}{
		"kept":          {cache.FleetShared, nil, nil, ""},
		"Redis is away": {cache.FleetShared, func(s *shelf) { s.far.Down.Store(true) }, nil, cache.ReasonStore},
		"Redis goes":    {cache.HotShared, nil, func(s *shelf) { s.far.Down.Store(true) }, cache.ReasonStore},
		"purged":        {cache.SharedGlobal, nil, func(s *shelf) { _ = s.cache.Purge(context.Background(), cache.Everything()) }, "purged-meanwhile"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var events []cache.Event
				s := &shelf{t: t, far: fartest.New()}
				var err error
				s.cache, err = cache.New(cache.Options{Far: s.far, Observe: func(ev cache.Event) {
					if ev.Outcome == cache.Miss {
						events = append(events, ev)
					}
				}})
				if err != nil {
					t.Fatal(err)
				}
				defer s.cache.Close(context.Background())
				values := cache.NewValues(s.cache, "product", cache.Policy{Class: at.class}, func(context.Context, string) (item, error) {
					if at.load != nil {
						at.load(s)
					}
					return item{ID: "7"}, nil
				})
				if at.before != nil {
					at.before(s)
				}
				if _, err := values.Get(t.Context(), "7"); err != nil {
					t.Fatal(err)
				}
				if len(events) != 1 || events[0].Reason != at.want {
					t.Errorf("the misses are %v; want one with the reason %q", events, at.want)
				}
			})
		})
	}
}

func TestALoadThatAsksForItsOwnValueDoesNotWaitForIt(t *testing.T) {
	load := func(ctx context.Context, s *shelf, id string) (item, error) {
		got, err := s.values.Get(ctx, id)
		if err != nil && !errors.Is(err, cache.ErrLoop) {
			return item{}, err
		}
		if text := fmt.Sprint(err); err != nil && !strings.Contains(text, `product "7" → product "7" → product "7"`) {
			s.t.Errorf("%q does not name the circle", text)
		}
		return item{ID: id, Tags: append(got.Tags, id)}, nil
	}
	runValues(t, cache.Policy{}, load, func(t *testing.T, s *shelf) {
		began := time.Now()
		if got := s.get(alice(t), "7", 2); len(got.Tags) != 2 || time.Since(began) > 0 {
			t.Errorf("Get = %+v after %v", got, time.Since(began))
		}
		s.get(alice(t), "7", 0)
	})
}

func TestLoadsThatAskForEachOtherDoNotWait(t *testing.T) {
	load := func(ctx context.Context, s *shelf, id string) (item, error) {
		time.Sleep(time.Second)
		other := map[string]string{"a": "b", "b": "a"}[id]
		if _, err := s.values.Get(ctx, other); err != nil && !errors.Is(err, cache.ErrLoop) {
			return item{}, err
		}
		return item{ID: id}, nil
	}
	runValues(t, cache.Policy{MaxRuns: 2}, load, func(t *testing.T, s *shelf) {
		began := time.Now()
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				if got, err := s.values.Get(alice(t), []string{"a", "b"}[i%2]); err != nil || got.ID == "" {
					t.Errorf("Get = %+v, %v", got, err)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("loaded after %v", took)
		}
	})
}

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

// Routers reuse what they put into a request's context when the request is over, so a refresh must not see it. The refresh of a
// shared value sees no user either.
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
