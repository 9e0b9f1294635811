package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store"
)

// The purge log is a Redis stream. Each purge is a record: the labels that it names. Every process replays the log into
// a ledger in its memory, which says whether an entry was purged. An entry carries the position of the log from
// before its handler ran, so a purge beats every response that was begun before it:
//
//	request on A                      Purge("product:7") on B
//	log's head is 5: entry.At = 5
//	the handler reads product 7
//	                                  the app changes product 7
//	                                  XADD → record 6; Purge returns
//	SET entry (At = 5)
//	anybody: reads the entry, then head 6; catches up; record 6 names its label, and 5 < 6: a miss
//
// No clock and no index of keys is involved, and a purge costs the same however many entries it hits.
//
// The log has an epoch, a random number in each record. Positions of different epochs cannot be compared: an entry of another
// epoch counts as purged. A new epoch begins with a new log, and when records were lost (see catchup.go).

// The log is bounded in length and in time. If records were trimmed that a process had not read, entries older
// than the log's first record count as purged for it.
const (
	logLength = 100_000             // records; Redis trims whole blocks of them, so there may be some more
	logTTL    = 30 * 24 * time.Hour // after the last purge or read
)

// The fields of a stream entry: the record, and what lets others notice lost records (see message).
const (
	recordField = "r"
	chainField  = "a"
)

const extendEvery = 24 * time.Hour // how often reads renew the log's time to live

// errLogLost means that the log vanished while it was in use. The next operation begins a new one.
var errLogLost = errors.New("the purge log was lost while it was used")

// purgeLog is one log, as this process sees it.
type purgeLog struct {
	name        string        // of the stream
	headCommand []any         // reads the log's head; made once, since go-redis does not change it
	ledger      *store.Ledger // what requests check

	held        chan struct{}  // the log's lock, full while it is held; it guards the fields down to loss
	current     view           // of ledger
	rebuilding  *view          // a second ledger, while the whole log is read; it may take several callers to complete it
	missing     store.Position // the highest position without the record that should be there; its epoch means nothing
	unconfirmed message        // what this process wrote last, until it has been read back
	loss        error          // to be reported when the lock is released

	head     atomic.Pointer[message] // the last record that ledger has; requests compare it without the lock
	catchUps atomic.Uint64           // how often ledger was brought up to the head
	pending  pendingPurges           // what could not be written yet
	extended atomic.Int64            // when the time to live was last renewed, in Unix seconds
}

// newPurgeLog returns the log of that name, nothing of which has been read yet.
func newPurgeLog(name string) *purgeLog {
	l := &purgeLog{name: name, headCommand: []any{"xrevrange", name, "+", "-", "count", 1}, ledger: store.NewLedger(), held: make(chan struct{}, 1)}
	l.current.Ledger = l.ledger
	return l
}

// lock waits for the log. It takes a free one even if ctx has ended. It is a channel, not a mutex, so that a waiter can
// give up: no request waits behind one that hangs.
func (l *purgeLog) lock(ctx context.Context) error {
	select {
	case l.held <- struct{}{}:
		return nil
	default:
	}
	select {
	case l.held <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the purge log: %w", ctx.Err())
	}
}

// unlockLog releases the log, and then reports a loss that was found under the lock: a listener may need the lock itself.
func (s *Store) unlockLog() {
	loss := s.log.loss
	s.log.loss = nil
	<-s.log.held
	if loss != nil {
		s.faultEvents.notify("", loss)
	}
}

// Ledger returns this process' view of the purge log. Whenever Get, Lease or CatchUp returns no error, it has brought
// the ledger up to the head that the log had during the call.
func (s *Store) Ledger() *store.Ledger { return s.log.ledger }

// Append writes the record to the log and applies it here. A record with more than store.MaxLabels labels is written as
// several. When Append returns nil, every later read by any process sees the purge.
//
// It calls Redis even if the circuit is open, because its caller wants to know the outcome. It is bound by ctx and by the
// client's time-outs. But it does not queue behind another purge that waits for an unresponsive Redis: a hundred
// purges fail together, and not one after the other.
//
// After an error the purge holds in this process, and is pending: other processes see it when Redis responds again, provided
// that this process still lives (see pending.go).
func (s *Store) Append(ctx context.Context, r store.Record) error {
	return s.appendOrQueue(ctx, s.evenIfOpen(), r, s.anyOpen)
}

// Post is Append for a request. If the circuit is open it returns [ErrOpen] at once, and the purge is pending. One request
// at a time probes Redis.
func (s *Store) Post(ctx context.Context, r store.Record) error {
	if s.anyOpen() {
		s.addPending(r)
		return wrap(ErrOpen)
	}
	return s.appendOrQueue(ctx, s.viaBreaker(), r, s.CircuitOpen)
}

// appendOrQueue writes pending purges first, so that a purge returns nil only if all earlier ones of this process are
// in the log, too.
func (s *Store) appendOrQueue(ctx context.Context, via access, r store.Record, away func() bool) error {
	err := s.lockToAppend(ctx, away)
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

// lockToAppend waits for the log's lock as long as those before it make progress: it gives up if nobody has caught up
// during one budget. While Redis is known to be away it does not wait at all.
//
//	purge 1     has the lock, and waits for a Redis that hangs
//	purges 2…   wait for the lock; after one budget nobody has caught up: they all give up, and are pending
//
//	purge 1     has the lock, and Redis is slow but responds
//	purges 2…   after one budget somebody has caught up: they wait on
func (s *Store) lockToAppend(ctx context.Context, away func() bool) error {
	for {
		wait, before := s.budget, s.log.catchUps.Load()
		if away() {
			wait = 0
		}
		bound, cancel := context.WithTimeout(ctx, wait)
		err := s.log.lock(bound)
		cancel()
		if err == nil || ctx.Err() != nil || s.log.catchUps.Load() == before {
			return err
		}
	}
}

// appendAll writes the record in as many pieces as it takes. The caller has the log's lock.
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

// appendRecord writes one record, under the log's current epoch. So it catches up first. The log may be lost between the
// two steps:
//
//	this process   catches up: epoch E, head 5
//	Redis          loses the log (FLUSHALL, an empty replica takes over)
//	this process   XADD NOMKSTREAM → nothing: there is no log
//	this process   catches up: begins a new log with epoch F; entries of epoch E count as purged
//	this process   XADD NOMKSTREAM → written, under epoch F
//
// Without NOMKSTREAM the record itself would begin a new log with the old epoch E, and entries whose purges were lost with
// the old log would be served again.
func (s *Store) appendRecord(ctx context.Context, via access, r store.Record) error {
	for range 2 {
		if err := s.replayLog(ctx, via); err != nil {
			return err
		}
		r.At = s.log.ledger.Head()
		m, err := s.writeRecord(ctx, via, r, existingLog)
		if errors.Is(err, redis.Nil) { // there is no log any more: catch up, which begins one
			continue
		}
		if err != nil {
			return err
		}
		// Redis may acknowledge a record and lose it at once. So it counts as missing until it has been read back.
		s.log.unconfirmed = m
		if s.replayLog(ctx, via) != nil {
			s.log.ledger.ApplyHere(r) // it is in the log, and the next process or request to catch up reads it
		}
		return nil
	}
	return errLogLost
}

// logTarget says where XADD puts a record.
type logTarget struct {
	id       string // "*" for the next free one
	existing bool   // not if it would begin a new stream
}

var (
	anyLog      = logTarget{id: "*"}                 // begins a log if there is none
	existingLog = logTarget{id: "*", existing: true} // for purges: see appendRecord
)

// writeRecord adds a record and returns it as it is in the log. Only the id that Redis returns is an acknowledgement.
func (s *Store) writeRecord(ctx context.Context, via access, r store.Record, at logTarget) (message, error) {
	b, err := s.codec.EncodeRecord(r)
	if err != nil {
		return message{}, err
	}
	chain := s.log.lastRead().nextChain()
	var add *redis.StringCmd
	err = s.roundTrip(ctx, nil, via.write, func() error {
		pipe := s.client.Pipeline()
		add = pipe.XAdd(ctx, &redis.XAddArgs{
			Stream: s.log.name, ID: at.id, NoMkStream: at.existing, MaxLen: logLength, Approx: true, Values: []any{recordField, b, chainField, chain},
		})
		expire := pipe.PExpire(ctx, s.log.name, logTTL)
		exec(ctx, pipe)
		if idTaken(add.Err()) || at.existing && noStream(add, expire) {
			return nil // Redis is well: these are replies, which the caller handles
		}
		if add.Err() == nil && add.Val() == "" {
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
	return message{add.Val(), string(b), chain}, nil
}

// idTaken reports whether the log has a record of this id, or a later one.
func idTaken(err error) bool {
	return errors.As(err, new(redis.Error)) && strings.Contains(err.Error(), "equal or smaller")
}

// noStream reports whether Redis has replied that there is no log. PEXPIRE never replies with redis.Nil: if both
// commands look as if Redis had said "nothing", that is a connection error.
func noStream(add *redis.StringCmd, expire *redis.BoolCmd) bool {
	return errors.Is(add.Err(), redis.Nil) && !errors.Is(expire.Err(), redis.Nil)
}

// extend gives the log another thirty days, in the pipeline of some other command, once a day.
func (l *purgeLog) extend(ctx context.Context, client redis.Cmdable) {
	now, last := time.Now().Unix(), l.extended.Load()
	if now-last >= int64(extendEvery/time.Second) && l.extended.CompareAndSwap(last, now) {
		client.PExpire(ctx, l.name, logTTL)
	}
}

// view is a ledger, and the last record that was replayed into it, as it was in the log.
type view struct {
	*store.Ledger
	last message
}

// message is a stream entry as it is in the log. The id alone does not identify it: a log that lost a record and
// whose clock is behind may assign the id again, to a purge of the same labels. The chain tells them apart: it names
// the record that the writer had read last, followed by a random number.
//
//	the log before  5   6 (chain "5 k2j")   7 (chain "6 p9x")
//	the log now     5                       7 (chain "6 p9x")   record 6 was deleted: 7 says that its writer had read it
//	or              5   6 (chain "5 w4m")                       another record 6: whoever knew "5 k2j" notices
type message struct{ id, text, chain string }

// nextChain returns the chain of a record whose writer has read m last.
func (m message) nextChain() string { return m.id + " " + strconv.FormatUint(rand.Uint64(), 36) }

// predecessor returns the id of the record that the writer of m had read last, or "" if m has no chain.
func (m message) predecessor() string {
	id, _, _ := strings.Cut(m.chain, " ")
	return id
}
