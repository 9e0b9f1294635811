package readthrough

import (
	"sync"
	"time"

	"github.com/larder-go/cache/internal/trace"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Why nothing was found: never kept, expired, purged, evicted, or the store was away. An event tells, so that whoever wonders
// about a low hit ratio knows what to change.

// Traces are what a process remembers of the entries of stores that are no Tracers, above all of those outside the process.
// The zero value is ready to use, and is safe for concurrent use. A nil *Traces remembers nothing.
type Traces struct {
	once  sync.Once
	table *trace.Table
}

// maxTraces is how many keys are remembered: 64 KiB of them.
const maxTraces = 7 << 10

func (ts *Traces) of() *trace.Table {
	if ts == nil {
		return nil
	}
	ts.once.Do(func() { ts.table = trace.New(maxTraces) })
	return ts.table
}

// note remembers until when the entry is to be kept.
func (rc *Cache) note(e *store.Entry, now time.Time) {
	if rc.traces != nil {
		rc.traces.of().Note(&e.Key, e.Keep(now), now)
	}
}

// remembers says why nothing is there.
func (rc *Cache) remembers(key keying.Key, now time.Time) store.Cause {
	if rc.tracer != nil {
		return rc.tracer.Trace(key)
	}
	return rc.traces.of().Of(&key, now).Cause()
}

// Cause says why the last look of the call, which was for the key, has brought nothing that the caller could be served with.
// Nobody is asked: it is what that look has shown, or what is remembered.
func (c *Call) Cause(key keying.Key) store.Cause { return c.why(key, c.last) }

func (c *Call) why(key keying.Key, l lookup) store.Cause {
	rc := c.rc
	switch {
	case l.failed():
		return store.CauseAway
	case l.err != nil: // what is there cannot be read
		return ""
	case l.read == nil:
		return rc.remembers(key, c.now())
	case rc.foreign(l.read):
		return ""
	case rc.ledger.State(l.read) != store.Live:
		return store.CausePurged
	case l.read.Left(c.now()) <= 0:
		return store.CauseExpired
	}
	return "" // the request wants another, or a newer one
}
