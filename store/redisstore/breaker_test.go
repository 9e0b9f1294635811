package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
)

// opened returns a Store with the time-outs of Open, that is closed when the test ends.
func opened(t *testing.T, url string) *redisstore.Store {
	s, err := redisstore.Open(url, redisstore.Options{Prefix: "larder"})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// wantOpen asks until the breaker is open and returns how often that took.
func wantOpen(t *testing.T, ask func() error) int {
	t.Helper()
	for n := range 100 {
		err := ask()
		if err == nil {
			t.Fatal("Redis answers")
		}
		if errors.Is(err, redisstore.ErrOpen) {
			return n
		}
	}
	t.Fatal("the breaker did not open")
	return 0
}

func TestRedisDownAndBack(t *testing.T) {
	server := redistest.NewProcess(t)
	s := opened(t, server.URL())
	key := keep(t, s, "k")
	server.Kill()
	for _, op := range []struct {
		name string
		ask  func() error
	}{
		{"Set", func() error { return s.Set(t.Context(), key, stamped(s, "k"), time.Minute) }},
		{"Get", func() error { _, _, err := s.Get(t.Context(), key); return err }},
	} {
		if n := wantOpen(t, op.ask); n != 5 {
			t.Errorf("%s failed %d times before its breaker opened; want 5", op.name, n)
		}
	}
	start := time.Now()
	for range 100 {
		_, _, _ = s.Get(t.Context(), key)
	}
	if took := time.Since(start); took > 100*time.Millisecond {
		t.Errorf("100 reads under an open breaker took %v; want 1 ms each at most", took)
	}
	near := stamped(s, "k")
	if err := s.Append(t.Context(), store.Record{Labels: labels("one")}); err == nil || errors.Is(err, redisstore.ErrOpen) {
		t.Errorf("Append = %v; want an error from Redis itself", err)
	}
	if s.Ledger().State(near) != store.Gone {
		t.Error("a purge that failed does not hold for its own process")
	}
	server.Start()
	eventually(t, "Redis is asked again", func() bool { _, _, err := s.Get(t.Context(), key); return err == nil })
	eventually(t, "entries are kept again", func() bool { // and the purge that failed is told, which may come after the first of them
		return s.Set(t.Context(), key, stamped(s, "k"), time.Minute) == nil && state(t, s, key) == store.Live
	})
	purge(t, s, "one")
	wantState(t, s, key, store.Gone)
}

func TestCancelledReadsDoNotOpenTheBreaker(t *testing.T) {
	s := open(t, redistest.Start(t).Addr())
	key := keep(t, s, "k")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	for _, ctx := range []context.Context{cancelled, late} {
		for range 30 {
			if _, _, err := s.Get(ctx, key); !errors.Is(err, ctx.Err()) {
				t.Errorf("Get = %v; want %v", err, ctx.Err())
			}
		}
	}
	wantState(t, s, key, store.Live)
}

func TestErrorRepliesOpenTheBreaker(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.Addr())
	key := keep(t, s, "k")
	server.SetError("LOADING Redis is loading the dataset in memory")
	if n := wantOpen(t, func() error { _, _, err := s.Get(t.Context(), key); return err }); n != 5 {
		t.Errorf("%d errors before the breaker opened; want 5", n)
	}
	server.SetError("")
	if err := s.Set(t.Context(), key, stamped(s, "k"), time.Minute); !errors.Is(err, redisstore.ErrOpen) {
		t.Errorf("Set = %v; want no probe by a write while the circuit of reads is open", err)
	}
	eventually(t, "Redis is asked again", func() bool { _, _, err := s.Get(t.Context(), key); return err == nil })
	if err := s.Set(t.Context(), key, stamped(s, "k"), time.Minute); err != nil {
		t.Errorf("Set = %v; want writes as soon as reads succeed", err)
	}
}

// A circuit that opens is reported once, with its cause, and so is its end; a listener that was removed hears nothing.
func TestRestsAreTold(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.Addr())
	key := keep(t, s, "k")
	type told struct {
		what string
		rest bool
	}
	news := make(chan told, 10)
	stop := s.OnCircuit(func(what string, err error) {
		if err != nil && !errors.Is(err, redisstore.ErrOpen) {
			t.Errorf("%s: %v; want an error that wraps ErrOpen", what, err)
		}
		news <- told{what, err != nil}
	})
	deaf := s.OnCircuit(func(string, error) { t.Error("told after stop") })
	deaf()
	want := func(want told) {
		t.Helper()
		select {
		case got := <-news:
			if got != want {
				t.Fatalf("told %v, want %v", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("told nothing, want %v", want)
		}
	}
	get := func() error { _, _, err := s.Get(t.Context(), key); return err }
	server.SetError("LOADING Redis is loading the dataset in memory")
	wantOpen(t, get)
	want(told{"reads", true})
	server.SetError("")
	eventually(t, "Redis is asked again", func() bool { return get() == nil })
	want(told{"reads", false})
	server.SetError("READONLY You can't write against a read only replica.")
	wantOpen(t, func() error { return s.Set(t.Context(), key, stamped(s, "k"), time.Minute) })
	want(told{"writes", true})
	stop()
	if len(news) > 0 {
		t.Errorf("told more: %v", <-news)
	}
}

// divided is a store on a cluster, with keys of the node that has the purge log, and of the other one.
type divided struct {
	*redisstore.Store
	other        *peer
	here, beyond []keying.Key
}

func divide(t *testing.T) divided {
	nodes := cluster(t)
	d := divided{Store: opened(t, fmt.Sprintf("redis+cluster://%s?addr=%s", nodes[0].addr, nodes[1].addr))}
	half := func(name string) int64 { return nodes[0].ClusterKeySlot(t.Context(), name).Val() / 8192 }
	log := half(logName)
	d.other = nodes[1-log]
	for i := 0; len(d.here) < 20 || len(d.beyond) < 20; i++ {
		key := keep(t, d.Store, fmt.Sprint(i))
		if half("larder:1:"+key.String()) == log {
			d.here = append(d.here, key)
		} else {
			d.beyond = append(d.beyond, key)
		}
	}
	return d
}

// wantHere asks the node that has the purge log.
func (d divided) wantHere(t *testing.T) {
	t.Helper()
	for _, key := range d.here[:5] {
		eventually(t, "a busy machine answers", func() bool {
			_, ok, err := d.Get(t.Context(), key)
			if errors.Is(err, redisstore.ErrOpen) {
				t.Errorf("Get: %v; want a hit", err)
			}
			return ok || errors.Is(err, redisstore.ErrOpen)
		})
		e := stamped(d, "new")
		e.Key = key
		if err := d.Set(t.Context(), key, e, time.Minute); errors.Is(err, redisstore.ErrOpen) {
			t.Errorf("Set: %v", err)
		}
	}
}

// Whoever asks again and again for what a node had that is gone does not switch off what others have: that node is given a
// rest, and nothing else is.
func TestDeadNodeOfAClusterRestsAlone(t *testing.T) {
	d := divide(t)
	d.other.kill()
	for _, key := range d.beyond {
		_ = d.Set(t.Context(), key, stamped(d, "x"), time.Minute)
		_ = d.Delete(t.Context(), key)
	}
	d.wantHere(t)
	for _, key := range d.beyond {
		_, _, _ = d.Get(t.Context(), key)
	}
	d.wantHere(t)
	for _, key := range d.beyond[:3] {
		if _, _, err := d.Get(t.Context(), key); err == nil {
			t.Error("a node that is gone answers")
		}
	}
}

// A node that hangs costs a few reads their time, whatever is read of others in between.
func TestHungNodeOfAClusterCostsFewBudgets(t *testing.T) {
	d := divide(t)
	if err := d.other.Do(t.Context(), "CLIENT", "PAUSE", "5000", "ALL").Err(); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for i, key := range d.beyond {
		if _, _, err := d.Get(t.Context(), key); !errors.Is(err, redisstore.ErrOpen) {
			asked++
		}
		_, _, err := d.Get(t.Context(), d.here[i])
		if errors.Is(err, redisstore.ErrOpen) {
			t.Fatalf("the circuit of a node that answers is open: %v", err)
		}
	}
	if asked > 10 {
		t.Errorf("a node that hangs was asked %d times by %d reads; want about five", asked, len(d.beyond))
	}
}

// A node that hangs up on whoever has just come is not dialled for as long as there is time, however many connections
// to others are at rest.
func TestNodeThatHangsUpIsNotDialledForLong(t *testing.T) {
	d := divide(t)
	d.other.kill()
	l, err := net.Listen("tcp", d.other.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var dials atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			_ = conn.Close()
		}
	}()
	_, _, _ = d.Get(t.Context(), d.beyond[0]) // whatever was at rest is dead
	dials.Store(0)
	if _, _, err := d.Get(t.Context(), d.beyond[1]); err == nil {
		t.Error("a node that hangs up answers")
	}
	// go-redis tries four times where it is sent elsewhere; the read is followed by a look whether the entry is why it was hung
	// up on, and the probe of the commands comes by, too.
	if n := dials.Load(); n > 16+16+4 {
		t.Errorf("one read dialled %d times", n)
	}
}

// Nodes that are not asked any more are forgotten: in a cluster whose addresses change every day they would add up.
func TestNodesThatAreGoneAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWires(t).open()
		for i := range 100 {
			if n := s.MeetNode(fmt.Sprint("stays:", i%3)); n > 3+15 {
				t.Fatalf("%d nodes are known after %d minutes", n, i)
			}
			s.MeetNode(fmt.Sprint("goes:", i))
			within(time.Minute)
		}
		if n := s.MeetNode("stays:0"); n < 3 {
			t.Errorf("%d nodes are known; want those that are asked", n)
		}
	})
}
