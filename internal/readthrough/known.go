package readthrough

// Known reports, of a call that has ended, whether anybody but the caller may know of it still: others came to wait for its
// load, or the store got a context of its. Otherwise its memory may be used for another.
func (c *Call) Escaped() bool { return c.flight.done != nil || c.first.ending != nil }
