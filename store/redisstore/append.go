package redisstore

import (
	"context"
	"errors"
	"slices"
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
// It asks Redis even while ErrOpen is returned to others, and is bound by ctx and the client's own time-outs. With an
// error the record holds for this process all the same.
func (s *Store) Append(ctx context.Context, r store.Record) error {
	err := s.appendAll(ctx, r)
	if err != nil {
		s.log.ledger.ApplyHere(r)
	}
	return prefixed(err)
}

func (s *Store) appendAll(ctx context.Context, r store.Record) error {
	if err := s.log.lock(ctx); err != nil {
		return err
	}
	defer s.log.unlock()
	for labels := range slices.Chunk(r.Labels, store.MaxLabels) {
		if err := s.append(ctx, store.Record{Labels: labels, All: r.All, Soft: r.Soft}); err != nil {
			return err
		}
	}
	if len(r.Labels) == 0 {
		return s.append(ctx, r)
	}
	return nil
}

// append writes one record. The epoch must be the log's own, so the log is read first; a log that is lost in between
// is not begun by a record of the old epoch (NOMKSTREAM), for then older entries would look live.
func (s *Store) append(ctx context.Context, r store.Record) error {
	for range 2 {
		if err := s.catchUp(ctx, s.reads.always); err != nil {
			return err
		}
		r.At = s.log.ledger.Head()
		_, err := s.write(ctx, r, true)
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err == nil && s.catchUp(ctx, s.reads.always) != nil {
			s.log.ledger.ApplyHere(r) // it stands in the log, and the next Get reads it
		}
		return err
	}
	return errLost
}

// write adds a record and returns its id.
func (s *Store) write(ctx context.Context, r store.Record, mustExist bool) (id string, err error) {
	b, err := s.codec.EncodeRecord(r)
	if err != nil {
		return "", err
	}
	var add *redis.StringCmd
	err = s.ask(ctx, s.writes.always, func() error {
		pipe := s.client.Pipeline()
		add = pipe.XAdd(ctx, &redis.XAddArgs{
			Stream: s.log.name, NoMkStream: mustExist, MaxLen: logLength, Approx: true, Values: []any{field, b},
		})
		pipe.PExpire(ctx, s.log.name, logKeep)
		_, _ = pipe.Exec(ctx)
		return outage(add)
	})
	if err != nil {
		return "", err
	}
	return add.Result()
}
