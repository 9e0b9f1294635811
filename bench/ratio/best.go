package main

import (
	"container/heap"
	"math"
)

// best is what no cache can exceed: it knows the future, keeps what comes again soonest, and does not take in what comes
// again later than all it has (Belady's rule).
func best(trace []uint64, capacity int) (hits int) {
	next := nextUses(trace)
	due := make(map[uint64]int, capacity+1) // when each kept block comes again
	var latest byDue
	for i, block := range trace {
		if _, ok := due[block]; ok {
			hits++
		}
		due[block] = next[i]
		heap.Push(&latest, use{block, next[i]})
		for len(due) > capacity {
			u := heap.Pop(&latest).(use)
			if at, ok := due[u.block]; ok && at == u.at { // else it has been used since
				delete(due, u.block)
			}
		}
	}
	return hits
}

// nextUses returns for each place in the trace the next place of the same block, or never.
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
