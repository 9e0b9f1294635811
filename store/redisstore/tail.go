package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store"
)

const (
	field      = "r" // of a stream record
	touchEvery = 24 * time.Hour
)

// tail follows one purge log.
type tail struct {
	name    string
	askHead []any // the command that reads the log's head; go-redis does not write to it
	ledger  *store.Ledger

	turn    chan struct{}           // held by the one goroutine that reads or writes the log
	loading *store.Ledger           // a log that is being read anew, over several turns if need be; guarded by turn
	last    message                 // the last record that was read; guarded by turn
	done    atomic.Uint64           // how often the ledger was brought up to the head
	seen    atomic.Pointer[message] // the head it was brought up to
	owed    owed
	touched atomic.Int64 // when the log's life was last prolonged, in Unix seconds
}

// message is a stream record as it stands in the log.
type message struct{ id, text string }

func newTail(name string) *tail {
	return &tail{name: name, askHead: []any{"xrevrange", name, "+", "-", "count", 1}, ledger: store.NewLedger(), turn: make(chan struct{}, 1)}
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

func (t *tail) unlock() { <-t.turn }

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

// caughtUp says that the ledger knows all that was read. The caller has the turn.
func (t *tail) caughtUp() {
	last := t.last
	t.seen.Store(&last)
	t.done.Add(1)
}

// read takes a stream record apart. What is not ours has no text, and so cannot be decoded.
func read(m redis.XMessage) message {
	text, _ := m.Values[field].(string)
	return message{m.ID, text}
}

// position returns the place that a stream's id, "time-seq", names.
func position(epoch uint64, id string) store.Position {
	time, seq, _ := strings.Cut(id, "-")
	p := store.Position{Epoch: epoch}
	p.Time, _ = strconv.ParseUint(time, 10, 64)
	p.Seq, _ = strconv.ParseUint(seq, 10, 64)
	return p
}
