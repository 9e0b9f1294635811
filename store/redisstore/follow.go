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
	followRound = time.Second            // how long one read waits for news
	followSlack = 250 * time.Millisecond // how much later it may end before its connection counts as dead
	followPace  = 5 * time.Millisecond   // from one wake-up to the next: many purges at once are read together

	leastRest = 250 * time.Millisecond // after a loss, more or less; doubled while Redis stays away
	mostRest  = 2 * time.Second
)

// Follow keeps the ledger at the purge log's head, whoever adds to it, and returns when ctx or the Store ends. It waits for
// news on a connection of its own, and looks once a second whether the log is still the one it knows. When the log cannot
// be followed, changed is called with the error, and with nil when it is followed again; until then near copies end with
// their time to live. Its failures cost no request its Redis, and a Redis that is given a rest is not asked.
func (s *Store) Follow(ctx context.Context, changed func(error)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	f := follower{changed: changed, rest: leastRest}
	for {
		err := s.followOn(ctx, f.up)
		if ctx.Err() != nil {
			return
		}
		f.down(err)
		if !pause(ctx, f.takeRest()) {
			return
		}
	}
}

// followOn follows the log until something fails. It calls up whenever all is well.
func (s *Store) followOn(ctx context.Context, up func()) (err error) {
	defer caught(&err)
	if err := s.catchUpFor(ctx, s.aside()); err != nil { // a Redis that is given a rest is not dialled either
		return err
	}
	line, hangUp, err := s.line(ctx)
	if err != nil {
		return err
	}
	defer hangUp()
	var woken time.Time
	for {
		news, err := s.await(ctx, line)
		if err != nil {
			return err
		}
		if news && !pause(ctx, time.Until(woken.Add(followPace))) {
			return ctx.Err()
		}
		woken = time.Now()
		if err := s.catchUpFor(ctx, s.aside()); err != nil {
			return err
		}
		up()
	}
}

// await waits for a record after the last one that is known, for one round.
func (s *Store) await(ctx context.Context, line redis.Cmdable) (news bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, followRound+followSlack)
	defer cancel()
	began := time.Now()
	err = line.XRead(ctx, &redis.XReadArgs{
		Streams: []string{s.log.name}, ID: s.log.seen.Load().id, Count: 1, Block: followRound,
	}).Err()
	if errors.Is(err, redis.Nil) && time.Since(began) >= followRound/2 { // sooner it is said of the connection
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("redisstore: waiting for the purge log: %w", withoutArguments(err))
	}
	return true, nil
}

// follower tells of losses, once each, and rests longer from one to the next.
type follower struct {
	changed func(error)
	lost    bool
	rest    time.Duration
}

func (f *follower) up() {
	if f.lost {
		f.changed(nil)
	}
	f.lost, f.rest = false, leastRest
}

func (f *follower) down(err error) {
	if !f.lost {
		f.changed(err)
	}
	f.lost = true
}

// takeRest returns how long to rest, a fifth more or less, so that processes which lost Redis together do not come back
// together.
func (f *follower) takeRest() time.Duration {
	rest := f.rest
	f.rest = min(2*rest, mostRest)
	return jittered(rest)
}

func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// pause returns false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
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
