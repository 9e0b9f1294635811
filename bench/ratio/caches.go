package main

import (
	"container/heap"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/maypok86/otter/v2"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
)

// caches are what is compared. Each plays a whole trace, holds at most capacity entries, and returns the number of its hits.
var caches = []struct {
	name string
	play func(trace []uint64, capacity int) (hits int)
}{
	{"larder", larder},
	{"otter", wTinyLFU},
	{"lru", lru},
	{"best", best},
}

// larder is a memstore, used as a request uses it: a miss stores the entry.
func larder(trace []uint64, capacity int) (hits int) {
	s := memstore.New(memstore.Options{MaxEntries: capacity, MaxBytes: 1 << 40})
	defer s.Close()
	for _, block := range trace {
		key := keyOf(block)
		if _, ok := s.Peek(key); ok {
			hits++
			continue
		}
		_ = s.Set(context.Background(), key, &store.Entry{Key: key}, time.Hour)
	}
	return hits
}

// keyOf returns a digest, as real keys are.
func keyOf(block uint64) keying.Key {
	return sha256.Sum256(binary.LittleEndian.AppendUint64(nil, block))
}

// wTinyLFU is otter. Here it does its housekeeping synchronously, so that a trace always has the same result.
func wTinyLFU(trace []uint64, capacity int) (hits int) {
	c := otter.Must(&otter.Options[uint64, struct{}]{MaximumSize: capacity, Executor: func(f func()) { f() }})
	for _, block := range trace {
		if _, ok := c.GetIfPresent(block); ok {
			hits++
			continue
		}
		c.Set(block, struct{}{})
	}
	return hits
}

// lru evicts the least recently used block, and considers nothing else.
func lru(trace []uint64, capacity int) (hits int) {
	c, err := simplelru.NewLRU[uint64, struct{}](capacity, nil)
	if err != nil {
		panic(err) // a capacity below one
	}
	for _, block := range trace {
		if _, ok := c.Get(block); ok {
			hits++
			continue
		}
		c.Add(block, struct{}{})
	}
	return hits
}

// best is what no cache can exceed. It knows the future and evicts the block that comes again last, which may be the one just
// requested (Belady's rule).
func best(trace []uint64, capacity int) (hits int) {
	next := nextUses(trace)
	due := make(map[uint64]int, capacity+1) // when each cached block comes again
	var latest byDue
	for i, block := range trace {
		if _, ok := due[block]; ok {
			hits++
		}
		due[block] = next[i]
		heap.Push(&latest, use{block, next[i]})
		for len(due) > capacity {
			u := heap.Pop(&latest).(use)
			if at, ok := due[u.block]; ok && at == u.at { // otherwise it has been used since
				delete(due, u.block)
			}
		}
	}
	return hits
}

// nextUses returns for each index of the trace the next index of the same block, or math.MaxInt if there is none.
func nextUses(trace []uint64) []int {
	next := make([]int, len(trace))
	seen := map[uint64]int{}
	for i := len(trace) - 1; i >= 0; i-- {
		at, ok := seen[trace[i]]
		if !ok {
			at = math.MaxInt
		}
		next[i] = at
		seen[trace[i]] = i
	}
	return next
}

type use struct {
	block uint64
	at    int
}

// byDue is a heap of uses, the latest first.
type byDue []use

func (h byDue) Len() int           { return len(h) }
func (h byDue) Less(i, j int) bool { return h[i].at > h[j].at }
func (h byDue) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *byDue) Push(x any)        { *h = append(*h, x.(use)) }

func (h *byDue) Pop() any {
	last := len(*h) - 1
	u := (*h)[last]
	*h = (*h)[:last]
	return u
}
