package readthrough

import (
	"sync"
	"time"

	"github.com/larder-go/cache/internal/trace"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Traces are what a process remembers of the entries of stores that are no Tracers: those outside of it, above all. The zero
// value is ready to use, and is safe for concurrent use; a nil *Traces remembers nothing.
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

// Trace sets where it is remembered until when entries were to be kept, which several Throughs may share. It is called before
// the Through is first used.
func (t *Cache) Trace(ts *Traces) *Cache {
	if t.tracer == nil {
		t.traces = ts
	}
	return t
}

// note remembers until when the entry is to be kept.
func (t *Cache) note(e *store.Entry, now time.Time) {
	if t.traces != nil {
		t.traces.of().Note(&e.Key, e.Keep(now), now)
	}
}

// remembers says why nothing is there.
func (t *Cache) remembers(key keying.Key, now time.Time) store.Cause {
	if t.tracer != nil {
		return t.tracer.Trace(key)
	}
	return CauseOf(t.traces.of().Of(&key, now))
}

// CauseOf says what it means for a key that is not found that so much is known of it.
func CauseOf(known trace.Known) store.Cause {
	switch known {
	case trace.Never:
		return store.CauseCold
	case trace.Early:
		return store.CauseEvicted
	case trace.Over:
		return store.CauseExpired
	}
	return ""
}

// Cause says why the last look of the call, which was for the key, has brought nothing that the caller was to be served with.
func (c *Call) Cause(key keying.Key) store.Cause { return c.why(key, c.last) }

func (c *Call) why(key keying.Key, s sight) store.Cause {
	t := c.t
	switch {
	case s.blind():
		return store.CauseAway
	case s.err != nil: // what is there cannot be read
		return ""
	case s.seen == nil:
		return t.remembers(key, c.now())
	case t.foreign(s.seen):
		return ""
	case t.ledger.State(s.seen) != store.Live:
		return store.CausePurged
	case s.seen.Left(c.now()) <= 0:
		return store.CauseExpired
	}
	return "" // the request wants another, or a newer one
}
