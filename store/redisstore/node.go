package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// node is one of a cluster's, or the one Redis that there is. One that is slow or gone holds up no reads of others, and is
// given a rest of its own: whoever asks for what lived there, again and again, does not end the cache for all.
type node struct {
	batches
	client        atomic.Pointer[redis.Client] // nil: this is no cluster, or nobody can tell
	lastUsed      atomic.Int64                 // when it was last, in Unix seconds
	reads, writes *breaker                     // of what this node alone is asked
}

// errNode marks a failure that says nothing of the rest of a cluster.
var errNode = errors.New("one node of the cluster")

// own marks the failure of what the node alone was asked for.
func (n *node) wrap(err error) error {
	client := n.client.Load()
	if err == nil || client == nil {
		return err
	}
	return fmt.Errorf("%w, %s: %w", errNode, client.Options().Addr, err)
}

// failure is that of the purge log, whose head was asked for, or else the node's. When there is no time left for one node,
// go-redis says so of all that a cluster was asked at once, and of what it has answered, too.
func (n *node) readError(head *redis.XMessageSliceCmd, err error) error {
	if lost := firstError(head); lost != nil && (n.client.Load() == nil || len(head.Val()) == 0) {
		return lost
	}
	return n.wrap(err)
}

// well reports whether the node is not being probed.
func (n *node) healthy() bool { return n == nil || n.client.Load() == nil || n.reads.closed() }

// reading is the gate of reads from the node, which ask for the purge log's head, too.
func (s *Store) readGate(n *node) gate {
	if n.client.Load() == nil {
		return s.reads.do
	}
	return func(op func() error) error {
		return n.reads.do(func() error { return s.reads.do(op) })
	}
}

// writingTo is the gate of writes to the node.
func (s *Store) writeGate(n *node) gate {
	if n.client.Load() == nil {
		return s.writeViaBreaker
	}
	return func(op func() error) error {
		if !s.reads.closed() || !n.healthy() {
			return ErrOpen
		}
		return n.writes.do(op)
	}
}

// nodes are those that were asked, by their addresses. Where nodes come and go under ever new addresses, those that were not
// asked for a while are forgotten whenever another one comes.
type nodes struct {
	sync.Map // of *node
	fallback node
}

// forgotten is how long ago a node was asked last that is forgotten. Whoever asks it again begins anew, which costs nothing
// but what its breakers knew.
const forgetAfter = 10 * time.Minute

func (n *nodes) forget() {
	since := time.Now().Add(-forgetAfter).Unix()
	n.Range(func(addr, known any) bool {
		if known.(*node).lastUsed.Load() < since {
			n.Delete(addr)
		}
		return true
	})
}

// of returns the node that has the key.
func (n *nodes) of(ctx context.Context, s *shared, key keying.Key) (its *node) {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return &n.fallback
	}
	defer func() {
		if recover() != nil { // in a hook, perhaps, which the operation itself will meet
			its = &n.fallback
		}
	}()
	client, err := cluster.MasterForKey(ctx, s.entryName(key))
	if err != nil {
		return &n.fallback // it fails soon enough
	}
	its = n.at(client.Options().Addr, s)
	if its.client.Load() != client {
		its.client.Store(client)
	}
	return its
}

// at returns the node with the address.
func (n *nodes) at(addr string, s *shared) *node {
	now := time.Now().Unix()
	known, ok := n.Load(addr)
	if !ok {
		n.forget()
		known, _ = n.LoadOrStore(addr, s.newNode())
	}
	its := known.(*node)
	if its.lastUsed.Load() != now { // once a second
		its.lastUsed.Store(now)
	}
	return its
}

func (s *shared) newNode() *node {
	n := &node{
		reads:  newBreaker(func(err error) { s.notifyCircuit(store.Reads, err) }),
		writes: newBreaker(func(err error) { s.notifyCircuit(store.Writes, err) }),
	}
	n.reads.ofNode, n.writes.ofNode = true, true
	return n
}

// pool is the state of the connections to what has failed: the node, or the one that has the purge log.
func (s *Store) poolStats(ctx context.Context, n *node, err error) *redis.PoolStats {
	if errors.Is(err, errNode) && n != nil {
		return n.client.Load().PoolStats()
	}
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		if client, err := cluster.MasterForKey(ctx, s.log.name); err == nil {
			return client.PoolStats()
		}
	}
	return s.client.PoolStats()
}
