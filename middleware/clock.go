package middleware

import (
	"sync/atomic"
	"time"
)

// drift is for how long the clock goes on from one reading of the wall clock: what is set there meanwhile is late by that.
const drift = time.Second

// A clock tells the time as time.Now does, for half of what that costs: of the two clocks which that reads, the wall's is
// read once a second. The zero clock is ready to use, by any number of goroutines.
type clock struct{ base atomic.Pointer[time.Time] }

// Now returns the time for one request, or one look-up.
func (c *Common) Now() time.Time { return c.clock.now() }

func (c *clock) now() time.Time {
	if base := c.base.Load(); base != nil {
		if d := time.Since(*base); 0 <= d && d < drift {
			return base.Add(d)
		}
	}
	now := time.Now()
	c.base.Store(&now)
	return now
}
