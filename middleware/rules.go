package middleware

import (
	"net/http"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// rules is a rule book: what a request's passage asks where policy mode and RFC 9111 mode differ. There are two of them:
//
//   - policyRules, in policyrules.go: the policy decides. It names the request fields that select a response and how long it
//     is fresh; the handler's fields can only shorten or forbid.
//   - httpRules, in httprules.go: the response decides, as RFC 9111 has it. Its Vary selects, its Cache-Control gives the
//     lifetime, and a stored response may be validated. selection.go, validation.go and freshen.go belong to it.
//
// A [New] Route gets one of them. Nothing else asks which mode it is, but [Route.Begin]: a rule book is called through an
// interface, and what a call through an interface gets by pointer goes to the heap. A fetch and a recorder are there anyway;
// a hit has neither.
type rules interface {
	// Of a request:

	// answer serves the fetch's request: with a stored response that may be used, or else by a run of the handler.
	answer(f *fetch) error

	// locate gives the fetch's passage the key of the stored response that the request selects, if it does not have it yet.
	locate(f *fetch)

	// ask prepares the copy of the request's header that the handler gets: what it is asked for instead of a whole response.
	// Old is a stored response that may not be served as it is, or nil.
	ask(f *fetch, old *store.Entry, h http.Header)

	// otherVariants reports whether other responses of the URL are stored than the one that the request selects, as far as
	// this process can tell.
	otherVariants(f *fetch) bool

	// Of a response, in the order in which its parts become known:

	// storable judges the head: why the response must not be stored, or "". It notes in the recorder what the other
	// questions need.
	storable(rec *recorder, h http.Header) Reason

	// fields takes from the head what is to be stored of it.
	fields(rec *recorder, h http.Header)

	// invalidates returns the labels of what a success of an unsafe method has changed.
	invalidates(rec *recorder, h http.Header) []keying.Label

	// settle gives the run's entry, which has its header and body, its key and its lifetimes. Said is the longest one that
	// the handler allows, 0 if it has said nothing. It reports whether the entry is one of several variants of its URL.
	settle(f *fetch, said time.Duration, now time.Time) (variant bool)

	// part makes what can be made of a response that is not whole: one to HEAD, or to a range.
	part(f *fetch) readthrough.Verdict

	// outdates makes of a response that must not be stored what it says of the stored one. It reports whether the run's
	// entry is to be stored for that.
	outdates(f *fetch) bool
}

// purpose is what a copy is for.
type purpose uint8

const (
	toStore      purpose = iota
	toStoreWhole         // only a whole response is stored: a part would take the place of a stored whole, and is shared
	toShare              // never stored: it is a part, for the requests that wait for the same one
)

// request is what a handler is asked for instead of a whole response. Policy mode asks for nothing of the sort.
type request uint8

const (
	whole        request = iota
	confirmation         // that the stored response is still good: 304 (RFC 9111 §4.3)
	missing              // the bytes that a stored part lacks: 206 (§3.3, §3.4)
)

// answeredBy reports whether the status is a response to the request of ours. Such a response is none for the client, which
// may well have asked for no range.
func (q request) answeredBy(status int) bool {
	switch q {
	case confirmation:
		return status == http.StatusNotModified
	case missing:
		return status == http.StatusPartialContent || status == http.StatusRequestedRangeNotSatisfiable
	}
	return false
}
