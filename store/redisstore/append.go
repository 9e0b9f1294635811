package redisstore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store"
)

const (
	logLength = 100_000             // records, more or less, before the oldest are trimmed
	logKeep   = 30 * 24 * time.Hour // without a purge or a read
)

// errLost says that the log vanished while it was used; whoever asks next begins a new one.
var errLost = errors.New("the purge log was lost while it was used")

// Ledger returns this process' view of the purge log; Get has brought it up to the log's head whenever it returns no
// error.
func (s *Store) Ledger() *store.Ledger { return s.log.ledger }

// Append writes the record to the log, as several when it has more than store.MaxLabels labels, and takes it in.
// It asks Redis even while ErrOpen is returned to others, and is bound by ctx and the client's own time-outs; but where
// another purge is being told to a Redis that does not answer, it does not queue. With an error the record holds for this
// process all the same, and others are told when Redis answers again, if this process lives that long.
func (s *Store) Append(ctx context.Context, r store.Record) error {
	return s.appendOrOwe(ctx, s.anyway(), r, func() bool { return s.reads.open() || s.writes.open() })
}

// Post is Append for a request: while ErrOpen is returned to others, it is returned here. Then Redis is told later, like
// after any error. One request at a time asks whether Redis is well again.
func (s *Store) Post(ctx context.Context, r store.Record) error {
	if s.reads.open() || s.writes.open() {
		s.owe(r)
		return prefixed(ErrOpen)
	}
	return s.appendOrOwe(ctx, s.politely(), r, s.Rests)
}

// Rests reports whether Redis is given a rest, and Post would not wait for it.
func (s *Store) Rests() bool { return !s.reads.closed() || !s.writes.closed() }

func (s *Store) appendOrOwe(ctx context.Context, w way, r store.Record, hurried func() bool) error {
	err := s.lockToAppend(ctx, hurried)
	if err == nil {
		defer s.endTurn()
		if err = s.settle(ctx, w); err == nil {
			err = s.appendAll(ctx, w, r)
		}
	}
	if err != nil {
		s.owe(r)
	}
	return prefixed(err)
}

// lockToAppend waits for the turn while those before the caller get on: not at all while he is hurried, and for one budget
// at most in which nobody reached the log's head.
func (s *Store) lockToAppend(ctx context.Context, hurried func() bool) error {
	for {
		wait, done := s.budget, s.log.done.Load()
		if hurried() {
			wait = 0
		}
		turn, cancel := context.WithTimeout(ctx, wait)
		err := s.log.lock(turn)
		cancel()
		if err == nil || ctx.Err() != nil || s.log.done.Load() == done {
			return err
		}
	}
}

// appendAll writes the record in pieces that the log takes. The caller has the turn.
func (s *Store) appendAll(ctx context.Context, w way, r store.Record) error {
	for labels := range slices.Chunk(r.Labels, store.MaxLabels) {
		if err := s.append(ctx, w, store.Record{Labels: labels, All: r.All, Soft: r.Soft, Wide: r.Wide}); err != nil {
			return err
		}
	}
	if len(r.Labels) == 0 {
		return s.append(ctx, w, r)
	}
	return nil
}

// append writes one record. The epoch must be the log's own, so the log is read first; a log that is lost in between
// is not begun by a record of the old epoch (NOMKSTREAM), for then older entries would look live.
func (s *Store) append(ctx context.Context, w way, r store.Record) error {
	for range 2 {
		if err := s.catchUp(ctx, w); err != nil {
			return err
		}
		r.At = s.log.ledger.Head()
		m, err := s.write(ctx, w, r, following)
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return err
		}
		s.log.wrote = m // it counts as missing until it has been read back
		if s.catchUp(ctx, w) != nil {
			s.log.ledger.ApplyHere(r) // it stands in the log, and the next Get reads it
		}
		return nil
	}
	return errLost
}

// place is where a record goes.
type place struct {
	id        string
	mustExist bool
}

var (
	next      = place{id: "*"}
	following = place{id: "*", mustExist: true}
)

// taken reports whether there is a log where one was to be begun.
func taken(err error) bool {
	return errors.As(err, new(redis.Error)) && strings.Contains(err.Error(), "equal or smaller")
}

// missing reports whether Redis has replied that there is no log. To the other command it never replies so: where both say
// that there is nothing, it was said of the connection.
func missing(add *redis.StringCmd, expire *redis.BoolCmd) bool {
	return errors.Is(add.Err(), redis.Nil) && !errors.Is(expire.Err(), redis.Nil)
}

// write adds a record and returns it as it stands in the log.
func (s *Store) write(ctx context.Context, w way, r store.Record, at place) (message, error) {
	b, err := s.codec.EncodeRecord(r)
	if err != nil {
		return message{}, err
	}
	link := s.log.lastRead().link()
	var add *redis.StringCmd
	err = s.ask(ctx, nil, w.write, func() error {
		pipe := s.client.Pipeline()
		add = pipe.XAdd(ctx, &redis.XAddArgs{
			Stream: s.log.name, ID: at.id, NoMkStream: at.mustExist, MaxLen: logLength, Approx: true, Values: []any{field, b, chainField, link},
		})
		expire := pipe.PExpire(ctx, s.log.name, logKeep)
		exec(ctx, pipe)
		if taken(add.Err()) || at.mustExist && missing(add, expire) {
			return nil
		}
		if add.Err() == nil && add.Val() == "" { // the id alone is an acknowledgement
			return errUnanswered
		}
		return lost(add)
	})
	if err == nil {
		err = add.Err()
	}
	if err != nil {
		return message{}, err
	}
	return message{add.Val(), string(b), link}, nil
}
