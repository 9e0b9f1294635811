// Package storetest has the tests that every [store.Store] must pass. Run them against a store of your own:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store { return mystore.New() })
//	}
//
// If the store is a [store.Leaser], its leases are tested, too. With a [Config] its expiry is tested as well. [Near] has more tests, for stores in
// the memory of the process.
//
// [Key], [Entry] and [Equal] make and compare entries for tests. [Redis] and [NewServer] start a Redis.
package storetest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Config says how a store is tested. Open is required. A Config may be used for several runs, one after another.
type Config struct {
	// Open returns an empty store. It is called once for each test, with the test that uses the store. Close with t.Cleanup what must be
	// closed.
	Open func(t *testing.T) store.Store
	// Advance moves the clock of the store that was opened last forward by d. If it is nil, the tests of expiry are skipped.
	Advance func(d time.Duration)
	// Around runs one test; if it is nil, the test is just called. For a store in memory use synctest.Test here, and time.Sleep as
	// Advance.
	Around func(t *testing.T, test func(t *testing.T))
}

// Run tests the stores that open returns. To test expiry, too, use a [Config].
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	Config{Open: open}.Run(t)
}

// Run tests the stores that c.Open returns. Each property is a subtest.
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

// Key returns the key of a name. Different names have different keys.
func Key(name string) keying.Key {
	labels := keys.NewLabeler(nil)
	a, b := labels.Tag("a "+name), labels.Tag("b "+name)
	return keying.Key(slices.Concat(a[:], b[:]))
}

// Entry returns an entry for the key with that body. It was stored just now and is fresh for a minute. All other fields are set, too: what a store
// loses, Equal finds.
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

// Equal reports whether all exported fields of two entries are equal. Nil and empty slices are equal. What a process knows about an entry besides,
// like its memo, does not count.
func Equal(a, b *store.Entry) bool {
	sameField := func(a, b store.Field) bool { return a.Name == b.Name && slices.Equal(a.Values, b.Values) }
	return a.Key == b.Key && a.At == b.At && a.Status == b.Status && a.Stored.Equal(b.Stored) &&
		a.Fresh == b.Fresh && a.WhileRevalidate == b.WhileRevalidate && a.IfError == b.IfError && a.IfValidated == b.IfValidated && a.Cost == b.Cost && a.Aged == b.Aged &&
		slices.EqualFunc(a.Header.Fields(), b.Header.Fields(), sameField) && slices.EqualFunc(a.Added, b.Added, sameField) &&
		slices.Equal(a.Labels, b.Labels) && string(a.Body) == string(b.Body)
}

// A test has the name of the property that it tests.
type test struct {
	name  string
	clock bool // it needs Config.Advance
	run   func(t *testing.T, c Config)
}

// tests are for every store.
var tests = []test{
	{"MissIsNoError", false, missIsNoError},
	{"EveryFieldComesBack", false, everyFieldComesBack},
	{"OverwriteReplaces", false, overwriteReplaces},
	{"DeleteForgets", false, deleteForgets},
	{"KeepIsKept", true, keepIsKept},
	{"OverwriteReplacesKeep", true, overwriteReplacesKeep},
	{"EntriesAreNotShared", false, entriesAreNotShared},
	{"ConcurrentUse", false, concurrentUse},
	{"CancelledContext", false, cancelledContext},
}

func missIsNoError(t *testing.T, c Config) {
	s := c.Open(t)
	e, ok, err := s.Get(t.Context(), Key("absent"))
	if e != nil || ok || err != nil {
		t.Errorf("Get of an absent key = %v, %v, %v; want nil, false, nil", e, ok, err)
	}
}

// everyFieldComesBack stores entries at the limits of what may be stored: without a body or fields, large, binary, and of any status.
func everyFieldComesBack(t *testing.T, c Config) {
	bare := &store.Entry{Key: Key("bare"), Stored: time.Now().Truncate(time.Millisecond), Fresh: time.Second}
	entries := map[string]*store.Entry{
		"full": Entry(Key("full"), "body"), "empty": Entry(Key("empty"), ""), "bare": bare,
		"large": Entry(Key("large"), strings.Repeat("0123456789abcdef", 1<<16)), "binary": Entry(Key("binary"), "\x00\xff\r\n"),
	}
	for _, status := range []int{http.StatusNoContent, http.StatusNotFound, 599} {
		e := Entry(Key(fmt.Sprint(status)), "")
		e.Status = status
		entries[fmt.Sprint(status)] = e
	}
	s := c.Open(t)
	for _, e := range entries {
		set(t, s, e, time.Minute)
	}
	for _, e := range entries {
		wantHit(t, s, e)
	}
}

func overwriteReplaces(t *testing.T, c Config) {
	s := c.Open(t)
	for _, body := range []string{"a long first body", "second", "a third body that is the longest"} {
		e := Entry(Key("k"), body)
		set(t, s, e, time.Minute)
		wantHit(t, s, e)
	}
}

// deleteForgets deletes keys that are there, that are not, that are given twice, and no key at all.
func deleteForgets(t *testing.T, c Config) {
	s := c.Open(t)
	a, b, kept := Entry(Key("a"), "a"), Entry(Key("b"), "b"), Entry(Key("kept"), "kept")
	for _, e := range []*store.Entry{a, b, kept} {
		set(t, s, e, time.Minute)
	}
	for _, keys := range [][]keying.Key{{}, {Key("absent")}, {a.Key, Key("absent"), b.Key}, {a.Key, a.Key}} {
		if err := s.Delete(t.Context(), keys...); err != nil {
			t.Errorf("Delete of %d keys: %v; want no error", len(keys), err)
		}
	}
	wantMiss(t, s, a.Key)
	wantMiss(t, s, b.Key)
	wantHit(t, s, kept)
}

// keepIsKept: an entry is found up to the end of its time, and not at the end.
func keepIsKept(t *testing.T, c Config) {
	s := c.Open(t)
	e := Entry(Key("k"), "body")
	set(t, s, e, 10*time.Second)
	c.Advance(9 * time.Second)
	wantHit(t, s, e)
	c.Advance(time.Second)
	wantMiss(t, s, e.Key)
}

// overwriteReplacesKeep: the time of the last Set counts, if it is longer, and if it is shorter.
func overwriteReplacesKeep(t *testing.T, c Config) {
	s := c.Open(t)
	longer, shorter := Entry(Key("longer"), "body"), Entry(Key("shorter"), "body")
	set(t, s, longer, time.Second)
	set(t, s, longer, time.Minute)
	set(t, s, shorter, time.Minute)
	set(t, s, shorter, time.Second)
	c.Advance(2 * time.Second)
	wantHit(t, s, longer)
	wantMiss(t, s, shorter.Key)
}

// entriesAreNotShared: a reader that appends to the slices of an entry, which is easily done by accident, does not change what others get.
func entriesAreNotShared(t *testing.T, c Config) {
	s := c.Open(t)
	e, want := Entry(Key("k"), "body"), Entry(Key("k"), "body")
	want.Stored = e.Stored
	set(t, s, e, time.Minute)
	got := wantHit(t, s, want)
	if got == nil {
		return
	}
	for _, lines := range got.Header.All() {
		_ = append(lines, "appended")
	}
	_, _, _ = append(got.Body, "appended"...), append(got.Added, store.Field{Name: "A"}), append(got.Labels, keying.Label{})
	wantHit(t, s, want)
}

// concurrentUse is for the race detector. Whatever the order, a key's entry is one that was made for that key.
func concurrentUse(t *testing.T, c Config) {
	s := c.Open(t)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				name := fmt.Sprint("key ", (g+i)%5)
				if err := s.Set(t.Context(), Key(name), Entry(Key(name), name), time.Minute); err != nil {
					t.Errorf("Set: %v", err)
				}
				e, ok, err := s.Get(t.Context(), Key(name))
				if err != nil || ok && (e.Key != Key(name) || string(e.Body) != name) {
					t.Errorf("Get(%q) = %v, %v, %v; want its own entry or a miss", name, e, ok, err)
				}
				if i%7 == 0 {
					_ = s.Delete(t.Context(), Key(name))
				}
			}
		})
	}
	wg.Wait()
}

// cancelledContext: a store may ignore a context that is over, or return its error. But it must not return half an entry, and it must work
// afterwards: a connection that was given up in the middle of an answer must not be used again.
func cancelledContext(t *testing.T, c Config) {
	s := c.Open(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	e := Entry(Key("k"), "body")
	for range 20 {
		_ = s.Set(cancelled, e.Key, e, time.Minute)
		if got, ok, err := s.Get(cancelled, e.Key); ok && (err != nil || !Equal(got, e)) {
			t.Errorf("Get under a cancelled context = %v, %v, %v; want the entry, a miss or an error", got, ok, err)
		}
	}
	set(t, s, e, time.Minute)
	wantHit(t, s, e)
}

// set stores the entry under its own key.
func set(t *testing.T, s store.Store, e *store.Entry, keep time.Duration) {
	t.Helper()
	if err := s.Set(t.Context(), e.Key, e, keep); err != nil {
		t.Errorf("Set: %v", err)
	}
}

// wantHit returns what the store has under the entry's key, if it is equal to the entry.
func wantHit(t *testing.T, s store.Store, want *store.Entry) *store.Entry {
	t.Helper()
	got, ok, err := s.Get(t.Context(), want.Key)
	if err != nil || !ok {
		t.Errorf("Get = %v, %v; want a hit", ok, err)
		return nil
	}
	if !Equal(got, want) {
		t.Errorf("Get = %.200v; want %.200v", fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want))
	}
	return got
}

// wantMiss checks that there is nothing under the key, and no error.
func wantMiss(t *testing.T, s store.Store, key keying.Key) {
	t.Helper()
	if got, ok, err := s.Get(t.Context(), key); got != nil || ok || err != nil {
		t.Errorf("Get = %v, %v, %v; want a miss", got, ok, err)
	}
}
