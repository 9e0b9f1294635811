package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// ErrOpen is returned, wrapped, while the circuit is open: Redis has failed several times in a row, or half of the time,
// and is not asked for more than half a second. Then one request probes it. Each node of a cluster has circuits of its own.
var ErrOpen = errors.New("redis keeps failing and is not asked for a while")

// errShortDeadline marks a failure that says more about the caller's deadline than about Redis.
var errShortDeadline = errors.New("too little time was left")

const (
	tripAfter  = 5  // failures in a row
	tripSample = 20 // operations in breakerWindow, half of which failed

	breakerWindow = time.Second
	openFor       = 600 * time.Millisecond // so that probes are fewer than two a second, along with what follows the log
)

// breaker is a circuit breaker: it keeps a Redis that fails from costing every request its time budget.
//
//	closed      operations run; five failures in a row, or half of twenty within a second, open it
//	open        operations return ErrOpen at once, for 600 ms
//	half-open   one operation runs, the others return ErrOpen; success closes the circuit, failure opens it again
type breaker struct {
	circuit     *gobreaker.CircuitBreaker[struct{}]
	ofNode      bool // of a cluster: it is none of its matter what other nodes do
	consecutive int  // guarded by the circuit's lock, under which its callbacks run; gobreaker's own count ends with the window

	notify  func(error)                     // that a rest begins, with its cause, or with nil that it is over
	changed atomic.Pointer[gobreaker.State] // not told yet
}

func newBreaker(notify func(error)) *breaker {
	b := &breaker{notify: notify}
	b.circuit = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:  1,
		Interval:     breakerWindow,
		BucketPeriod: breakerWindow / 10,
		Timeout:      openFor,
		ReadyToTrip:  b.trips,
		IsSuccessful: b.succeeded,
		IsExcluded:   b.excluded,
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if to == gobreaker.StateClosed || from == gobreaker.StateClosed {
				b.changed.Store(&to)
			}
		},
	})
	return b
}

// do runs op, or returns ErrOpen at once.
func (b *breaker) do(op func() error) error {
	_, err := b.circuit.Execute(func() (struct{}, error) { return struct{}{}, op() })
	if b.changed.Load() != nil {
		b.notifyChange(err)
	}
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return ErrOpen
	}
	return err
}

// force runs op even if the circuit is open: the caller of Purge wants to know what came of it.
func (b *breaker) force(op func() error) error {
	if err := b.do(op); !errors.Is(err, ErrOpen) {
		return err
	}
	return op()
}

// uncounted runs op unless the circuit is open, and does not count the outcome. What runs in the background is no measure of
// what requests would meet.
func (b *breaker) uncounted(op func() error) error {
	if b.open() {
		return ErrOpen
	}
	return op()
}

// open reports whether do would return ErrOpen at once.
func (b *breaker) open() bool { return b.circuit.State() == gobreaker.StateOpen }

// closed reports whether do would run every op: the circuit is neither open nor half-open.
func (b *breaker) closed() bool { return b.circuit.State() == gobreaker.StateClosed }

// notifyChange tells of a change of state. gobreaker calls back under its own lock, and a listener may want to use the
// breaker, so the callback only notes the change.
func (b *breaker) notifyChange(err error) {
	switch to := b.changed.Swap(nil); {
	case to == nil:
	case *to == gobreaker.StateClosed:
		b.notify(nil)
	default:
		b.notify(cmp.Or(err, ErrOpen))
	}
}

func (b *breaker) trips(c gobreaker.Counts) bool {
	return b.consecutive >= tripAfter || c.Requests >= tripSample && 2*c.TotalFailures >= c.Requests
}

// succeeded counts as a success that all went well but at one node, which has a breaker of its own.
func (b *breaker) succeeded(err error) bool {
	if err != nil && (b.ofNode || !errors.Is(err, errNode)) {
		b.consecutive++
		return false
	}
	b.consecutive = 0
	return true
}

// excluded are outcomes that say nothing about Redis; and, for a breaker of one node, about that node.
func (b *breaker) excluded(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, errShortDeadline) || b.ofNode && err != nil && !errors.Is(err, errNode)
}

// Who asks decides how. A gate is one way through a breaker; an access has one for reads and one for writes.

// circuitOpen reports whether a circuit of Redis is open.
func (s *shared) circuitOpen() bool { return s.reads.open() || s.writes.open() }

// Rests reports whether a circuit is open, so that Post would not wait for Redis.
func (s *Store) Rests() bool { return !s.reads.closed() || !s.writes.closed() }

// gate is one of a breaker's ways of asking.
type gate func(op func() error) error

// access is how the purge log is read and written. Requests use viaBreaker, Purge uses evenIfOpen, the near follower and
// the timer of pending purges use uncounted.
type access struct{ read, write gate }

func (s *shared) viaBreaker() access { return access{s.reads.do, s.writeViaBreaker} }

func (s *shared) evenIfOpen() access { return access{s.reads.force, s.writes.force} }

func (s *shared) uncounted() access { return access{s.reads.uncounted, s.writes.uncounted} }

// writeViaBreaker is the gate of a request's writes. While reads fail, writes are not tried either: one probe is enough,
// and it is a read.
func (s *shared) writeViaBreaker(op func() error) error {
	if !s.reads.closed() {
		return ErrOpen
	}
	return s.writes.do(op)
}

// The nodes of a cluster.

// node is one node of a cluster, or the only Redis there is. Each has its own batches and breakers:
//
//	node A has the log    node B hangs
//	reads of A            go on, because their batches do not wait for B's
//	reads of B            fail, open B's circuit, and then fail at once
//
// Without that, anybody who keeps requesting pages of B would switch off the cache for all.
type node struct {
	batches
	client        atomic.Pointer[redis.Client] // nil: this is no cluster, or nobody can tell
	lastUsed      atomic.Int64                 // when it was last, in Unix seconds
	reads, writes *breaker                     // of what this node alone is asked
}

// errNode marks a failure that says nothing of the rest of a cluster.
var errNode = errors.New("one node of the cluster")

// wrap marks the failure of a command that went to this node alone. On a single Redis it changes nothing.
func (n *node) wrap(err error) error {
	client := n.client.Load()
	if err == nil || client == nil {
		return err
	}
	return fmt.Errorf("%w, %s: %w", errNode, client.Options().Addr, err)
}

// readError returns the failure of a read: that of the purge log's head, which every read asks for, or else the node's.
// When the time is up for one node of a cluster, go-redis reports that for all commands of the pipeline, also for those
// that were answered. So a head with a value counts as read.
func (n *node) readError(head *redis.XMessageSliceCmd, err error) error {
	if lost := firstError(head); lost != nil && (n.client.Load() == nil || len(head.Val()) == 0) {
		return lost
	}
	return n.wrap(err)
}

// healthy reports whether the node's circuit is closed.
func (n *node) healthy() bool { return n == nil || n.client.Load() == nil || n.reads.closed() }

// readGate is the gate of reads from the node. They pass two breakers, because they also read the purge log's head,
// which may live on another node.
func (s *Store) readGate(n *node) gate {
	if n.client.Load() == nil {
		return s.reads.do
	}
	return func(op func() error) error {
		return n.reads.do(func() error { return s.reads.do(op) })
	}
}

// writeGate is the gate of writes to the node.
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

// writeTo runs op, which sends commands about this key alone, behind the gate of the writes of the key's node.
func (s *Store) writeTo(ctx context.Context, key keying.Key, op func() error) error {
	n := s.nodes.of(ctx, s.shared, key)
	return s.roundTrip(ctx, n, s.writeGate(n), func() error { return n.wrap(op()) })
}

// nodes are the nodes that were asked, by address. Where nodes come and go with new addresses, the old ones are forgotten
// whenever a new one appears.
type nodes struct {
	sync.Map // of *node
	fallback node
}

// forgetAfter is for how long a node must not have been used to be forgotten. If it is used again it starts with closed
// circuits, which is no loss.
const forgetAfter = 10 * time.Minute

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

func (n *nodes) forget() {
	since := time.Now().Add(-forgetAfter).Unix()
	n.Range(func(addr, known any) bool {
		if known.(*node).lastUsed.Load() < since {
			n.Delete(addr)
		}
		return true
	})
}

func (s *shared) newNode() *node {
	n := new(node)
	n.reads, n.writes = s.newBreakers()
	n.reads.ofNode, n.writes.ofNode = true, true
	return n
}

// newBreakers returns the circuits of Redis, or of one node, and reports their changes to the listeners.
func (s *shared) newBreakers() (reads, writes *breaker) {
	return newBreaker(func(err error) { s.notifyCircuit(store.Reads, err) }),
		newBreaker(func(err error) { s.notifyCircuit(store.Writes, err) })
}

// notifyCircuit tells that a circuit opens because of err, or, with nil, that it closes.
func (s *shared) notifyCircuit(operation store.Operation, err error) {
	if err != nil {
		err = fmt.Errorf("redisstore: %s: %w: %w", operation, ErrOpen, err)
	}
	s.circuitEvents.notify(operation, err)
}

// poolStats returns the counters of the pool whose connection has failed: the node's, or that of the node with the purge log.
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
