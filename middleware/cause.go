package middleware

import (
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/store"
)

// Causes: why there was no hit, where this process knows. Of Event.Cause, and the detail of a Cache-Status that no other
// reason takes. They say nothing of whether the answer was kept.
const (
	CauseCold    = Reason(store.CauseCold)    // nothing was kept, and as far as this process can tell nothing ever was
	CauseExpired = Reason(store.CauseExpired) // its time was over
	CausePurged  = Reason(store.CausePurged)  // it was purged
	CauseEvicted = Reason(store.CauseEvicted) // memory, or Redis, had let go of it before its time was over
	CauseAway    = Reason(store.CauseAway)    // Redis could not be asked
	CauseVariant = Reason("variant")          // others of the URL were kept, but none for these header fields or cookies
)

// cause is why the run's handler had to answer.
func (rt *Route) cause(l *leading, run *readthrough.Run) Reason {
	cause := Reason(run.Cause)
	if (cause == "" || cause == CauseCold) && run.Old == nil && rt.varies(l) {
		return CauseVariant
	}
	return cause
}

// varies reports whether other variants of the URL were kept, as far as it is known. On a standard route the index tells.
func (rt *Route) varies(l *leading) bool {
	if rt.Standard {
		return l.p.index != nil && !l.p.fresh
	}
	return rt.Scheme.Varies() && rt.Common.variants.any(rt.resource(l), l.p.key, time.Now())
}
