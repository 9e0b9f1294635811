package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// An agreement is rounds of a write and a purge on one process and reads on the others.
type agreement struct {
	kinds   []kind
	workers int
	slow    time.Duration // handlers take up to this

	rounds  atomic.Int64
	told    atomic.Int64 // purges that returned nil
	reads   atomic.Int64
	failed  atomic.Int64            // reads that were not fine
	outrun  atomic.Int64            // old answers after the purge returned nil
	oldest  atomic.Int64            // the longest that a version had been out of date when it was read, in nanoseconds
	refused atomic.Pointer[refusal] // the last purge that Redis was not told of
}

type refusal struct {
	at  time.Time
	err error
}

// play plays rounds until it has so many or more says no. The first node purges, the others read.
func (a *agreement) play(s *stage, nodes []*node, rounds int, more func() bool) {
	s.board.takes(a.slow)
	first := int(a.rounds.Load())
	var next atomic.Int64
	var wg sync.WaitGroup
	for range a.workers {
		wg.Go(func() {
			for s.Err() == nil && more() {
				i := int(next.Add(1)) - 1
				if i >= rounds {
					return
				}
				a.round(s, nodes, first+i)
				a.rounds.Add(1)
			}
		})
	}
	wg.Wait()
}

// round has slow handlers under way, with old data, while the write and the purge happen; what they answer late must not
// take the place of what is new.
func (a *agreement) round(s *stage, nodes []*node, i int) {
	var keys []key
	for _, k := range a.kinds {
		keys = append(keys, nth(k, i%(routes*ids)))
	}
	var racers sync.WaitGroup
	for _, k := range keys {
		for _, n := range nodes {
			racers.Go(func() { s.ask(n, k, time.Now()) })
		}
	}
	_ = s.pause(rand.N(a.slow + 1))
	var versions []uint64
	for _, k := range keys {
		versions = append(versions, s.write(k))
	}
	err := nodes[0].purge(keys...)
	if err == nil {
		a.told.Add(1)
	} else {
		a.refused.Store(&refusal{time.Now(), err})
	}
	a.read(s, nodes[1:], keys, versions, err == nil)
	racers.Wait()
	a.read(s, nodes[1:], keys, versions, err == nil)
}

// read reads the keys on all nodes at once.
func (a *agreement) read(s *stage, nodes []*node, keys []key, versions []uint64, told bool) {
	var wg sync.WaitGroup
	for i, k := range keys {
		for _, n := range nodes {
			wg.Go(func() {
				begun := time.Now()
				got := s.ask(n, k, begun)
				a.reads.Add(1)
				switch {
				case !got.fine():
					a.failed.Add(1)
					s.logf("agree: %s: status %d, %v", k.path(), got.status, got.err)
				case got.answer.version < versions[i]:
					raise(&a.oldest, s.stale(k, got.answer.version, begun))
					if told {
						a.outrun.Add(1)
						s.logf("agree: %s: version %d after %d was written", k.path(), got.answer.version, versions[i])
					}
				}
			})
		}
	}
	wg.Wait()
}

// raise makes the value at least d.
func raise(v *atomic.Int64, d time.Duration) {
	for {
		old := v.Load()
		if old >= int64(d) || v.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

func (a *agreement) String() string {
	text := fmt.Sprintf("%d stale of %d reads in %d rounds", a.outrun.Load(), a.reads.Load(), a.rounds.Load())
	if refused := a.rounds.Load() - a.told.Load(); refused > 0 {
		text += fmt.Sprintf(", %d purges not told to Redis", refused)
	}
	if n := a.failed.Load(); n > 0 {
		text += fmt.Sprintf(", %d reads failed", n)
	}
	return text
}
