package redisstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store"
)

// The fields of a stream record. What stands beside the record itself is for those who check that none is missing.
const (
	recordField = "r"
	chainField  = "a"

	extendEvery = 24 * time.Hour
)

// tail follows one purge log.
type purgeLog struct {
	name        string
	headCommand []any // the command that reads the log's head; go-redis does not write to it
	ledger      *store.Ledger

	held        chan struct{}  // held by the one goroutine that reads or writes the log; it guards what follows
	current     view           // of ledger
	rebuilding  *view          // a log that is being read anew, over several turns if need be
	missing     store.Position // the last record that the log should have and has not: see catchUp; its epoch means nothing
	unconfirmed message        // by this process, and not read back yet
	loss        error          // a loss, to be told when the turn ends

	catchUps atomic.Uint64           // how often the ledger was brought up to the head
	head     atomic.Pointer[message] // the head it was brought up to
	pending  pendingPurges
	extended atomic.Int64 // when the log's life was last prolonged, in Unix seconds
}

// view is a ledger, and the record at its head as it stood in the log.
type view struct {
	*store.Ledger
	last message
}

// message is a stream record as it stands in the log. The log may give an id twice, when it lost a record and its clock
// was behind, and two purges may be of the same labels; the chain has a random number, so that no two messages are the same.
type message struct{ id, text, chain string }

// link is the chain of the record that is written by whoever has read m last: the id of m, and the number.
func (m message) nextChain() string { return m.id + " " + strconv.FormatUint(rand.Uint64(), 36) }

// previous is the id of the record that the writer of m had read last; "" if m does not tell.
func (m message) predecessor() string {
	id, _, _ := strings.Cut(m.chain, " ")
	return id
}

func newPurgeLog(name string) *purgeLog {
	l := &purgeLog{name: name, headCommand: []any{"xrevrange", name, "+", "-", "count", 1}, ledger: store.NewLedger(), held: make(chan struct{}, 1)}
	l.current.Ledger = l.ledger
	return l
}

// lock waits for the turn, and takes one that is free even if the context has ended. It is a channel and no mutex:
// whoever waits can give up.
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

// endTurn gives the turn back, and then tells of a loss that was met in it: whoever is told may want the turn.
func (s *Store) unlockLog() {
	news := s.log.loss
	s.log.loss = nil
	<-s.log.held
	if news != nil {
		s.faultEvents.notify("", news)
	}
}

// touch prolongs the log's life along with a read, once a day.
func (l *purgeLog) extend(ctx context.Context, client redis.Cmdable) {
	now, last := time.Now().Unix(), l.extended.Load()
	if now-last >= int64(extendEvery/time.Second) && l.extended.CompareAndSwap(last, now) {
		client.PExpire(ctx, l.name, logTTL)
	}
}

func (l *purgeLog) isHead(m message) bool {
	seen := l.head.Load()
	return seen != nil && *seen == m
}

// lastRead is the last record that was read, by whichever view.
func (l *purgeLog) lastRead() message {
	if l.rebuilding != nil {
		return l.rebuilding.last
	}
	return l.current.last
}

// caughtUp says that the ledger knows all that was read. The caller has the turn.
func (l *purgeLog) caughtUp() {
	last := l.current.last
	l.head.Store(&last)
	l.catchUps.Add(1)
}

// read takes a stream record apart. What is not ours has no text, and so cannot be decoded.
func messageOf(m redis.XMessage) message {
	text, _ := m.Values[recordField].(string)
	chain, _ := m.Values[chainField].(string)
	return message{m.ID, text, chain}
}

// position returns the place that a stream's id, "time-seq", names.
func position(epoch uint64, id string) store.Position {
	time, seq, _ := strings.Cut(id, "-")
	p := store.Position{Epoch: epoch}
	p.Time, _ = strconv.ParseUint(time, 10, 64)
	p.Seq, _ = strconv.ParseUint(seq, 10, 64)
	return p
}

// earlier compares places in the log, whatever their epochs.
func earlier(p, q store.Position) bool {
	p.Epoch = q.Epoch
	return p.Before(q)
}

// after is the id that follows the place.
func after(p store.Position) string {
	if p.Seq++; p.Seq == 0 {
		p.Time++
	}
	return fmt.Sprintf("%d-%d", p.Time, p.Seq)
}
