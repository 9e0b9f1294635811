package readthrough

import "github.com/larder-go/cache/store"

// A round is one CatchUp, for all who came before it began.
type round struct {
	done chan struct{}
	ok   bool // written before done is closed
}

// caughtUp brings the ledger up to what the log's head was when the caller came, or later; before is what was then the
// last round. Whoever finds that another has begun since waits for that one: however many waited for a flight, the log is
// asked once.
func (c *Call) caughtUp(before *round) bool {
	t := c.t
	if t.catcher == nil {
		return true
	}
	r := t.round.Load()
	if r == before {
		next := &round{done: make(chan struct{})}
		if t.round.CompareAndSwap(before, next) {
			return c.catchUp(next)
		}
		r = t.round.Load()
	}
	select {
	case <-r.done:
		return r.ok
	case <-c.ctx.Done():
		return false
	}
}

// catchUp is the round.
func (c *Call) catchUp(r *round) bool {
	err := c.do(c.t.catcher.CatchUp)
	r.ok = err == nil
	close(r.done) // before anybody is told: who would ask for anything waits for nobody
	c.went(store.Reads, err)
	return r.ok
}
