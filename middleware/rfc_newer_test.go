package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

// What a request's Cache-Control wants counts in Redis as in memory, also where the stored answer is of no use for a
// validation: to be told so and to read it again under the lease makes it no newer.
func TestOnRedisRequestDirectivesCount(t *testing.T) {
	answers := []handler{
		setting("Cache-Control: max-age=60"),
		setting("Cache-Control: max-age=60", `Etag: "a"`),
		setting("Cache-Control: max-age=60", "Last-Modified: "+time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC).Format(http.TimeFormat)),
		setting("Cache-Control: max-age=60", "Vary: Accept-Language"),
		setting("Cache-Control: max-age=60", "Age: 10"),
	}
	wishes := []string{"no-cache", "max-age=0", "min-fresh=61"}
	runRedis(t, func(t *testing.T, s *site, _ string) {
		for i, h := range answers {
			s.handle(fmt.Sprintf("GET /%d/{wish}", i), standardPolicy, h)
		}
		for i := range answers {
			for j, wish := range wishes {
				target := fmt.Sprintf("/%d/%d", i, j)
				s.miss(target)
				s.hit(target, header("Cache-Control", "max-age=50, min-fresh=1"))
				for range 2 {
					s.miss(target, header("Cache-Control", wish))
				}
				s.hit(target)
			}
		}
	}, inRedis...)
}

// Who asks for what is no older than the question never gets an answer whose run had begun before: not by waiting for it
// either. All who ask so meanwhile share one run that has begun since.
func TestStandardWaitersWhoWantNewAnswers(t *testing.T) {
	for wish, runs := range map[string]int64{"no-cache": 2, "max-age=0": 2, "min-fresh=100": 2, "max-age=5": 1, "min-fresh=1": 1} {
		run(t, func(t *testing.T, s *site) {
			s.handle("GET /x", standardPolicy, func(w http.ResponseWriter, _ *http.Request) error {
				n := s.runs.Load()
				time.Sleep(2 * time.Second)
				return answering(200, fmt.Sprint("run ", n), "Cache-Control: max-age=60")(w, nil)
			})
			var all sync.WaitGroup
			all.Go(func() { wantBody(t, s.get("/x"), "run 1") })
			time.Sleep(time.Second)
			for range 9 {
				all.Go(func() {
					wantBody(t, s.get("/x", header("Cache-Control", wish)), fmt.Sprint("run ", runs))
				})
			}
			synctest.Wait()
			all.Go(func() { wantBody(t, s.get("/x"), "run 1") })
			all.Wait()
			if n := s.runs.Load(); n != runs {
				t.Errorf("%s: the handler ran %d times; want %d", wish, n, runs)
			}
		})
	}
}

// An answer that came aged is as old to those who wait as to those who find it.
func TestStandardWaitersOfAgedAnswers(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", standardPolicy, func(w http.ResponseWriter, _ *http.Request) error {
			n := s.runs.Load()
			time.Sleep(2 * time.Second)
			return answering(200, fmt.Sprint("run ", n), "Cache-Control: max-age=60", "Age: 30")(w, nil)
		})
		var all sync.WaitGroup
		all.Go(func() { wantBody(t, s.get("/x"), "run 1") })
		time.Sleep(time.Second)
		all.Go(func() { wantBody(t, s.get("/x", header("Cache-Control", "max-age=20")), "run 2") })
		all.Wait()
	})
}

// askingStore tells when a process has asked for a lease.
type askingStore struct {
	*redisstore.Store
	asked chan struct{}
}

func (a askingStore) Lease(ctx context.Context, key keying.Key, token store.Token, hold time.Duration) (*store.Entry, store.Lease, error) {
	e, lease, err := a.Store.Lease(ctx, key, token, hold)
	select {
	case a.asked <- struct{}{}:
	default:
	}
	return e, lease, err
}

// Nor is it another process' answer whose run had begun before.
func TestOnRedisNoAnswerOfAnEarlierRun(t *testing.T) {
	for _, class := range inRedis {
		t.Run(class.String(), func(t *testing.T) {
			url := storetest.Redis(t)
			var runs atomic.Int64
			running, release := make(chan struct{}), make(chan struct{})
			h := func(w http.ResponseWriter, _ *http.Request) error {
				n := runs.Add(1)
				if n == 1 {
					close(running)
					<-release
				}
				return answering(200, fmt.Sprint("run ", n), "Cache-Control: max-age=60")(w, nil)
			}
			asked := make(chan struct{}, 1)
			var processes []*site
			for i := range 2 {
				s := newSite(t, routers[0], class)
				s.options.Far = open(t, url)
				if i == 1 {
					s.options.Far = askingStore{open(t, url), asked}
				}
				s.handle("GET /x", standardPolicy, h)
				s.start()
				processes = append(processes, s)
			}
			var all sync.WaitGroup
			all.Go(func() { wantBody(t, processes[0].get("/x"), "run 1") })
			<-running
			all.Go(func() {
				wantBody(t, processes[1].get("/x", header("Cache-Control", "no-cache")), "run 2")
			})
			<-asked
			close(release)
			all.Wait()
		})
	}
}

// An answer to HEAD, or to a range, is made beside those for the whole. One that was slow must not bring back what a purge, or a
// newer whole, has taken the place of meanwhile.
func TestStandardSlowPartsBringNothingBack(t *testing.T) {
	const long = "Cache-Control: public, max-age=1000"
	fresh := header("Cache-Control", "no-cache")
	for name, part := range map[string]struct {
		ask    func(s *site) reply
		answer handler
	}{
		"HEAD of the same length": {func(s *site) reply { return s.do("HEAD", "/x", fresh) }, answering(200, "", long, "Content-Length: 1")},
		"HEAD of another length":  {func(s *site) reply { return s.do("HEAD", "/x", fresh) }, answering(200, "", long, "Content-Length: 2")},
		"HEAD that is not kept":   {func(s *site) reply { return s.do("HEAD", "/x", fresh) }, answering(200, "", "Cache-Control: no-store")},
		"a range of what is confirmed": {func(s *site) reply { return s.get("/x", fresh, header("Range", "bytes=0-0")) },
			answering(304, "", long, `Etag: "1"`)},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				isPart := func(r *http.Request) bool { return r.Method == http.MethodHead || s.runs.Load() == 2 }
				s.handle("GET /x", standardPolicy, func(w http.ResponseWriter, r *http.Request) error {
					if isPart(r) {
						time.Sleep(2 * time.Second)
						return part.answer(w, r)
					}
					n := fmt.Sprint(s.runs.Load())
					return answering(200, n, long, `Etag: "`+n+`"`)(w, r)
				})
				wantBody(t, s.get("/x"), "1")
				done := make(chan reply)
				go func() { done <- part.ask(s) }()
				time.Sleep(time.Second)
				wantBody(t, s.get("/x", fresh), "3")
				<-done
				if got := s.hit("/x"); got.body != "3" || got.header.Get("Age") != "1" {
					t.Errorf("got %q of age %s; want what was made last", got.body, got.header.Get("Age"))
				}
			})
		})
	}
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", standardPolicy, func(w http.ResponseWriter, r *http.Request) error {
			if r.Method == http.MethodHead {
				time.Sleep(2 * time.Second)
				return answering(200, "", long, "Content-Length: 1")(w, r)
			}
			return answering(200, fmt.Sprint(s.runs.Load()), long)(w, r)
		})
		wantBody(t, s.get("/x"), "1")
		s.together(2, func(i int) reply { // the second one has found what is kept before the purge, and asks after it
			if i == 0 {
				time.AfterFunc(time.Second, func() { s.purge(cache.URL("/x")) })
			}
			return s.do("HEAD", "/x", fresh)
		})
		wantBody(t, s.miss("/x"), fmt.Sprint(s.runs.Load()))
	})
}
