package redisstore_test

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store/redisstore"
)

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
			t.Fatalf("a node that answers is given a rest: %v", err)
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
