package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// The near follower keeps the ledger at the log's head while no request reads Redis. Without it, copies in memory would
// learn of purges elsewhere only when their short time to live ends. It waits in XREAD on a connection of its own.
//
// No purge falls into the gap between catching up and waiting:
//
//	follower   catches up: head 5
//	purger     XADD → record 6
//	follower   XREAD after 5 → returns record 6 at once
//
// XREAD names the last record that the ledger has. With "$" instead (whatever comes from now on), record 6 would only be
// noticed with record 7.
//
// What XREAD brings is only a wake-up. catchUpVia reads the records themselves, in order, with all its checks. It
// also runs when XREAD brought nothing, once a second, since XREAD would wait for ever in a log that was replaced:
//
//	follower   XREAD after 900 …
//	Redis      loses the log; another process begins a new one: record 1
//	follower   XREAD ends after a second with nothing; catching up sees head 1: the ledger is rebuilt
//
// A connection can be cut off without a word (a firewall, a pulled cable):
//
//	t0          XREAD is sent, the reply never comes
//	t0+1.25 s   time is up: XREAD should have returned after one second. The loss is reported, once
//	            a pause of 250 ms, doubled with each failure up to 2 s, a fifth more or less
//	            catch up: purges that were missed in the meantime are applied; dial, and wait in XREAD again
//	            the first XREAD returns, within a second: recovery is reported
//
// Between t0 and the end of that, memory may serve what was purged elsewhere. The copies' time to live bounds that.

const (
	blockTime    = time.Second            // how long one XREAD waits
	blockSlack   = 250 * time.Millisecond // how much later it may return before its connection counts as dead
	wakeInterval = 5 * time.Millisecond   // between two wake-ups, so that few round trips read a flood of purges

	minRetryDelay = 250 * time.Millisecond // after a failure; doubled while Redis stays away
	maxRetryDelay = 2 * time.Second
)

// Follow keeps the ledger at the purge log's head, whoever appends to it, and returns when ctx or the Store ends. It waits
// on a connection of its own, and checks once a second that the log is still the same.
//
// If the log cannot be followed, changed is called with the error, once, and with nil when it can be followed again.
// In between, copies in memory end with their time to live. The follower's failures do not count for the circuit
// breaker, and while the circuit is open it does not call Redis.
func (s *Store) Follow(ctx context.Context, changed func(error)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	f := follower{changed: changed, delay: minRetryDelay}
	for {
		err := s.followUntilError(ctx, f.up)
		if ctx.Err() != nil {
			return
		}
		f.down(err)
		if !sleep(ctx, f.nextDelay()) {
			return
		}
	}
}

// followUntilError calls up whenever the ledger has the head of the log.
func (s *Store) followUntilError(ctx context.Context, up func()) (err error) {
	defer recoverTo(&err)
	// This comes first: while the circuit is open it fails at once, and Redis is not dialled.
	if err := s.catchUpVia(ctx, s.uncounted()); err != nil {
		return err
	}
	conn, closeConn, err := s.dedicatedConn(ctx)
	if err != nil {
		return err
	}
	defer closeConn()
	var woken time.Time
	for {
		found, err := s.awaitRecord(ctx, conn)
		if err != nil {
			return err
		}
		if found && !sleep(ctx, time.Until(woken.Add(wakeInterval))) {
			return ctx.Err()
		}
		woken = time.Now()
		if err := s.catchUpVia(ctx, s.uncounted()); err != nil {
			return err
		}
		up()
	}
}

// awaitRecord waits up to a second for a record after the last known one.
func (s *Store) awaitRecord(ctx context.Context, conn redis.Cmdable) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, blockTime+blockSlack)
	defer cancel()
	began := time.Now()
	err = conn.XRead(ctx, &redis.XReadArgs{
		Streams: []string{s.log.name}, ID: s.log.head.Load().id, Count: 1, Block: blockTime,
	}).Err()
	// "Nothing" comes after a second. What looks like it and comes sooner is a connection error (see connError).
	if errors.Is(err, redis.Nil) && time.Since(began) >= blockTime/2 {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("redisstore: waiting for the purge log: %w", redacted(err))
	}
	return true, nil
}

// follower reports each loss once, and waits longer from one attempt to the next.
type follower struct {
	changed func(error)
	lost    bool
	delay   time.Duration
}

// up records that the log is followed.
func (f *follower) up() {
	if f.lost {
		f.changed(nil)
	}
	f.lost, f.delay = false, minRetryDelay
}

// down records that it is not.
func (f *follower) down(err error) {
	if !f.lost {
		f.changed(err)
	}
	f.lost = true
}

// nextDelay returns how long to wait before the next attempt.
func (f *follower) nextDelay() time.Duration {
	delay := f.delay
	f.delay = min(2*delay, maxRetryDelay)
	return jittered(delay)
}

// jittered returns d, a fifth more or less: processes that lost Redis together should not come back together.
func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// sleep returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Connections of its own. The near follower blocks its connection for a second at a time, and the probe of the commands
// must see which command a proxy hangs up on. Neither can use the pool.

// dedicatedConn returns a client with one connection to the node that has the purge log. closeConn ends it at once,
// whatever it waits for, and so does the end of ctx. A UniversalClient of an unknown kind is used as it is.
func (s *Store) dedicatedConn(ctx context.Context) (conn redis.Cmdable, closeConn func(), err error) {
	node, err := s.logNode(ctx)
	if err != nil {
		return nil, nil, err
	}
	if node == nil {
		return s.client, func() {}, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	client := redis.NewClient(dedicatedOptions(ctx, *node.Options(), s.sentinel))
	stop := context.AfterFunc(ctx, func() {
		defer func() { _ = recover() }() // a dialer of the caller's may return connections that panic; they are no longer needed
		_ = client.Close()
	})
	return client, func() {
		stop()
		cancel() // ends a dial that is under way
		_ = client.Close()
	}, nil
}

// logNode returns the client of the node that has the purge log, or nil if that cannot be determined.
func (s *Store) logNode(ctx context.Context) (*redis.Client, error) {
	switch c := s.client.(type) {
	case *redis.Client:
		return c, nil
	case *redis.ClusterClient:
		return c.MasterForKey(ctx, s.log.name)
	case *redis.Ring:
		return c.GetShardClientForKey(s.log.name)
	}
	return nil, nil
}

// dedicatedOptions are the client's options, changed for a client that runs one command at a time and is discarded after
// the first failure.
func dedicatedOptions(ctx context.Context, o redis.Options, behind *sentinel) *redis.Options {
	o.PoolSize = 2 // after that many failed dials in a row, go-redis would go on dialling in the background
	o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns, o.PipelinePoolSize = 0, 0, 0, -1
	o.MaxRetries, o.DialerRetries = -1, 1
	o.Limiter, o.ClientSideCacheConfig, o.PushNotificationProcessor = nil, nil, nil
	o.MaintNotificationsConfig = maintenanceOff(nil)
	o.ContextTimeoutEnabled = true
	// go-redis dials with a context that does not end when the client is closed.
	dial := o.Dialer
	o.Dialer = func(dialling context.Context, network, addr string) (net.Conn, error) {
		dialling, cancel := context.WithCancel(dialling)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		conn, err := dial(dialling, network, addr)
		return conn, behind.explainDial(err)
	}
	if greet := o.OnConnect; greet != nil {
		o.OnConnect = func(ctx context.Context, conn *redis.Conn) error { return asConnError(greet(ctx, conn)) }
	}
	return &o
}
