package store

// A Rester is a store that gives a backend that keeps failing a rest: operations fail at once for a while, until a probe
// succeeds.
type Rester interface {
	// OnRest has f called when a rest begins, with the failure that has brought it on, and with nil when it is over; reads
	// and writes may rest apart. F is called outside of all operations, one call after another; what there is to tell while one takes
	// long may be left out. No call begins once stop has returned.
	OnRest(f func(what Operation, err error)) (stop func())
}

// Operation is a kind of what is asked of a store.
type Operation string

const (
	Reads  Operation = "reads"
	Writes Operation = "writes"
)

// A Warner is a store that works as it was made, but may surprise.
type Warner interface {
	// Warning says what may surprise, or nil.
	Warning() error
}
