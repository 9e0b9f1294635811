package redisstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store"
)

// Catching up means reading the log's new records into the ledger. It has to notice when the log is not what it was.
//
// Trimming. The log was cut to its last records while this process did not look:
//
//	this process knows the records up to 3
//	the log is trimmed: 7 8 9
//	XRANGE 3 + → begins with 7, not with 3: records may have been missed
//	the log is read again from its first record: floor 7; entries stamped before 7 count as purged, later ones are judged
//
// Lost records. Redis may lose the newest records and live on: it restarts from an older snapshot, a replica takes over that
// had not received them, somebody deletes one.
//
//	A   Purge → XADD → record 6, acknowledged; the replica has not received it
//	    the replica takes over: its log ends with 5
//	B   knew 6; XRANGE 6 + → record 6 is not there: a loss, and the purge is in no log any more
//	B   reads the log from its first record to its last, 5, and adds the first record of a new epoch, after 6
//	all find the new epoch; every entry from before it counts as purged, those of record 6 among them
//
// The new epoch's record stands after every position that its writer has missed. That is why this comes to an end:
//
//	C   knew 6, too: finds the new epoch's record after 6, so its floor is above 6: nothing to do
//	D   even knew the old record 7: misses it, and begins one more epoch
//
// If the floor is above what is missing, nothing is done: then the log was merely trimmed, or another process was faster.

// CatchUp brings the ledger up to the purge log's head, with one round trip if nothing is new. When it returns nil, the ledger
// has every purge that was acknowledged before the call. While the circuit is open the error wraps [ErrOpen].
func (s *Store) CatchUp(ctx context.Context) error { return s.catchUpVia(ctx, s.viaBreaker()) }

// catchUpVia is CatchUp with an access: the near follower's attempts do not count for the breaker.
func (s *Store) catchUpVia(ctx context.Context, via access) error {
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	var head *redis.XMessageSliceCmd
	err := s.roundTrip(ctx, nil, via.read, func() error {
		head = redis.NewXMessageSliceCmd(ctx, s.log.headCommand...)
		_ = s.client.Process(ctx, head) // not as a pipeline: if a connection cannot be dialled, go-redis dials twice for one
		err := firstError(head)
		if err == nil {
			s.log.extend(ctx, s.client)
		}
		return err
	})
	if err == nil {
		err = s.catchUpTo(ctx, via, head)
	}
	return wrap(err)
}

// catchUpForRequest brings the ledger up to the head that a request has read.
func (s *Store) catchUpForRequest(ctx context.Context, head *redis.XMessageSliceCmd) error {
	return s.catchUpTo(ctx, s.viaBreaker(), head)
}

// catchUpTo brings the ledger up to the head that was read. Nearly always the ledger is there already, and this is one
// comparison without a lock.
func (s *Store) catchUpTo(ctx context.Context, via access, cmd *redis.XMessageSliceCmd) error {
	if err := cmd.Err(); err != nil {
		return fmt.Errorf("the purge log: %w", err)
	}
	var head message
	if records := cmd.Val(); len(records) > 0 {
		head = messageOf(records[0])
	}
	before, known := s.log.catchUps.Load(), head.id != "" && s.log.isHead(head)
	if known && !s.log.pending.any.Load() {
		return nil
	}
	if known { // Redis responds: a good moment to write what is pending
		s.tryFlushPending(ctx, via)
		return nil
	}
	if err := s.log.lock(ctx); err != nil {
		return err
	}
	defer s.unlockLog()
	// The lock may have been held by others who caught up. One of them may have read the log before our head was written,
	// but the second one since began after that: then the ledger has everything that we must know.
	if !s.log.isHead(head) && s.log.catchUps.Load() < before+2 {
		if err := s.replayLog(ctx, via); err != nil {
			return err
		}
	}
	_ = s.flushPending(ctx, via) // a failure does not concern this request: pending purges hold in this process anyway
	return nil
}

// isHead reports whether the ledger has been brought up to this very record.
func (l *purgeLog) isHead(m message) bool {
	head := l.head.Load()
	return head != nil && *head == m
}

// replayLog reads what the log has after the last known record. If that record is gone or has changed, it reads the
// whole log into a second ledger, which replaces the first one when it is complete. The caller has the log's lock.
//
//	the usual case        XRANGE from the last known record on; apply what follows; done
//	the record is gone    note it as missing; read the log from its first record; the floor is above it: done
//	                      the floor is not above it: a loss; begin a new epoch, and read on
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
	for range 4 { // the log may be lost, or grow, while it is read
		if err := s.startRebuild(ctx, via); err != nil {
			return err
		}
		found, err := s.replayInto(ctx, via, l.rebuilding)
		switch {
		case err != nil:
			return err // the second ledger stays: the next caller goes on from here
		case !found: // the log was lost again
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

// startRebuild makes a second ledger that stands at the log's first record, unless there is one from the last attempt.
// If there is no log, or it begins with a whole page of unreadable records, a new epoch begins.
//
// Several processes may find that there is no log:
//
//	A: XADD 0-1 (epoch E) → written         B: XADD 0-1 (epoch F) → "equal or smaller": A was faster
//	A: purges → record 2                    B: reads the first record: epoch E, and then record 2
//
// Both use the same id, the first after what is missing, so that Redis accepts only one of them.
func (s *Store) startRebuild(ctx context.Context, via access) error {
	if s.log.rebuilding != nil {
		return nil
	}
	if found, err := s.rebuildFromFirst(ctx, via); found || err != nil {
		return err
	}
	first := logTarget{id: after(s.log.missing)}
	if _, err := s.writeRecord(ctx, via, s.newEpoch(), first); err != nil && !idTaken(err) {
		return err
	}
	// Read the first record back. It may be another process', which may have purged since.
	if found, err := s.rebuildFromFirst(ctx, via); found || err != nil {
		return err
	}
	// A page of unreadable records stands before ours. Begin after them.
	r := s.newEpoch()
	m, err := s.writeRecord(ctx, via, r, anyLog)
	if err == nil {
		s.log.startRebuildAt(r.At.Epoch, m)
	}
	return err
}

// rebuildFromFirst makes a second ledger that stands at the first readable record. Unreadable ones before it do not matter:
// what is older than the first record counts as purged anyway.
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

// startRebuildAt makes a second ledger that stands at the record m.
func (l *purgeLog) startRebuildAt(epoch uint64, m message) {
	l.rebuilding = &view{store.NewLedger(), m}
	l.rebuilding.Restart(position(epoch, m.id))
}

// appendEpoch adds the first record of a new epoch to the log that was read into the second ledger, after everything that is
// missing.
func (s *Store) appendEpoch(ctx context.Context, via access) error {
	at := anyLog
	if earlier(s.log.rebuilding.Head(), s.log.missing) { // the clock of this Redis may be behind that of the lost one
		at = logTarget{id: after(s.log.missing)}
	}
	_, err := s.writeRecord(ctx, via, s.newEpoch(), at)
	if idTaken(err) { // another process was faster: replayLog reads what it wrote
		return nil
	}
	if err == nil {
		s.log.loss = errRecordsLost
	}
	return err
}

// newEpoch returns the first record of an epoch. Its number is random, so that no two processes begin the same one, and
// higher than any known one: a record with a lower number was written by a process that did not know of the higher.
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

// finishRebuild replaces the first ledger by the second, in one step, so that no request finds one with half of the
// purges. Pending purges are in no log, so they are applied again.
func (l *purgeLog) finishRebuild() {
	if epoch := l.current.Head().Epoch; epoch != 0 && epoch != l.rebuilding.Head().Epoch {
		l.loss = errRecordsLost
	}
	l.current.Replace(l.rebuilding.Ledger)
	l.current.last, l.rebuilding, l.missing = l.rebuilding.last, nil, store.Position{}
	l.pending.applyTo(l.ledger)
	l.caughtUp()
}

// caughtUp records that the ledger has everything up to the last record that was read. The caller has the log's lock.
func (l *purgeLog) caughtUp() {
	last := l.current.last
	l.head.Store(&last)
	l.catchUps.Add(1)
}

// pageSize is how many records one round trip reads.
const pageSize = 1000

// errRecordsLost is the fault that listeners get.
var errRecordsLost = fmt.Errorf("redisstore: %w", store.ErrRecordsLost)

// messageOf decodes a stream entry. One that is not ours has no text, and so cannot be decoded as a record.
func messageOf(m redis.XMessage) message {
	text, _ := m.Values[recordField].(string)
	chain, _ := m.Values[chainField].(string)
	return message{m.ID, text, chain}
}

// replayInto applies the records after the last one of the view. It returns false if that last one is no longer in the
// log. It reads from the last known record on, not from the one after it, to see that it is still there.
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
		// Everything was read. If the record that this process wrote was not among it, Redis has lost it.
		if s.log.unconfirmed.id != "" {
			s.log.noteMissing(position(0, s.log.unconfirmed.id))
			s.log.unconfirmed = message{}
		}
		return true, nil
	}
}

// checkChain notes records that this page should have, because the writers of later records had read them. Records before
// the page were checked by whoever has read the log up to there.
func (l *purgeLog) checkChain(messages []message) {
	first := position(0, messages[0].id)
	for i, m := range messages {
		if m == l.unconfirmed {
			l.unconfirmed = message{}
		}
		id := m.predecessor()
		previous := position(0, id)
		if !earlier(first, previous) || !earlier(previous, position(0, m.id)) {
			continue // before this page, or no chain
		}
		for i--; i > 0 && messages[i].id != id; i-- { // nearly always it is the one just before
		}
		if i == 0 {
			l.noteMissing(previous)
		}
	}
}

// noteMissing notes the highest position at which the log should have a record.
func (l *purgeLog) noteMissing(p store.Position) {
	if earlier(l.missing, p) {
		l.missing = p
	}
}

// apply applies one record to the view. A record with a higher epoch begins that epoch. One with a lower epoch was
// written by a process that did not know of the current one yet: its purge counts, and if it was to begin an epoch, it
// purges everything.
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

// decodeRecord decodes a message. One that cannot be decoded is forged or of another version. It might have purged anything,
// so it purges everything.
func (s *Store) decodeRecord(m message, epoch uint64) store.Record {
	r, err := s.codec.DecodeRecord([]byte(m.text))
	if err != nil {
		r = store.Record{At: store.Position{Epoch: epoch}, All: true}
	}
	r.At = position(r.At.Epoch, m.id)
	return r
}

// readPage reads one page of the log, beginning with the id.
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

// lastRead returns the last record that this process has read.
func (l *purgeLog) lastRead() message {
	if l.rebuilding != nil {
		return l.rebuilding.last
	}
	return l.current.last
}

// position returns the place in the log that a stream entry's id, "time-seq", stands for.
func position(epoch uint64, id string) store.Position {
	time, seq, _ := strings.Cut(id, "-")
	p := store.Position{Epoch: epoch}
	p.Time, _ = strconv.ParseUint(time, 10, 64)
	p.Seq, _ = strconv.ParseUint(seq, 10, 64)
	return p
}

// earlier compares places in the log, regardless of their epochs.
func earlier(p, q store.Position) bool {
	p.Epoch = q.Epoch
	return p.Before(q)
}

// after returns the id that follows the place.
func after(p store.Position) string {
	if p.Seq++; p.Seq == 0 {
		p.Time++
	}
	return fmt.Sprintf("%d-%d", p.Time, p.Seq)
}
