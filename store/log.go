package store

import (
	"context"

	"github.com/larder-go/cache/keying"
)

// A Record is one purge: everything made before it that carries one of its labels is gone, or merely stale. A label of a
// place (see internal/keys) says where the URLs lie whose labels stand before it; such purges share the room of their area.
type Record struct {
	At     Position // set by the log
	Labels []keying.Label
	All    bool // everything, whatever its labels
	Soft   bool // stale instead of gone
	Wide   bool // labels of places name all of the area that they mean, rather than the area of the labels before them
}

// A Log orders purges. An entry remembers the log's head from before its handler ran; a purge appends the labels that it
// names. So a purge costs the same however much it hits, needs no index of keys and no clock, and a slow handler cannot
// bring old data back. A Far store may implement Log; then every process that shares the store shares its purges. It should
// be a Catcher and a Follower, too.
type Log interface {
	// Append adds the record and applies it to the ledger. When it returns nil every later read that goes through the
	// log's store sees the purge; an error means that the purge may be lost for other processes, though not for this one.
	Append(ctx context.Context, r Record) error
	// Ledger returns this process' view of the log. A store that is a Log has brought it up to the log's head before
	// its Get returns.
	Ledger() *Ledger
}

// A Catcher is a Log to which other processes append.
type Catcher interface {
	// CatchUp brings the ledger up to the log's head: once it has returned nil, the ledger knows every purge that was
	// acknowledged before the call. It is called before an answer is shared with a request that came while it was made.
	CatchUp(ctx context.Context) error
}

// A Follower is a Log to which other processes append, and that can tell its ledger at once.
type Follower interface {
	Log
	// Follow keeps the ledger at the log's head until ctx ends, and returns soon after that with nothing left behind. It
	// costs nobody else anything while the log cannot be reached: then it calls changed with the error, once, and with
	// nil when it follows again. To follow twice at once only costs more.
	Follow(ctx context.Context, changed func(err error))
}

// A Poster is a Log whose store gives a backend that keeps failing a rest.
type Poster interface {
	// Post is Append for a request, which must not be held up by a backend that is given a rest: it is not asked then. The
	// record holds for this process whatever Post returns; after an error the others are told as soon as that can be done.
	Post(ctx context.Context, r Record) error
	// Rests reports whether the backend is given a rest, so that Post costs nothing.
	Rests() bool
}

// NewLog returns a purge log for one process. It lives in memory and ends with the process, and so do the entries that
// were made under it.
func NewLog() Log {
	l := NewLedger()
	l.Restart(Position{Epoch: randomEpoch()})
	return processLog{l}
}

type processLog struct{ ledger *Ledger }

func (l processLog) Ledger() *Ledger { return l.ledger }

func (l processLog) Append(_ context.Context, r Record) error {
	l.ledger.append(r)
	return nil
}
