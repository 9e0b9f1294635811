package store

import "errors"

// A Rester is a store that gives a backend that keeps failing a rest: operations fail at once for a while, until a probe
// succeeds.
type Rester interface {
	// OnRest has f called when a rest begins, with the failure that has brought it on, and with nil when it is over; reads
	// and writes may rest apart. F is called outside of all operations, one call after another; what there is to tell while one takes
	// long may be left out. No call begins once stop has returned.
	OnRest(f func(what Operation, err error)) (stop func())
}

// A Reporter is a store that meets faults which no operation returns.
type Reporter interface {
	// OnFault has f called with such faults, on whatever goroutine meets them; f must be quick. It is called no more once
	// stop has returned.
	OnFault(f func(err error)) (stop func())
}

// ErrRecordsLost is wrapped by the fault that a Log has lost records which this process had read or written, or begins
// anew. Nothing that was made before is served any more, by any process.
var ErrRecordsLost = errors.New("the purge log has lost records: all that was made before counts as purged")

// ErrUnfit is wrapped by the fault that a backend does not know what the store needs of it, or refuses that. The fault names
// what is missing and the remedy.
var ErrUnfit = errors.New("the backend lacks what is needed")

// Operation is a kind of what is asked of a store.
type Operation string

const (
	Reads  Operation = "reads"
	Writes Operation = "writes"
	Leases Operation = "leases"
)

// A Warner is a store that works as it was made, but may surprise.
type Warner interface {
	// Warning says what may surprise, or nil.
	Warning() error
}
