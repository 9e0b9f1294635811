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
	field      = "r"
	chainField = "a"

	touchEvery = 24 * time.Hour
)

// tail follows one purge log.
type tail struct {
	name    string
	askHead []any // the command that reads the log's head; go-redis does not write to it
	ledger  *store.Ledger

	turn    chan struct{}  // held by the one goroutine that reads or writes the log; it guards what follows
	known   view           // of ledger
	loading *view          // a log that is being read anew, over several turns if need be
	missing store.Position // the last record that the log should have and has not: see catchUp; its epoch means nothing
	wrote   message        // by this process, and not read back yet
	news    error          // a loss, to be told when the turn ends

	done    atomic.Uint64           // how often the ledger was brought up to the head
	seen    atomic.Pointer[message] // the head it was brought up to
	owed    owed
	touched atomic.Int64 // when the log's life was last prolonged, in Unix seconds
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
func (m message) link() string { return m.id + " " + strconv.FormatUint(rand.Uint64(), 36) }

// previous is the id of the record that the writer of m had read last; "" if m does not tell.
func (m message) previous() string {
	id, _, _ := strings.Cut(m.chain, " ")
	return id
}

func newTail(name string) *tail {
	t := &tail{name: name, askHead: []any{"xrevrange", name, "+", "-", "count", 1}, ledger: store.NewLedger(), turn: make(chan struct{}, 1)}
	t.known.Ledger = t.ledger
	return t
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

// endTurn gives the turn back, and then tells of a loss that was met in it: whoever is told may want the turn.
func (s *Store) endTurn() {
	news := s.log.news
	s.log.news = nil
	<-s.log.turn
	if news != nil {
		s.faults.tell("", news)
	}
}

// touch prolongs the log's life along with a read, once a day.
func (t *tail) touch(ctx context.Context, client redis.Cmdable) {
	now, last := time.Now().Unix(), t.touched.Load()
	if now-last >= int64(touchEvery/time.Second) && t.touched.CompareAndSwap(last, now) {
		client.PExpire(ctx, t.name, logKeep)
	}
}

func (t *tail) knows(m message) bool {
	seen := t.seen.Load()
	return seen != nil && *seen == m
}

// lastRead is the last record that was read, by whichever view.
func (t *tail) lastRead() message {
	if t.loading != nil {
		return t.loading.last
	}
	return t.known.last
}

// caughtUp says that the ledger knows all that was read. The caller has the turn.
func (t *tail) caughtUp() {
	last := t.known.last
	t.seen.Store(&last)
	t.done.Add(1)
}

// read takes a stream record apart. What is not ours has no text, and so cannot be decoded.
func read(m redis.XMessage) message {
	text, _ := m.Values[field].(string)
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
