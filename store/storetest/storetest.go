// Package storetest is the suite that every store.Store must pass, yours too, and every store.Leaser:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store { return mystore.New() })
//	}
//
// [Near] is the suite of stores in the process' memory.
package storetest

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Config says how a store is tested. Open is required.
type Config struct {
	// Open returns an empty store; it is called once per test. What must be closed is closed by t.Cleanup.
	Open func(t *testing.T) store.Store
	// Advance moves the clock of the store that was opened last. With nil, expiry is not tested.
	Advance func(d time.Duration)
	// Around runs one test; with nil it is just called. Stores in memory give synctest.Test here and time.Sleep as Advance.
	Around func(t *testing.T, test func(t *testing.T))
}

// Run tests the stores that open returns, apart from expiry, which needs a [Config].
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	Config{Open: open}.Run(t)
}

// Run tests the stores that c.Open returns.
func (c Config) Run(t *testing.T) {
	for _, test := range slices.Concat(tests, leaserTests) {
		t.Run(test.name, func(t *testing.T) {
			switch {
			case test.clock && c.Advance == nil:
				t.Skip("the clock of this store cannot be moved: Config.Advance is nil")
			case c.Around != nil:
				c.Around(t, func(t *testing.T) { test.run(t, c) })
			default:
				test.run(t, c)
			}
		})
	}
}

// Key returns a key made of the name, different names giving different keys. It is meant for short names.
func Key(name string) keying.Key {
	labels := keys.NewLabeler(nil)
	a, b := labels.Tag("a "+name), labels.Tag("b "+name)
	return keying.Key(slices.Concat(a[:], b[:]))
}

// Entry returns an entry of the body under the key, with every field set, that was stored just now and is fresh for a
// minute.
func Entry(key keying.Key, body string) *store.Entry {
	labels := keys.NewLabeler(nil)
	return &store.Entry{
		Key:             key,
		At:              store.Position{Epoch: 1<<63 + 1, Time: 1 << 41, Seq: 3},
		Status:          http.StatusOK,
		Stored:          time.Now().Truncate(time.Millisecond),
		Fresh:           time.Minute,
		WhileRevalidate: 30 * time.Second,
		IfError:         45 * time.Second,
		IfValidated:     50 * time.Second,
		Cost:            20 * time.Millisecond,
		Header: store.MakeHeader(
			store.Field{Name: "Content-Type", Values: []string{"text/plain; charset=utf-8"}},
			store.Field{Name: "Link", Values: []string{"</a>; rel=preload", "</b>; rel=preload"}},
			store.Field{Name: "X-Removed"},
		),
		Added:  []store.Field{{Name: "Vary", Values: []string{"Accept-Language"}}},
		Labels: []keying.Label{labels.Tag("one"), labels.Route("/p/{id}")},
		Body:   []byte(body),
	}
}

// Equal reports whether the two entries say the same. What a process knows of an entry beside its fields does not count,
// nor does the difference between nil and empty.
func Equal(a, b *store.Entry) bool {
	sameField := func(a, b store.Field) bool { return a.Name == b.Name && slices.Equal(a.Values, b.Values) }
	return a.Key == b.Key && a.At == b.At && a.Status == b.Status && a.Stored.Equal(b.Stored) &&
		a.Fresh == b.Fresh && a.WhileRevalidate == b.WhileRevalidate && a.IfError == b.IfError && a.IfValidated == b.IfValidated && a.Cost == b.Cost && a.Aged == b.Aged &&
		slices.EqualFunc(a.Header.Fields(), b.Header.Fields(), sameField) && slices.EqualFunc(a.Added, b.Added, sameField) &&
		slices.Equal(a.Labels, b.Labels) && string(a.Body) == string(b.Body)
}
