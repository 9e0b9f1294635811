package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	blockTime    = time.Second            // how long one read waits for news
	blockSlack   = 250 * time.Millisecond // how much later it may end before its connection counts as dead
	wakeInterval = 5 * time.Millisecond   // from one wake-up to the next: many purges at once are read together

	minRetryDelay = 250 * time.Millisecond // after a loss, more or less; doubled while Redis stays away
	maxRetryDelay = 2 * time.Second
)

// Follow keeps the ledger at the purge log's head, whoever adds to it, and returns when ctx or the Store ends. It waits for
// news on a connection of its own, and looks once a second whether the log is still the one it knows. When the log cannot
// be followed, changed is called with the error, and with nil when it is followed again; until then near copies end with
// their time to live. Its failures cost no request its Redis, and a Redis that is given a rest is not asked.
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

// followOn follows the log until something fails. It calls up whenever all is well.
func (s *Store) followUntilError(ctx context.Context, up func()) (err error) {
	defer recoverTo(&err)
	if err := s.catchUpVia(ctx, s.uncounted()); err != nil { // a Redis that is given a rest is not dialled either
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

// await waits for a record after the last one that is known, for one round.
func (s *Store) awaitRecord(ctx context.Context, conn redis.Cmdable) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, blockTime+blockSlack)
	defer cancel()
	began := time.Now()
	err = conn.XRead(ctx, &redis.XReadArgs{
		Streams: []string{s.log.name}, ID: s.log.head.Load().id, Count: 1, Block: blockTime,
	}).Err()
	if errors.Is(err, redis.Nil) && time.Since(began) >= blockTime/2 { // sooner it is said of the connection
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("redisstore: waiting for the purge log: %w", redacted(err))
	}
	return true, nil
}

// follower tells of losses, once each, and rests longer from one to the next.
type follower struct {
	changed func(error)
	lost    bool
	delay   time.Duration
}

func (f *follower) up() {
	if f.lost {
		f.changed(nil)
	}
	f.lost, f.delay = false, minRetryDelay
}

func (f *follower) down(err error) {
	if !f.lost {
		f.changed(err)
	}
	f.lost = true
}

// takeRest returns how long to rest, a fifth more or less, so that processes which lost Redis together do not come back
// together.
func (f *follower) nextDelay() time.Duration {
	delay := f.delay
	f.delay = min(2*delay, maxRetryDelay)
	return jittered(delay)
}

func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// pause returns false if ctx ends first.
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
