package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store"
)

const (
	field      = "r"  // of a stream record
	page       = 1000 // records read at once
	touchEvery = 24 * time.Hour
)

// tail follows one purge log.
type tail struct {
	name   string
	ledger *store.Ledger

	turn    chan struct{}           // held by the one goroutine that reads or writes the log
	loading *store.Ledger           // a log that is being read anew, over several turns if need be; guarded by turn
	last    message                 // the last record that was read; guarded by turn
	done    atomic.Uint64           // how often the ledger was brought up to the head
	seen    atomic.Pointer[message] // the head it was brought up to
	owed    owed
	touched atomic.Int64 // when the log's life was last prolonged, in Unix seconds
}

// message is a stream record as it stands in the log.
type message struct{ id, text string }

func newTail(name string) *tail {
	return &tail{name: name, ledger: store.NewLedger(), turn: make(chan struct{}, 1)}
}

// lock waits for the turn, and takes one that is free even if the context has ended. It is a channel and no mutex:
// whoever waits can give up.
func (t *tail) lock(ctx context.Context) error {
	select {
	case t.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case t.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the purge log: %w", ctx.Err())
	}
}

func (t *tail) unlock() { <-t.turn }

// touch prolongs the log's life along with a read that is under way, once a day.
func (t *tail) touch(ctx context.Context, pipe redis.Pipeliner) {
	now, last := time.Now().Unix(), t.touched.Load()
	if now-last >= int64(touchEvery/time.Second) && t.touched.CompareAndSwap(last, now) {
		pipe.PExpire(ctx, t.name, logKeep)
	}
}

func (t *tail) knows(m message) bool {
	seen := t.seen.Load()
	return seen != nil && *seen == m
}

// caughtUp says that the ledger knows all that was read. The caller has the turn.
func (t *tail) caughtUp() {
	last := t.last
	t.seen.Store(&last)
	t.done.Add(1)
}

// CatchUp brings the ledger up to the purge log's head, in one round trip if there is no news. While Redis keeps failing
// the error wraps [ErrOpen].
func (s *Store) CatchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	var head *redis.XMessageSliceCmd
	err := s.ask(ctx, s.reads.do, func() error {
		head = s.client.XRevRangeN(ctx, s.log.name, "+", "-", 1)
		return outage(head)
	})
	if err == nil {
		err = s.follow(ctx, head)
	}
	return prefixed(err)
}

// follow brings the ledger up to the head that was read. Most of the time it is there already.
func (s *Store) follow(ctx context.Context, cmd *redis.XMessageSliceCmd) error {
	if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("the purge log: %w", err)
	}
	var head message
	if records := cmd.Val(); len(records) > 0 {
		head = read(records[0])
	}
	done, known := s.log.done.Load(), head.id != "" && s.log.knows(head)
	if known && !s.log.owed.some.Load() {
		return nil
	}
	if known {
		s.trySettle(ctx)
		return nil
	}
	if err := s.log.lock(ctx); err != nil {
		return err
	}
	defer s.log.unlock()
	// Two turns later somebody has read the log from beginning to end since we read its head, whatever that was.
	if !s.log.knows(head) && s.log.done.Load() < done+2 {
		if err := s.catchUp(ctx, s.politely()); err != nil {
			return err
		}
	}
	_ = s.settle(ctx, s.politely()) // not this request's fault; what is owed holds here anyway
	return nil
}

// catchUp reads what the log says after the last record that the ledger knows. If that record is gone, so is what stood
// after it: then the log is read anew, into a ledger that takes the other's place at once when it is complete. The
// caller has the turn.
func (s *Store) catchUp(ctx context.Context, w way) error {
	if s.log.loading == nil && s.log.ledger.Head() != (store.Position{}) {
		found, err := s.replay(ctx, w, s.log.ledger)
		if found {
			s.log.caughtUp()
		}
		if found || err != nil {
			return err
		}
	}
	for range 2 {
		if err := s.begin(ctx, w); err != nil {
			return err
		}
		found, err := s.replay(ctx, w, s.log.loading)
		if err != nil {
			return err // the next turn goes on from here
		}
		loaded := s.log.loading
		s.log.loading = nil
		if found {
			s.log.ledger.Replace(loaded)
			s.log.owed.applyTo(s.log.ledger)
			s.log.caughtUp()
			return nil
		}
	}
	return errLost
}

// begin makes a ledger that stands at the log's first record, if none is being loaded. A log that does not exist, or
// that begins with a whole page of records that cannot be read, gets a first record of ours: a new epoch, under which
// everything older is gone. If two processes do so at once, the later record counts.
func (s *Store) begin(ctx context.Context, w way) error {
	if s.log.loading != nil {
		return nil
	}
	messages, err := s.messages(ctx, w, "-")
	if err != nil {
		return err
	}
	for _, m := range messages {
		// Older records that cannot be read do not matter: what was made before the first one is gone anyway.
		if r, err := s.codec.DecodeRecord([]byte(m.text)); err == nil {
			s.load(r.At.Epoch, m.id)
			return nil
		}
	}
	r := store.Record{At: store.Position{Epoch: rand.Uint64() | 1}}
	id, err := s.write(ctx, w, r, false)
	if err == nil {
		s.load(r.At.Epoch, id)
	}
	return err
}

func (s *Store) load(epoch uint64, id string) {
	s.log.loading = store.NewLedger()
	s.log.loading.Restart(position(epoch, id))
}

// replay applies the log's records after the ledger's head. It returns false when the head is not in the log.
func (s *Store) replay(ctx context.Context, w way, l *store.Ledger) (bool, error) {
	for {
		head := l.Head()
		messages, err := s.messages(ctx, w, fmt.Sprintf("%d-%d", head.Time, head.Seq))
		if err != nil {
			return false, err
		}
		if len(messages) == 0 || s.record(messages[0], head.Epoch).At != head {
			return false, nil
		}
		for _, m := range messages[1:] {
			if r := s.record(m, l.Head().Epoch); r.At.Epoch == l.Head().Epoch {
				l.Apply(r)
			} else {
				l.Restart(r.At)
			}
		}
		if len(messages) < page {
			s.log.last = messages[len(messages)-1]
			return true, nil
		}
	}
}

// record decodes a message. One that cannot be read, being forged or of another version, might have purged anything:
// it purges everything.
func (s *Store) record(m message, epoch uint64) store.Record {
	r, err := s.codec.DecodeRecord([]byte(m.text))
	if err != nil {
		r = store.Record{At: store.Position{Epoch: epoch}, All: true}
	}
	r.At = position(r.At.Epoch, m.id)
	return r
}

// messages reads a page of the log.
func (s *Store) messages(ctx context.Context, w way, from string) ([]message, error) {
	var cmd *redis.XMessageSliceCmd
	err := s.ask(ctx, w.read, func() error {
		cmd = s.client.XRangeN(ctx, s.log.name, from, "+", page)
		return outage(cmd)
	})
	if err == nil && !errors.Is(cmd.Err(), redis.Nil) {
		err = cmd.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("the purge log: %w", err)
	}
	messages := make([]message, len(cmd.Val()))
	for i, m := range cmd.Val() {
		messages[i] = read(m)
	}
	return messages, nil
}

// read takes a stream record apart. What is not ours has no text, and so cannot be decoded.
func read(m redis.XMessage) message {
	text, _ := m.Values[field].(string)
	return message{m.ID, text}
}

// position returns the place that a stream's id, "time-seq", names.
func position(epoch uint64, id string) store.Position {
	time, seq, _ := strings.Cut(id, "-")
	p := store.Position{Epoch: epoch}
	p.Time, _ = strconv.ParseUint(time, 10, 64)
	p.Seq, _ = strconv.ParseUint(seq, 10, 64)
	return p
}
