// Package storetest has the tests that every store.Store must pass, yours too:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store { return mystore.New() })
//	}
//
// Each subtest is named after the property that it tests; the comment of its function here says what is required, and why. A store
// that is also a store.Leaser is tested as one. Expiry needs a clock that the test can move: see [Config]. [Near] also tests what
// a store in memory promises: its bounds, and hits that cost nothing.
//
// [Key], [Entry] and [Equal] are for tests of your own.
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

// Config says how to test a store. Only Open is required.
type Config struct {
	// Open returns a store that is empty, or has entries of other tests only if it never finds them. It is called once per
	// subtest. Close the store, if need be, in t.Cleanup.
	Open func(t *testing.T) store.Store
	// Advance moves the clock of the store that was opened last. nil: tests that need it are skipped.
	Advance func(d time.Duration)
	// Around runs one subtest. nil: it is simply called. For a store in memory, which uses package time, pass synctest.Test here,
	// and time.Sleep as Advance: then nothing really waits.
	Around func(t *testing.T, test func(t *testing.T))
}

// Run tests the stores that open returns, except for what needs a clock; see [Config].
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	Config{Open: open}.Run(t)
}

// Run tests the stores that c.Open returns, each property in a subtest.
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

// Key returns a key derived from the name. Different names have different keys.
func Key(name string) keying.Key {
	labels := keys.NewLabeler(nil)
	a, b := labels.Tag("a "+name), labels.Tag("b "+name)
	return keying.Key(slices.Concat(a[:], b[:]))
}

// Entry returns an entry for the key with the body. It sets every field that a store must bring back, was stored just now, in whole
// milliseconds, and is fresh for a minute.
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

// Equal reports whether the exported fields of the two entries are equal. Nil and empty count as equal.
func Equal(a, b *store.Entry) bool {
	sameField := func(a, b store.Field) bool { return a.Name == b.Name && slices.Equal(a.Values, b.Values) }
	return a.Key == b.Key && a.At == b.At && a.Status == b.Status && a.Stored.Equal(b.Stored) &&
		a.Fresh == b.Fresh && a.WhileRevalidate == b.WhileRevalidate && a.IfError == b.IfError && a.IfValidated == b.IfValidated && a.Cost == b.Cost && a.Aged == b.Aged &&
		slices.EqualFunc(a.Header.Fields(), b.Header.Fields(), sameField) && slices.EqualFunc(a.Added, b.Added, sameField) &&
		slices.Equal(a.Labels, b.Labels) && string(a.Body) == string(b.Body)
}

// A test is named after the property that a store must have.
type test struct {
	name  string
	clock bool // needs Config.Advance
	run   func(t *testing.T, c Config)
}

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

// missIsNoError: most keys that are requested are not there. An error would count as a fault of the store.
func missIsNoError(t *testing.T, c Config) {
	s := c.Open(t)
	e, ok, err := s.Get(t.Context(), Key("absent"))
	if e != nil || ok || err != nil {
		t.Errorf("Get of an absent key = %v, %v, %v; want nil, false, nil", e, ok, err)
	}
}

// everyFieldComesBack: a store outside the process writes entries as bytes, and must lose nothing: no status, no empty body, no
// field without lines, no byte of a binary or large body.
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

// overwriteReplaces: when a shorter entry replaces a longer one, nothing of the longer one is left.
func overwriteReplaces(t *testing.T, c Config) {
	s := c.Open(t)
	for _, body := range []string{"a long first body", "second", "a third body that is the longest"} {
		e := Entry(Key("k"), body)
		set(t, s, e, time.Minute)
		wantHit(t, s, e)
	}
}

// deleteForgets removes the given keys, even if one of them is not there or is given twice, and no others.
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

// keepIsKept: an entry comes back until its time is over, and from then on it does not.
func keepIsKept(t *testing.T, c Config) {
	s := c.Open(t)
	e := Entry(Key("k"), "body")
	set(t, s, e, 10*time.Second)
	c.Advance(9 * time.Second)
	wantHit(t, s, e)
	c.Advance(time.Second)
	wantMiss(t, s, e.Key)
}

// overwriteReplacesKeep: the time of the entry before no longer counts, be it longer or shorter.
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

// entriesAreNotShared: appending to a slice of an entry, as a handler may, does not write into what the next caller gets.
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

// concurrentUse: many goroutines at once get their own key's entry or a miss, never another's. Run it with -race.
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

// cancelledContext: requests end while the store works for them. It may fail, but must stay usable, and bring no wrong entry.
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

func set(t *testing.T, s store.Store, e *store.Entry, keep time.Duration) {
	t.Helper()
	if err := s.Set(t.Context(), e.Key, e, keep); err != nil {
		t.Errorf("Set: %v", err)
	}
}

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

func wantMiss(t *testing.T, s store.Store, key keying.Key) {
	t.Helper()
	if got, ok, err := s.Get(t.Context(), key); got != nil || ok || err != nil {
		t.Errorf("Get = %v, %v, %v; want a miss", got, ok, err)
	}
}
