package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store"
)

// page is how many records are read at once.
const page = 1000

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
// everything older is gone. Of two processes that do so at once, one begins the log.
func (s *Store) begin(ctx context.Context, w way) error {
	if s.log.loading != nil {
		return nil
	}
	if found, err := s.loadFirst(ctx, w); found || err != nil {
		return err
	}
	r := store.Record{At: store.Position{Epoch: rand.Uint64() | 1}}
	_, err := s.write(ctx, w, r, anew)
	if err != nil && !taken(err) {
		return err
	}
	// Whoever has begun the log may have purged since.
	if found, err := s.loadFirst(ctx, w); found || err != nil {
		return err
	}
	id, err := s.write(ctx, w, r, next)
	if err == nil {
		s.load(r.At.Epoch, id)
	}
	return err
}

// loadFirst makes a ledger that stands at the first record that can be read. What cannot be read before it does not
// matter: what was made before the first one is gone anyway.
func (s *Store) loadFirst(ctx context.Context, w way) (found bool, err error) {
	messages, err := s.messages(ctx, w, "-")
	if err != nil {
		return false, err
	}
	for _, m := range messages {
		if r, err := s.codec.DecodeRecord([]byte(m.text)); err == nil {
			s.load(r.At.Epoch, m.id)
			return true, nil
		}
	}
	return false, nil
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
		return lost(cmd)
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
