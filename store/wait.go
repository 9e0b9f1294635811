package store

import (
	"context"
	"time"
)

// wait returns true when the flight has landed, and false when the caller should not wait any longer.
func wait(ctx context.Context, f *flight) bool {
	select {
	case <-f.done: // landed already: no timer
		return true
	default:
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	for {
		select {
		case <-f.done:
			return true
		case <-ctx.Done():
			return false
		case <-timer.C:
		}
		left := maxWait // the leader may be waiting, too, or have been
		if began := f.began.Load(); began != 0 {
			left -= time.Since(time.Unix(0, began))
		}
		if left <= 0 {
			return false
		}
		timer.Reset(left)
	}
}
