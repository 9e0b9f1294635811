package readthrough

import (
	"context"
	"time"
)

// wait returns true when the flight has landed, and false when the caller should not wait any longer: since now, or since
// the load began, maxWait has passed, or nearly so.
func (t *Cache) wait(ctx context.Context, f *flight, now time.Time) bool {
	select {
	case <-f.done: // landed already: no timer
		return true
	default:
	}
	const nearly = maxWait / 64
	for left := maxWait; left > nearly; now = time.Now() {
		end := t.patience.after(now, left-nearly, maxWait) // most wait for one timer
		select {
		case <-f.done:
			return true
		case <-ctx.Done():
			return false
		case <-end.Done():
		}
		left = maxWait // the leader may be waiting, too, or have been
		if began := f.began.Load(); began != 0 {
			left -= time.Since(time.Unix(0, began))
		}
	}
	return false
}
