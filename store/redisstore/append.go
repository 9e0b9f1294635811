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
	logTTL    = 30 * 24 * time.Hour // without a purge or a read
)

// errLost says that the log vanished while it was used; whoever asks next begins a new one.
var errLogLost = errors.New("the purge log was lost while it was used")

// Ledger returns this process' view of the purge log; Get has brought it up to the log's head whenever it returns no
// error.
func (s *Store) Ledger() *store.Ledger { return s.log.ledger }

// Append writes the record to the log, as several when it has more than store.MaxLabels labels, and takes it in.
// It asks Redis even while ErrOpen is returned to others, and is bound by ctx and the client's own time-outs; but where
// another purge is being told to a Redis that does not answer, it does not queue. With an error the record holds for this
// process all the same, and others are told when Redis answers again, if this process lives that long.
func (s *Store) Append(ctx context.Context, r store.Record) error {
	return s.appendOrQueue(ctx, s.evenIfOpen(), r, func() bool { return s.reads.open() || s.writes.open() })
}

// Post is Append for a request: while ErrOpen is returned to others, it is returned here. Then Redis is told later, like
// after any error. One request at a time asks whether Redis is well again.
func (s *Store) Post(ctx context.Context, r store.Record) error {
	if s.reads.open() || s.writes.open() {
		s.addPending(r)
		return wrap(ErrOpen)
	}
	return s.appendOrQueue(ctx, s.viaBreaker(), r, s.Rests)
}

// Rests reports whether Redis is given a rest, and Post would not wait for it.
func (s *Store) Rests() bool { return !s.reads.closed() || !s.writes.closed() }

func (s *Store) appendOrQueue(ctx context.Context, via access, r store.Record, hurried func() bool) error {
	err := s.lockToAppend(ctx, hurried)
	if err == nil {
		defer s.unlockLog()
		if err = s.flushPending(ctx, via); err == nil {
			err = s.appendAll(ctx, via, r)
		}
	}
	if err != nil {
		s.addPending(r)
	}
	return wrap(err)
}

// lockToAppend waits for the turn while those before the caller get on: not at all while he is hurried, and for one budget
// at most in which nobody reached the log's head.
func (s *Store) lockToAppend(ctx context.Context, hurried func() bool) error {
	for {
		wait, done := s.budget, s.log.catchUps.Load()
		if hurried() {
			wait = 0
		}
		turn, cancel := context.WithTimeout(ctx, wait)
		err := s.log.lock(turn)
		cancel()
		if err == nil || ctx.Err() != nil || s.log.catchUps.Load() == done {
			return err
		}
	}
}

// appendAll writes the record in pieces that the log takes. The caller has the turn.
func (s *Store) appendAll(ctx context.Context, via access, r store.Record) error {
	for labels := range slices.Chunk(r.Labels, store.MaxLabels) {
		if err := s.appendRecord(ctx, via, store.Record{Labels: labels, All: r.All, Soft: r.Soft, Wide: r.Wide}); err != nil {
			return err
		}
	}
	if len(r.Labels) == 0 {
		return s.appendRecord(ctx, via, r)
	}
	return nil
}

// append writes one record. The epoch must be the log's own, so the log is read first; a log that is lost in between
// is not begun by a record of the old epoch (NOMKSTREAM), for then older entries would look live.
func (s *Store) appendRecord(ctx context.Context, via access, r store.Record) error {
	for range 2 {
		if err := s.replayLog(ctx, via); err != nil {
			return err
		}
		r.At = s.log.ledger.Head()
		m, err := s.writeRecord(ctx, via, r, existingLog)
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return err
		}
		s.log.unconfirmed = m // it counts as missing until it has been read back
		if s.replayLog(ctx, via) != nil {
			s.log.ledger.ApplyHere(r) // it stands in the log, and the next Get reads it
		}
		return nil
	}
	return errLogLost
}

// place is where a record goes.
type logTarget struct {
	id       string
	existing bool
}

var (
	anyLog      = logTarget{id: "*"}
	existingLog = logTarget{id: "*", existing: true}
)

// taken reports whether there is a log where one was to be begun.
func idTaken(err error) bool {
	return errors.As(err, new(redis.Error)) && strings.Contains(err.Error(), "equal or smaller")
}

// missing reports whether Redis has replied that there is no log. To the other command it never replies so: where both say
// that there is nothing, it was said of the connection.
func noStream(add *redis.StringCmd, expire *redis.BoolCmd) bool {
	return errors.Is(add.Err(), redis.Nil) && !errors.Is(expire.Err(), redis.Nil)
}

// write adds a record and returns it as it stands in the log.
func (s *Store) writeRecord(ctx context.Context, via access, r store.Record, at logTarget) (message, error) {
	b, err := s.codec.EncodeRecord(r)
	if err != nil {
		return message{}, err
	}
	link := s.log.lastRead().nextChain()
	var add *redis.StringCmd
	err = s.roundTrip(ctx, nil, via.write, func() error {
		pipe := s.client.Pipeline()
		add = pipe.XAdd(ctx, &redis.XAddArgs{
			Stream: s.log.name, ID: at.id, NoMkStream: at.existing, MaxLen: logLength, Approx: true, Values: []any{recordField, b, chainField, link},
		})
		expire := pipe.PExpire(ctx, s.log.name, logTTL)
		exec(ctx, pipe)
		if idTaken(add.Err()) || at.existing && noStream(add, expire) {
			return nil
		}
		if add.Err() == nil && add.Val() == "" { // the id alone is an acknowledgement
			return errUnconfirmed
		}
		return firstError(add)
	})
	if err == nil {
		err = add.Err()
	}
	if err != nil {
		return message{}, err
	}
	return message{add.Val(), string(b), link}, nil
}
