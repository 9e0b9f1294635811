package redisstore

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store"
)

// page is how many records are read at once.
const page = 1000

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
func (s *Store) catchUp(ctx context.Context, w way) error {
	t := s.log
	if t.loading == nil && t.known.Head() != (store.Position{}) {
		found, err := s.replay(ctx, w, &t.known)
		if err != nil {
			return err
		}
		if found && t.missing == (store.Position{}) {
			t.caughtUp()
			return nil
		}
	}
	for range 4 { // the log may be lost, or added to, while it is read
		if err := s.begin(ctx, w); err != nil {
			return err
		}
		found, err := s.replay(ctx, w, t.loading)
		switch {
		case err != nil:
			return err // the next turn goes on from here
		case !found:
			t.loading = nil
		case earlier(t.missing, t.loading.Floor()):
			t.replace()
			return nil
		default:
			if err := s.beginEpoch(ctx, w); err != nil {
				return err
			}
		}
	}
	return errLost
}

// replace puts the ledger that was loaded in the other's place.
func (t *tail) replace() {
	if epoch := t.known.Head().Epoch; epoch != 0 && epoch != t.loading.Head().Epoch {
		t.news = errRecordsLost
	}
	t.known.Replace(t.loading.Ledger)
	t.known.last, t.loading, t.missing = t.loading.last, nil, store.Position{}
	t.owed.applyTo(t.ledger)
	t.caughtUp()
}

// miss notes that the log should have a record there.
func (t *tail) miss(p store.Position) {
	if earlier(t.missing, p) {
		t.missing = p
	}
}

// begin makes a ledger that stands at the log's first record, if none is being loaded. A log that does not exist, or
// that begins with a whole page of records that cannot be read, gets a first record of ours: a new epoch, under which
// everything older is gone. Of those who do so at once, knowing the same, one begins the log.
func (s *Store) begin(ctx context.Context, w way) error {
	if s.log.loading != nil {
		return nil
	}
	if found, err := s.loadFirst(ctx, w); found || err != nil {
		return err
	}
	first := place{id: after(s.log.missing)} // Redis takes it if there is no log
	if _, err := s.write(ctx, w, s.newEpoch(), first); err != nil && !taken(err) {
		return err
	}
	// Whoever has begun the log may have purged since.
	if found, err := s.loadFirst(ctx, w); found || err != nil {
		return err
	}
	r := s.newEpoch()
	m, err := s.write(ctx, w, r, next)
	if err == nil {
		s.log.load(r.At.Epoch, m)
	}
	return err
}

// beginEpoch adds the first record of a new epoch to a log that is being loaded, after all that is missing.
func (s *Store) beginEpoch(ctx context.Context, w way) error {
	at := next
	if earlier(s.log.loading.Head(), s.log.missing) { // the log's clock is behind
		at = place{id: after(s.log.missing)}
	}
	_, err := s.write(ctx, w, s.newEpoch(), at)
	if taken(err) { // somebody was faster: see what it is
		return nil
	}
	if err == nil {
		s.log.news = errRecordsLost
	}
	return err
}

// newEpoch is the first record of an epoch. Its number is random, so that no two that are begun at once are the same, and
// higher than any that is known: what carries a lower one was written by somebody who did not know of the higher.
func (s *Store) newEpoch() store.Record {
	known := s.log.known.Head().Epoch
	if s.log.loading != nil {
		known = max(known, s.log.loading.Head().Epoch)
	}
	if known == 0 {
		return store.Record{At: store.Position{Epoch: 1 + rand.Uint64N(1<<62)}}
	}
	return store.Record{At: store.Position{Epoch: known + 1 + rand.Uint64N(1<<40)}}
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
			s.log.load(r.At.Epoch, m)
			return true, nil
		}
	}
	return false, nil
}

func (t *tail) load(epoch uint64, m message) {
	t.loading = &view{store.NewLedger(), m}
	t.loading.Restart(position(epoch, m.id))
}

// replay applies the log's records after the last one that was read, and notes what is missing. It returns false when that
// one is not in the log.
func (s *Store) replay(ctx context.Context, w way, v *view) (bool, error) {
	for {
		messages, err := s.messages(ctx, w, v.last.id)
		if err != nil {
			return false, err
		}
		if len(messages) == 0 || messages[0] != v.last {
			s.log.miss(v.Head())
			return false, nil
		}
		s.log.checkChain(messages)
		for _, m := range messages[1:] {
			s.take(v, m)
		}
		if len(messages) == page {
			continue
		}
		if s.log.wrote.id != "" { // Redis has acknowledged it, and has it no longer
			s.log.miss(position(0, s.log.wrote.id))
			s.log.wrote = message{}
		}
		return true, nil
	}
}

// checkChain notes records that a page should have: those that the writers of others had read. They may stand before the
// page; then those who read the log before them have checked that.
func (t *tail) checkChain(messages []message) {
	first := position(0, messages[0].id)
	for i, m := range messages {
		if m == t.wrote {
			t.wrote = message{}
		}
		id := m.previous()
		previous := position(0, id)
		if !earlier(first, previous) || !earlier(previous, position(0, m.id)) {
			continue
		}
		for i--; i > 0 && messages[i].id != id; i-- { // it is one of the last few
		}
		if i == 0 {
			t.miss(previous)
		}
	}
}

// take applies one record to the ledger. A higher epoch is a new one. A lower one is that of somebody who had not heard of
// the ledger's when he wrote: his purge is one like any other, and where he began an epoch, all that was made before is gone.
func (s *Store) take(v *view, m message) {
	r, head := s.record(m, v.Head().Epoch), v.Head()
	if r.At.Epoch > head.Epoch {
		v.Restart(r.At)
		if v == &s.log.known {
			s.log.owed.applyTo(v.Ledger)
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
	err := s.ask(ctx, nil, w.read, func() error {
		cmd = s.client.XRangeN(ctx, s.log.name, from, "+", page)
		return lost(cmd)
	})
	if err != nil {
		return nil, fmt.Errorf("the purge log: %w", err)
	}
	messages := make([]message, len(cmd.Val()))
	for i, m := range cmd.Val() {
		messages[i] = read(m)
	}
	return messages, nil
}
