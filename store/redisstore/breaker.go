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
)

// ErrOpen is returned, wrapped, while the circuit is open: Redis has failed several times in a row, or half of the time,
// and gets no requests for more than half a second. Then one request probes it. Each node of a cluster has its own circuits.
var ErrOpen = errors.New("redis keeps failing and is not asked for a while")

// errShortDeadline marks a failure that says more about the caller's deadline than about Redis.
var errShortDeadline = errors.New("too little time was left")

const (
	tripAfter  = 5  // failures in a row that open the circuit
	tripSample = 20 // or this many operations within breakerWindow, half of which failed

	breakerWindow = time.Second
	openFor       = 600 * time.Millisecond // together with the follower, Redis is then tried twice a second at most
)

// breaker is a circuit breaker: it stops a failing Redis from costing every request its time budget.
//
//	closed      operations run; five failures in a row, or half of twenty within a second, open it
//	open        operations return ErrOpen at once, for 600 ms
//	half-open   one operation runs, the others return ErrOpen; success closes the circuit, failure opens it again
type breaker struct {
	circuit     *gobreaker.CircuitBreaker[struct{}]
	ofNode      bool // of one node of a cluster: failures of other nodes do not count
	consecutive int  // failures in a row; gobreaker's own count starts over each second. Guarded by the circuit's lock.

	notify  func(error)                     // called with the cause when the circuit opens, and with nil when it closes
	changed atomic.Pointer[gobreaker.State] // a change that notify was not called for yet
}

// newBreaker returns a closed circuit. notify must not block: it is called on the goroutine of an operation.
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

// force runs op even if the circuit is open: the caller of Purge wants to know the outcome.
func (b *breaker) force(op func() error) error {
	if err := b.do(op); !errors.Is(err, ErrOpen) {
		return err
	}
	return op()
}

// uncounted runs op unless the circuit is open, and does not count the outcome: operations in the background do not show
// what requests would experience.
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

// notifyChange reports a change of state. gobreaker calls back under its own lock, and a listener may want to use the
// breaker, so the callback only records the change.
func (b *breaker) notifyChange(err error) {
	switch to := b.changed.Swap(nil); {
	case to == nil:
	case *to == gobreaker.StateClosed:
		b.notify(nil)
	default:
		b.notify(cmp.Or(err, ErrOpen))
	}
}

// trips reports whether the circuit should open.
func (b *breaker) trips(c gobreaker.Counts) bool {
	return b.consecutive >= tripAfter || c.Requests >= tripSample && 2*c.TotalFailures >= c.Requests
}

// succeeded judges an outcome. For the breaker of the whole Redis, the failure of a single node is a success: the node
// has a breaker of its own. gobreaker calls this under its lock, for every outcome that is not excluded.
func (b *breaker) succeeded(err error) bool {
	if err != nil && (b.ofNode || !errors.Is(err, errNode)) {
		b.consecutive++
		return false
	}
	b.consecutive = 0
	return true
}

// excluded reports whether an outcome says nothing about Redis, or, for a breaker of one node, about that node.
func (b *breaker) excluded(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, errShortDeadline) || b.ofNode && err != nil && !errors.Is(err, errNode)
}

// How an operation passes the breakers depends on who waits for it:
//
//	do, viaBreaker            a request: it counts, and is refused while the circuit is open
//	force, evenIfOpen         the caller of Purge: it counts, and runs even then
//	uncounted                 in the background: it does not count, and is refused while the circuit is open

// circuits are the breakers of Redis, or of one node of a cluster. Reads and writes have one each: a full or read-only Redis
// can still be read.
type circuits struct{ reads, writes *breaker }

// newCircuits returns closed circuits. Their changes are reported to the listeners.
func newCircuits(e *events) circuits {
	return circuits{
		reads:  newBreaker(func(err error) { e.notifyCircuit("reads", err) }),
		writes: newBreaker(func(err error) { e.notifyCircuit("writes", err) }),
	}
}

// CircuitOpen reports whether a circuit is open or half-open, so that Post would not wait for Redis.
func (s *Store) CircuitOpen() bool { return !s.reads.closed() || !s.writes.closed() }

// anyOpen reports whether a circuit is open.
func (c *circuits) anyOpen() bool { return c.reads.open() || c.writes.open() }

// gate runs op, or refuses to.
type gate func(op func() error) error

// access is how the purge log is read and written: the gates for both.
type access struct{ read, write gate }

// viaBreaker is the access of a request.
func (c *circuits) viaBreaker() access { return access{c.reads.do, c.writeViaBreaker} }

// evenIfOpen is the access of Purge, which calls Redis whatever state it is in.
func (c *circuits) evenIfOpen() access { return access{c.reads.force, c.writes.force} }

// uncounted is the access of operations in the background.
func (c *circuits) uncounted() access { return access{c.reads.uncounted, c.writes.uncounted} }

// writeViaBreaker is the gate of a request's writes. While reads fail, writes are not tried either: one probe is enough,
// and it is a read.
func (c *circuits) writeViaBreaker(op func() error) error {
	if !c.reads.closed() {
		return ErrOpen
	}
	return c.writes.do(op)
}

// node is one node of a cluster, or the only Redis there is. Each has its own batches and breakers:
//
//	node A has the log    node B hangs
//	reads of A            go on, because their batches do not wait for B's
//	reads of B            fail, open B's circuit, and then fail at once
//
// Otherwise, anybody who keeps requesting pages on B would switch off the cache for all.
type node struct {
	batches
	client        atomic.Pointer[redis.Client] // nil: this is not a cluster, or the node is not known
	lastUsed      atomic.Int64                 // in Unix seconds
	reads, writes *breaker                     // of commands that go to this node alone; nil if client is
}

// errNode marks the failure of one node, which says nothing about the others.
var errNode = errors.New("one node of the cluster")

// wrap marks the failure of a command that went to this node alone. On a single Redis it changes nothing.
func (n *node) wrap(err error) error {
	client := n.client.Load()
	if err == nil || client == nil {
		return err
	}
	return fmt.Errorf("%w, %s: %w", errNode, client.Options().Addr, err)
}

// readError returns the failure of a read: that of the purge log's head, which every read includes, or else the node's.
// When one node of a cluster times out, go-redis reports that for all commands of the pipeline, even for those
// that got a reply. So a head with a value counts as read.
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

// nodes are the nodes used so far, by address. If nodes come and go with new addresses, the old ones are forgotten
// whenever a new one appears.
type nodes struct {
	sync.Map      // of *node
	fallback node // for a Redis that is not a cluster, and for keys whose node is not known
}

// forgetAfter is for how long a node must be unused to be forgotten. If it is used again it starts with closed
// circuits, which does no harm.
const forgetAfter = 10 * time.Minute

// of returns the node that has the key.
func (n *nodes) of(ctx context.Context, s *shared, key keying.Key) (its *node) {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return &n.fallback
	}
	defer func() {
		if recover() != nil { // a hook of the client may panic; the operation will run into it, too, and report it
			its = &n.fallback
		}
	}()
	client, err := cluster.MasterForKey(ctx, s.entryName(key))
	if err != nil {
		return &n.fallback // the operation will fail, and its error says more
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
	if its.lastUsed.Load() != now { // write once a second only: all goroutines share this
		its.lastUsed.Store(now)
	}
	return its
}

// forget removes the nodes that were not used for a while.
func (n *nodes) forget() {
	since := time.Now().Add(-forgetAfter).Unix()
	n.Range(func(addr, known any) bool {
		if known.(*node).lastUsed.Load() < since {
			n.Delete(addr)
		}
		return true
	})
}

// newNode returns a node of a cluster whose circuits are closed.
func (s *shared) newNode() *node {
	c := newCircuits(&s.events)
	c.reads.ofNode, c.writes.ofNode = true, true
	return &node{reads: c.reads, writes: c.writes}
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
