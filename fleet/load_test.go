package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"
)

func testStage(t *testing.T) *stage {
	t.Helper()
	s, err := newStage(t.Context(), false, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// A server that stalls does not hold the schedule up, and what came during the stall counts from when it was due.
func TestOpenLoopKeepsItsSchedule(t *testing.T) {
	s := testStage(t)
	var count atomic.Int64
	const stall = 300 * time.Millisecond
	until, over := time.Now().Add(stall), make(chan struct{})
	time.AfterFunc(stall, func() { close(over) })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.Add(1)
		<-over
		a := answer{path: r.URL.Path, owner: "-", run: s.board.runs.Add(1)}
		fmt.Fprint(w, a.compose())
	}))
	defer server.Close()
	all := s.openLoop(500, 400*time.Millisecond, func(i int) (*node, key) { return &node{base: server.URL}, nth(plain, i) })
	if len(all) != 200 || count.Load() != 200 {
		t.Fatalf("%d results of %d requests, want 200", len(all), count.Load())
	}
	for i, a := range all {
		if !a.fine() || a.hit {
			t.Fatalf("request %d: %+v", i, a)
		}
		if want := all[0].at.Add(time.Duration(i) * 2 * time.Millisecond); !a.at.Equal(want) {
			t.Fatalf("request %d was due %v late", i, a.at.Sub(want))
		}
		if least := until.Sub(a.at); a.took < least {
			t.Fatalf("request %d took %v, though it was due %v before the end of the stall", i, a.took, least)
		}
	}
}

// What the other figures rest on: processes answer with each other's answers, and a purge on one is seen by the other.
func TestProcessesShareAnswers(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on the PATH; install Redis to run this test")
	}
	s := testStage(t)
	redis, err := s.redis()
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := s.apps(2, redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []kind{fleet, user, hot} {
		k := nth(kind, 1)
		first := s.ask(nodes[0], k, time.Now())
		if second := s.ask(nodes[1], k, time.Now()); !first.fine() || first.hit || !second.fine() || !second.hit {
			t.Errorf("%v: %+v, then %+v", kind, first, second)
		}
		version := s.write(k)
		if err := nodes[0].purge(k); err != nil {
			t.Fatal(err)
		}
		if a := s.ask(nodes[0], k, time.Now()); a.hit || a.answer.version != version {
			t.Errorf("%v: %+v after a purge", kind, a)
		}
	}
}

func TestPercentile(t *testing.T) {
	var all []time.Duration
	for i := range 100 {
		all = append(all, time.Duration(99-i))
	}
	for p, want := range map[float64]time.Duration{0: 0, 0.5: 50, 0.99: 99, 1: 99} {
		if got := percentile(all, p); got != want {
			t.Errorf("p%v is %d, want %d", p, got, want)
		}
	}
	if percentile(nil, 0.5) != 0 {
		t.Error("nothing has a percentile")
	}
}

func TestAnswersTellWhoTheyAreFor(t *testing.T) {
	k := key{kind: user, route: 7, id: 9, user: 3}
	a := answer{path: k.path(), owner: k.owner(), version: 4, run: 5, by: 6}
	body := a.compose()
	if got, err := parse(body); got != a || err != nil || !got.is(k) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if a.is(key{kind: user, route: 7, id: 9, user: 4}) || a.is(key{kind: user, route: 7, id: 8, user: 3}) {
		t.Error("the answer is another's, too")
	}
	for n := range len(body) {
		if _, err := parse(body[:n]); err == nil {
			t.Fatalf("%d of %d bytes pass for the whole", n, len(body))
		}
		if b := []byte(body); true {
			b[n] ^= 1
			if _, err := parse(string(b)); err == nil {
				t.Fatalf("a flipped bit in byte %d is not seen", n)
			}
		}
	}
}

func TestStaleCountsFromTheWrite(t *testing.T) {
	s := testStage(t)
	k := nth(fleet, 1)
	begun := time.Now()
	s.write(k)
	s.write(k)
	if d := s.stale(k, 0, begun); d != 0 {
		t.Errorf("stale for %v before it was", d)
	}
	if d := s.stale(k, 1, begun.Add(time.Hour)); d < 59*time.Minute || d > time.Hour {
		t.Errorf("stale for %v after an hour", d)
	}
	if d := s.stale(k, 2, begun.Add(time.Hour)); d != 0 {
		t.Errorf("the latest is stale for %v", d)
	}
}

func TestAStreamIsManyBursts(t *testing.T) {
	var times []time.Time
	begun := time.Now()
	for i := range 100 {
		times = append(times, begun.Add(time.Duration(i)*10*time.Millisecond))
	}
	if n := bursts(times); n < 16 || n > 20 {
		t.Errorf("%d bursts in a second of something every 10 ms", n)
	}
	if n := bursts(times[:3]); n != 1 {
		t.Errorf("%d bursts at once", n)
	}
}
