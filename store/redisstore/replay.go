package redisstore

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store"
)

// page is how many records are read at once.
const pageSize = 1000

var errRecordsLost = fmt.Errorf("redisstore: %w", store.ErrRecordsLost)

// catchUp reads what the log says after the last record that the ledger knows. If that is not there, or not what it was,
// the log is read anew, into a ledger that takes the other's place at once when it is complete. The caller has the turn.
//
// A Redis may lose the newest records and live on: an older snapshot is loaded, a replica takes over that had not received
// them, somebody deletes one. Then purges that were acknowledged are in no log, and the entries that they named would come
// back to life. So whoever misses a record begins a new epoch, under which all that was made before is gone for everybody,
// unless all that was made before that record is gone already: the log was trimmed past it, or somebody else has begun an
// epoch since. That the new epoch's record stands after every place that its writer has missed is what ends this: who misses
// less than he finds the floor raised, and who misses more begins one more.
func (s *Store) replayLog(ctx context.Context, via access) error {
	l := s.log
	if l.rebuilding == nil && l.current.Head() != (store.Position{}) {
		found, err := s.replayInto(ctx, via, &l.current)
		if err != nil {
			return err
		}
		if found && l.missing == (store.Position{}) {
			l.caughtUp()
			return nil
		}
	}
	for range 4 { // the log may be lost, or added to, while it is read
		if err := s.startRebuild(ctx, via); err != nil {
			return err
		}
		found, err := s.replayInto(ctx, via, l.rebuilding)
		switch {
		case err != nil:
			return err // the next turn goes on from here
		case !found:
			l.rebuilding = nil
		case earlier(l.missing, l.rebuilding.Floor()):
			l.finishRebuild()
			return nil
		default:
			if err := s.appendEpoch(ctx, via); err != nil {
				return err
			}
		}
	}
	return errLogLost
}

// replace puts the ledger that was loaded in the other's place.
func (l *purgeLog) finishRebuild() {
	if epoch := l.current.Head().Epoch; epoch != 0 && epoch != l.rebuilding.Head().Epoch {
		l.loss = errRecordsLost
	}
	l.current.Replace(l.rebuilding.Ledger)
	l.current.last, l.rebuilding, l.missing = l.rebuilding.last, nil, store.Position{}
	l.pending.applyTo(l.ledger)
	l.caughtUp()
}

// miss notes that the log should have a record there.
func (l *purgeLog) noteMissing(p store.Position) {
	if earlier(l.missing, p) {
		l.missing = p
	}
}

// begin makes a ledger that stands at the log's first record, if none is being loaded. A log that does not exist, or
// that begins with a whole page of records that cannot be read, gets a first record of ours: a new epoch, under which
// everything older is gone. Of those who do so at once, knowing the same, one begins the log.
func (s *Store) startRebuild(ctx context.Context, via access) error {
	if s.log.rebuilding != nil {
		return nil
	}
	if found, err := s.rebuildFromFirst(ctx, via); found || err != nil {
		return err
	}
	first := logTarget{id: after(s.log.missing)} // Redis takes it if there is no log
	if _, err := s.writeRecord(ctx, via, s.newEpoch(), first); err != nil && !idTaken(err) {
		return err
	}
	// Whoever has begun the log may have purged since.
	if found, err := s.rebuildFromFirst(ctx, via); found || err != nil {
		return err
	}
	r := s.newEpoch()
	m, err := s.writeRecord(ctx, via, r, anyLog)
	if err == nil {
		s.log.startRebuildAt(r.At.Epoch, m)
	}
	return err
}

// beginEpoch adds the first record of a new epoch to a log that is being loaded, after all that is missing.
func (s *Store) appendEpoch(ctx context.Context, via access) error {
	at := anyLog
	if earlier(s.log.rebuilding.Head(), s.log.missing) { // the log's clock is behind
		at = logTarget{id: after(s.log.missing)}
	}
	_, err := s.writeRecord(ctx, via, s.newEpoch(), at)
	if idTaken(err) { // somebody was faster: see what it is
		return nil
	}
	if err == nil {
		s.log.loss = errRecordsLost
	}
	return err
}

// newEpoch is the first record of an epoch. Its number is random, so that no two that are begun at once are the same, and
// higher than any that is known: what carries a lower one was written by somebody who did not know of the higher.
func (s *Store) newEpoch() store.Record {
	known := s.log.current.Head().Epoch
	if s.log.rebuilding != nil {
		known = max(known, s.log.rebuilding.Head().Epoch)
	}
	if known == 0 {
		return store.Record{At: store.Position{Epoch: 1 + rand.Uint64N(1<<62)}}
	}
	return store.Record{At: store.Position{Epoch: known + 1 + rand.Uint64N(1<<40)}}
}

// loadFirst makes a ledger that stands at the first record that can be read. What cannot be read before it does not
// matter: what was made before the first one is gone anyway.
func (s *Store) rebuildFromFirst(ctx context.Context, via access) (found bool, err error) {
	messages, err := s.readPage(ctx, via, "-")
	if err != nil {
		return false, err
	}
	for _, m := range messages {
		if r, err := s.codec.DecodeRecord([]byte(m.text)); err == nil {
			s.log.startRebuildAt(r.At.Epoch, m)
			return true, nil
		}
	}
	return false, nil
}

func (l *purgeLog) startRebuildAt(epoch uint64, m message) {
	l.rebuilding = &view{store.NewLedger(), m}
	l.rebuilding.Restart(position(epoch, m.id))
}

// replay applies the log's records after the last one that was read, and notes what is missing. It returns false when that
// one is not in the log.
func (s *Store) replayInto(ctx context.Context, via access, v *view) (bool, error) {
	for {
		messages, err := s.readPage(ctx, via, v.last.id)
		if err != nil {
			return false, err
		}
		if len(messages) == 0 || messages[0] != v.last {
			s.log.noteMissing(v.Head())
			return false, nil
		}
		s.log.checkChain(messages)
		for _, m := range messages[1:] {
			s.apply(v, m)
		}
		if len(messages) == pageSize {
			continue
		}
		if s.log.unconfirmed.id != "" { // Redis has acknowledged it, and has it no longer
			s.log.noteMissing(position(0, s.log.unconfirmed.id))
			s.log.unconfirmed = message{}
		}
		return true, nil
	}
}

// checkChain notes records that a page should have: those that the writers of others had read. They may stand before the
// page; then those who read the log before them have checked that.
func (l *purgeLog) checkChain(messages []message) {
	first := position(0, messages[0].id)
	for i, m := range messages {
		if m == l.unconfirmed {
			l.unconfirmed = message{}
		}
		id := m.predecessor()
		previous := position(0, id)
		if !earlier(first, previous) || !earlier(previous, position(0, m.id)) {
			continue
		}
		for i--; i > 0 && messages[i].id != id; i-- { // it is one of the last few
		}
		if i == 0 {
			l.noteMissing(previous)
		}
	}
}

// take applies one record to the ledger. A higher epoch is a new one. A lower one is that of somebody who had not heard of
// the ledger's when he wrote: his purge is one like any other, and where he began an epoch, all that was made before is gone.
func (s *Store) apply(v *view, m message) {
	r, head := s.decodeRecord(m, v.Head().Epoch), v.Head()
	if r.At.Epoch > head.Epoch {
		v.Restart(r.At)
		if v == &s.log.current {
			s.log.pending.applyTo(v.Ledger)
		}
	} else {
		r.All = r.All || r.At.Epoch < head.Epoch && len(r.Labels) == 0
		r.At.Epoch = head.Epoch
		v.Apply(r)
	}
	v.last = m
}

// record decodes a message. One that cannot be read, being forged or of another version, might have purged anything:
// it purges everything.
func (s *Store) decodeRecord(m message, epoch uint64) store.Record {
	r, err := s.codec.DecodeRecord([]byte(m.text))
	if err != nil {
		r = store.Record{At: store.Position{Epoch: epoch}, All: true}
	}
	r.At = position(r.At.Epoch, m.id)
	return r
}

// messages reads a page of the log.
func (s *Store) readPage(ctx context.Context, via access, from string) ([]message, error) {
	var cmd *redis.XMessageSliceCmd
	err := s.roundTrip(ctx, nil, via.read, func() error {
		cmd = s.client.XRangeN(ctx, s.log.name, from, "+", pageSize)
		return firstError(cmd)
	})
	if err != nil {
		return nil, fmt.Errorf("the purge log: %w", err)
	}
	messages := make([]message, len(cmd.Val()))
	for i, m := range cmd.Val() {
		messages[i] = messageOf(m)
	}
	return messages, nil
}
