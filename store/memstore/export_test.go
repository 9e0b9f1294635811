package memstore

import (
	"fmt"
	"slices"
)

// Check reports how the index, the orders and the bounds disagree, if they do. Nobody changes the store meanwhile, not even
// its own timer.
func (s *Store) Check() error {
	for i := range s.shards {
		s.shards[i].mu.Lock()
		defer s.shards[i].mu.Unlock()
	}
	entries, bytes := int64(0), int64(0)
	for i := range s.shards {
		n, cost, err := s.shards[i].check()
		if err != nil {
			return fmt.Errorf("shard %d: %w", i, err)
		}
		entries, bytes = entries+int64(n), bytes+cost
	}
	for i := range s.names.buckets {
		for n := s.names.buckets[i].Load(); n != nil; n = n.namesake.Load() {
			if n.has(isGone) {
				return fmt.Errorf("a node that is gone has a name")
			}
		}
	}
	if e, b := s.bounds.entries.Load(), s.bounds.bytes.Load(); e != entries || b != bytes {
		return fmt.Errorf("%d entries of %d bytes are there; %d of %d are counted", entries, bytes, e, b)
	}
	if entries > s.bounds.maxEntries || bytes > s.bounds.maxBytes {
		return fmt.Errorf("%d entries of %d bytes are beyond the bounds", entries, bytes)
	}
	return nil
}

func (s *shard) check() (n int, cost int64, err error) {
	for bucket := uint64(s.from * group); bucket < uint64(s.to*group); bucket++ {
		for at := s.index.buckets[bucket].Load(); at != nil; at = at.next.Load() {
			n, cost = n+1, cost+int64(at.cost)
			key := at.entry.Load().Key
			switch {
			case at.has(isGone):
				return 0, 0, fmt.Errorf("a node that is gone is in the index")
			case !s.queueOf(at).order.Has(at.row) || !slices.Contains(at.row.nodes[:], at):
				return 0, 0, fmt.Errorf("a node of the index has no place in the order")
			case s.index.at(&key) != bucket || s.index.find(bucket, &key) != at:
				return 0, 0, fmt.Errorf("a node is not found by its key")
			case s.index.due[bucket/group] > at.until.Load():
				return 0, 0, fmt.Errorf("a node expires unnoticed")
			case int64(at.cost) != costOf(at.entry.Load())+int64(len(at.text)):
				return 0, 0, fmt.Errorf("a node of %d bytes counts as %d", costOf(at.entry.Load())+int64(len(at.text)), at.cost)
			case at.text != "" && s.names.find(at.hash, []byte(at.text)) != at:
				return 0, 0, fmt.Errorf("a node is not found by its name")
			}
		}
	}
	for _, q := range []*queue{&s.small, &s.main} {
		there := 0
		for r := range q.order.Items() {
			if there += int(r.left); r.left == 0 {
				return 0, 0, fmt.Errorf("an empty row is kept")
			}
		}
		if there != q.n {
			return 0, 0, fmt.Errorf("%d nodes are in an order of %d", there, q.n)
		}
	}
	if n != s.small.n+s.main.n || cost != s.small.bytes+s.main.bytes {
		return 0, 0, fmt.Errorf("%d nodes of %d bytes are in the index, %d of %d in the orders",
			n, cost, s.small.n+s.main.n, s.small.bytes+s.main.bytes)
	}
	return n, cost, nil
}

// LongestSweep drops what has expired and returns how many nodes were dropped under one hold of a lock at most.
func (s *Store) LongestSweep() (most int) {
	for i := range s.shards {
		c := &s.shards[i]
		for at := c.from; at < c.to; {
			before := c.small.n + c.main.n
			at = c.sweep(at, clock())
			most = max(most, before-c.small.n-c.main.n)
		}
	}
	return most
}
