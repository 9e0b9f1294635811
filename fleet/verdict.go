package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// verdicts count the results of many requests.
type verdicts struct {
	all, hits, unanswered, failed, foreign, truncated atomic.Int64

	tooOld     atomic.Int64 // responses out of date for longer than the bound
	oldest     atomic.Int64 // the longest that a response had been out of date, in nanoseconds
	afterPurge atomic.Int64 // fleet-shared and per-user responses older than a purge that had returned nil
}

// slack is what the harness allows for itself and for handlers. A handler reads the version first and then sleeps, but the
// age of its response counts from the end of its run.
const slack = 500 * time.Millisecond

// see judges one request. known is the latest version whose purge had returned nil before the request was sent.
func (v *verdicts) see(s *stage, a asked, known uint64, bound time.Duration) {
	v.all.Add(1)
	switch {
	case errors.Is(a.err, errTruncated), errors.Is(a.err, io.ErrUnexpectedEOF):
		v.truncated.Add(1)
	case a.err != nil:
		v.unanswered.Add(1)
	case a.status != http.StatusOK:
		v.failed.Add(1)
	case !a.answer.is(a.key):
		v.foreign.Add(1)
	default:
		v.age(s, a, known, bound)
		return
	}
	s.logf("%s: status %d, %v, %+v", a.key.path(), a.status, a.err, a.answer)
}

func (v *verdicts) age(s *stage, a asked, known uint64, bound time.Duration) {
	if a.hit {
		v.hits.Add(1)
	}
	if (a.key.kind == fleet || a.key.kind == user) && a.answer.version < known {
		v.afterPurge.Add(1)
	}
	old := s.stale(a.key, a.answer.version, a.at)
	raise(&v.oldest, old)
	if old > bound+slack {
		v.tooOld.Add(1)
		s.logf("%s: %v out of date", a.key.path(), old)
	}
}

func (v *verdicts) String() string {
	return fmt.Sprintf("%d answers (%.0f %% hits): %d foreign, %d truncated, %d stale beyond the bound (oldest %s), %d unanswered, %d not 200",
		v.all.Load(), 100*float64(v.hits.Load())/float64(max(1, v.all.Load())), v.foreign.Load(), v.truncated.Load(), v.tooOld.Load(),
		ms(time.Duration(v.oldest.Load())), v.unanswered.Load(), v.failed.Load())
}

func (v *verdicts) clean() bool {
	return v.foreign.Load()+v.truncated.Load()+v.tooOld.Load()+v.unanswered.Load()+v.failed.Load() == 0
}

// purged is, for each resource, the latest version whose purge returned nil.
type purged [slots]atomic.Uint64

// closedLoop has each client send one request after the other, until there have been enough requests or the time is over.
func (v *verdicts) closedLoop(s *stage, clients, requests int, lasts, bound time.Duration, t *purged, pick func() (*node, key)) {
	deadline := time.Now().Add(lasts)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for s.Err() == nil && int(v.all.Load()) < requests && time.Now().Before(deadline) {
				n, k := pick()
				known := t[k.slot()].Load()
				v.see(s, s.ask(n, k, time.Now()), known, bound)
			}
		})
	}
	wg.Wait()
}

// change writes a resource and purges it on the node.
func (s *stage) change(n *node, k key, t *purged) {
	version := s.write(k)
	if n.purge(k) == nil {
		raiseTo(&t[k.slot()], version)
	}
}

func raiseTo(v *atomic.Uint64, least uint64) {
	for old := v.Load(); old < least && !v.CompareAndSwap(old, least); old = v.Load() {
	}
}
