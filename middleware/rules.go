package middleware

import (
	"net/http"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// rules is a rule book: the decisions in which policy mode and RFC 9111 mode differ. There are two:
//
//   - policyRules, in policyrules.go: the policy decides. It names the request fields that select a response and how long it
//     is fresh; the response's own fields can only shorten that, or forbid to store it.
//   - httpRules, in httprules.go: the response decides, as RFC 9111 says. Its Vary selects, its Cache-Control gives the
//     lifetime, and a stored response may be validated. selection.go, validation.go and freshen.go belong to it.
//
// [New] gives a Route one of them. [Route.Begin] looks at the mode itself instead of calling its rule book: what an interface
// call gets by pointer goes to the heap. A fetch and a recorder are there anyway; a hit has neither.
type rules interface {
	// Of a request:

	// answer serves the fetch's request: with a stored response that may be used, or else by a run of the handler.
	answer(f *fetch) error

	// locate gives the fetch's passage the key of the stored response that the request selects, if it does not have it yet.
	locate(f *fetch)

	// ask prepares the header of the handler's request, a copy: it may ask for less than a whole response. Old is a stored
	// response that may not be served as it is, or nil.
	ask(f *fetch, old *store.Entry, h http.Header)

	// otherVariants reports whether responses of the URL are stored other than the one that the request selects, as far as
	// this process knows.
	otherVariants(f *fetch) bool

	// Of a response, in the order in which its parts become known:

	// storable judges the head: why the response must not be stored, or "". It notes in the recorder what the other methods
	// need.
	storable(rec *recorder, h http.Header) Reason

	// fields captures the fields of the head that are to be stored.
	fields(rec *recorder, h http.Header)

	// invalidates returns the labels of what a successful unsafe request has changed.
	invalidates(rec *recorder, h http.Header) []keying.Label

	// settle gives the run's entry its key and its lifetimes; the entry has its header and body already. Said is the longest
	// lifetime that the handler allows, 0 if it has set none. It reports whether the entry is one of several variants of its
	// URL.
	settle(f *fetch, said time.Duration, now time.Time) (variant bool)

	// part handles a response that is not whole: one to HEAD, or to a range.
	part(f *fetch) readthrough.Verdict

	// outdates lets a response that must not be stored make the stored one stale. It reports whether the run's entry is to be
	// stored for that.
	outdates(f *fetch) bool
}

// purpose is what a copy is for.
type purpose uint8

const (
	toStore      purpose = iota
	toStoreWhole         // only a whole response is stored: a part would replace a stored whole one, so it is only shared
	toShare              // never stored: it is a part, for the requests that wait for the same one
)

// request is what a handler is asked for instead of a whole response. Policy mode always uses whole.
type request uint8

const (
	whole        request = iota
	confirmation         // that the stored response is still good: 304 (RFC 9111 §4.3)
	missing              // the bytes that a stored part lacks: 206 (§3.3, §3.4)
)

// answeredBy reports whether a response with the status is one to our request. It is then not for the client, which may not
// have asked for a range.
func (q request) answeredBy(status int) bool {
	switch q {
	case confirmation:
		return status == http.StatusNotModified
	case missing:
		return status == http.StatusPartialContent || status == http.StatusRequestedRangeNotSatisfiable
	}
	return false
}
