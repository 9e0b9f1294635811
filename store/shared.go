package store

// Shared reports, of a call that has ended, whether others came to wait for its load: they may know of its flight still.
// Otherwise nobody but the caller knows of the call, and its memory may be used for another.
func (c *Call) Shared() bool { return c.flight.done != nil }
