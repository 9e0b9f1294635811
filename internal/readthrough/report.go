package readthrough

import "github.com/larder-go/cache/store"

// A Report says how an operation on a store went.
type Report struct {
	Route string // what it was for, as the call was named; "" if it was not
	What  store.Operation
	Err   error // nil: a store outside the process has answered
}
