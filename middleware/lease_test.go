package middleware_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/store/storetest"
)

// threeOf are three processes of one site that share a Redis.
func threeOf(t *testing.T, class cache.Class, h handler) []*site {
	url := storetest.Redis(t)
	processes := make([]*site, 3)
	for i := range processes {
		processes[i] = newSite(t, routers[0], class)
		processes[i].options.Far = open(t, url)
		processes[i].handle("GET /x", cache.Policy{}, h)
		processes[i].start()
	}
	return processes
}

// herd lets n clients of each process ask at once.
func herd(t *testing.T, processes []*site, n int) {
	var all sync.WaitGroup
	for _, s := range processes {
		for range n {
			all.Go(func() { wantStatus(t, s.get("/x"), http.StatusOK) })
		}
	}
	all.Wait()
}

// met closes the processes, which then have told of all faults, and returns how many there were: on a busy machine Redis
// misses a time-out now and then, and then a process goes on by itself.
func met(t *testing.T, processes []*site) (faults int64) {
	for _, s := range processes {
		if err := s.cache.Close(t.Context()); err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		for _, ev := range s.events {
			if ev.Outcome == cache.Fault || ev.Outcome == cache.Recovered {
				faults += int64(ev.Count)
			}
		}
		s.mu.Unlock()
	}
	return faults
}

// THREATS 126: 3 processes, 200 clients each, one run.
func TestOneRunPerFleet(t *testing.T) {
	for _, class := range inRedis {
		t.Run(class.String(), func(t *testing.T) {
			var runs atomic.Int64
			processes := threeOf(t, class, func(w http.ResponseWriter, _ *http.Request) error {
				runs.Add(1)
				time.Sleep(300 * time.Millisecond)
				_, err := w.Write([]byte("hello"))
				return err
			})
			herd(t, processes, 200)
			faults := met(t, processes)
			if n := runs.Load(); n < 1 || n > 1+faults {
				t.Errorf("the handler ran %d times, with %d faults; want once", n, faults)
			}
		})
	}
}

// What cannot be kept is answered to all in the time that two runs take.
func TestUnstorableAnswersDoNotTakeTurns(t *testing.T) {
	processes := threeOf(t, cache.FleetShared, func(w http.ResponseWriter, _ *http.Request) error {
		time.Sleep(300 * time.Millisecond)
		w.Header().Set("Set-Cookie", "a=b")
		_, err := w.Write([]byte("hello"))
		return err
	})
	began := time.Now()
	herd(t, processes, 50)
	if took := time.Since(began); took > 1500*time.Millisecond { // what a busy machine adds
		t.Errorf("150 clients waited %v; want about 600 ms", took)
	}
}
