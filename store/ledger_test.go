package store_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

func at(epoch, time uint64) store.Position { return store.Position{Epoch: epoch, Time: time} }

func label(n int) (l keying.Label) {
	binary.BigEndian.PutUint64(l[:], uint64(n)+1)
	return l
}

// made returns an entry that this process is about to make; read one that it has from a store.
func made(l *store.Ledger, labels ...keying.Label) *store.Entry {
	e := &store.Entry{Labels: labels}
	l.Stamp(e)
	return e
}

func read(at store.Position, labels ...keying.Label) *store.Entry {
	return &store.Entry{At: at, Labels: labels}
}

func wantState(t *testing.T, l *store.Ledger, e *store.Entry, want store.Liveness, what string) {
	t.Helper()
	for range 2 { // the second answer is remembered
		if got := l.State(e); got != want {
			t.Errorf("%s: state %d; want %d", what, got, want)
		}
	}
}

func TestPurgeHitsWhatIsOlderAndNamed(t *testing.T) {
	l := store.NewLedger()
	l.Restart(at(1, 10))
	old, other := made(l, label(1), label(2)), made(l, label(3))
	wantState(t, l, old, store.Live, "before the purge")
	l.Apply(store.Record{At: at(1, 20), Labels: []keying.Label{label(9), label(2)}})
	wantState(t, l, old, store.Gone, "made before")
	wantState(t, l, other, store.Live, "not named")
	wantState(t, l, made(l, label(2)), store.Live, "made after")
	wantState(t, l, read(at(1, 19), label(2)), store.Gone, "read, from before")
	wantState(t, l, read(at(1, 20), label(2)), store.Live, "read, from after")
	wantState(t, l, read(at(1, 5)), store.Gone, "read, from before the log")
	wantState(t, l, read(at(2, 99)), store.Gone, "read, from another log")
	wantState(t, l, read(store.Position{}), store.Gone, "read, from no log")
}

func TestSoftPurgeExpires(t *testing.T) {
	l := store.NewLedger()
	l.Restart(at(1, 10))
	e := made(l, label(1))
	l.Apply(store.Record{At: at(1, 20), Labels: []keying.Label{label(1)}, Soft: true})
	wantState(t, l, e, store.Expired, "soft")
	l.Apply(store.Record{At: at(1, 21), All: true, Soft: true})
	wantState(t, l, made(l, label(1)), store.Live, "made after")
	wantState(t, l, read(at(1, 20)), store.Expired, "soft purge of everything")
	l.Apply(store.Record{At: at(1, 22), Labels: []keying.Label{label(1)}})
	wantState(t, l, e, store.Gone, "soft, then hard")
	l.Apply(store.Record{At: at(1, 23), Labels: []keying.Label{label(1)}, Soft: true})
	wantState(t, l, e, store.Gone, "hard, then soft")
}

func TestApplyIgnoresWhatIsKnown(t *testing.T) {
	l := store.NewLedger()
	l.Restart(at(1, 10))
	r := store.Record{At: at(1, 20), Labels: []keying.Label{label(1)}}
	l.Apply(r)
	e := made(l, label(1))
	l.Apply(r)
	l.Apply(store.Record{At: at(1, 15), All: true})
	wantState(t, l, e, store.Live, "known records again")
	if l.Head() != r.At {
		t.Errorf("head %v; want %v", l.Head(), r.At)
	}
}

func TestApplyHere(t *testing.T) {
	l := store.NewLedger()
	unread := made(l, label(1))
	l.ApplyHere(store.Record{All: true})
	wantState(t, l, unread, store.Gone, "before any log")
	l.Restart(at(1, 10))
	wantState(t, l, unread, store.Gone, "and after its first sight")

	e, other := made(l, label(1)), made(l, label(2))
	l.ApplyHere(store.Record{Labels: []keying.Label{label(1)}})
	wantState(t, l, e, store.Gone, "made before")
	wantState(t, l, other, store.Live, "not named")
	wantState(t, l, made(l, label(1)), store.Live, "made after")
	wantState(t, l, read(at(1, 10), label(1)), store.Gone, "read, stamped with the head")
	if l.Head() != at(1, 10) {
		t.Errorf("head %v; the log has not moved", l.Head())
	}
	l.Apply(store.Record{At: at(1, 11)})
	wantState(t, l, read(at(1, 11), label(1)), store.Live, "read, from after the next record")
}

func TestRestart(t *testing.T) {
	l := store.NewLedger()
	first := made(l, label(1))
	l.Restart(at(1, 10))
	wantState(t, l, first, store.Live, "made before the first log was seen")
	second := made(l)
	l.Restart(at(1, 30))
	for what, e := range map[string]*store.Entry{"made": second, "read": read(at(1, 29)), "other": read(at(2, 99))} {
		wantState(t, l, e, store.Gone, what+" before the restart")
	}
	wantState(t, l, made(l), store.Live, "made after")
	wantState(t, l, read(at(1, 30)), store.Live, "read, from after")
}

func TestReplaceIsRestartAndApply(t *testing.T) {
	loaded := func() *store.Ledger {
		from := store.NewLedger()
		from.Restart(at(7, 10))
		for i := range uint64(50) {
			from.Apply(store.Record{At: at(7, 20+i), Labels: []keying.Label{label(1)}})
		}
		return from
	}
	l := store.NewLedger()
	first, named := made(l), made(l, label(1))
	l.Replace(loaded())
	wantState(t, l, first, store.Live, "made before the first log was seen")
	wantState(t, l, named, store.Gone, "named by a purge that was read")
	wantState(t, l, made(l, label(1)), store.Live, "made after")
	wantState(t, l, read(at(7, 15)), store.Live, "read, from the log's life")
	wantState(t, l, read(at(7, 30), label(1)), store.Gone, "read, purged")
	second := made(l)
	l.Replace(loaded())
	wantState(t, l, second, store.Gone, "made before a second log")
	wantState(t, l, made(l, label(1)), store.Live, "made after that")
	if l.Head() != at(7, 69) {
		t.Errorf("head %v", l.Head())
	}
}

// What was made before the first log was seen has missed what that log says of everything.
func TestFirstLogMayHavePurgedEverything(t *testing.T) {
	for name, test := range map[string]struct {
		happens func(from *store.Ledger)
		want    store.Liveness
	}{
		"nothing":          {func(*store.Ledger) {}, store.Live},
		"purge of all":     {func(from *store.Ledger) { from.Apply(store.Record{At: at(7, 11), All: true}) }, store.Gone},
		"expiry of all":    {func(from *store.Ledger) { from.Apply(store.Record{At: at(7, 11), All: true, Soft: true}) }, store.Expired},
		"second beginning": {func(from *store.Ledger) { from.Restart(at(8, 11)) }, store.Gone},
	} {
		t.Run(name, func(t *testing.T) {
			l, from := store.NewLedger(), store.NewLedger()
			e := made(l, label(1))
			from.Restart(at(7, 10))
			test.happens(from)
			l.Replace(from)
			wantState(t, l, e, test.want, "made before")
			wantState(t, l, made(l, label(1)), store.Live, "made after")
		})
	}
}

// A ledger that is full forgets the oldest purges of whoever has most: nothing purged comes back, and nothing is gone that
// has nothing to do with them.
func TestLedgerIsBounded(t *testing.T) {
	const most = 1 << 16
	labels := keys.NewLabeler(nil)
	place := func(path string) keying.Label { return keys.Within(labels.Place(path), 1) }
	for _, test := range []struct {
		name   string
		record func(i int) []keying.Label // of a flood
		victim []keying.Label             // of what is gone with it
	}{
		{"of an area", func(i int) []keying.Label { return []keying.Label{label(i + 1), place(fmt.Sprint("/items/", i))} },
			[]keying.Label{labels.Tag("x"), labels.Place("/items/x")}},
		{"of names", func(i int) []keying.Label { return []keying.Label{label(i + 1)} }, []keying.Label{label(7777)}},
	} {
		for _, soft := range []bool{false, true} {
			want := store.Gone
			if soft {
				want = store.Expired
			}
			l := store.NewLedger()
			l.Restart(at(1, 1))
			other := []keying.Label{labels.Tag("other"), labels.Place("/pages/1")}
			before, between := made(l, test.record(0)...), made(l, test.victim...)
			purged := made(l, labels.Tag("purged"), labels.Place("/pages/2"))
			l.Apply(store.Record{At: at(1, 2), Labels: []keying.Label{labels.Tag("purged"), place("/pages/2")}, Soft: soft})
			bystander := made(l, other...)
			for i := range most + 100 {
				l.Apply(store.Record{At: at(1, uint64(10+i)), Labels: test.record(i), Soft: soft})
			}
			wantState(t, l, before, want, "purged and forgotten")
			wantState(t, l, purged, want, "purged before the flood")
			wantState(t, l, bystander, store.Live, "elsewhere")
			wantState(t, l, read(at(1, 5), other...), store.Live, "read, elsewhere")
			wantState(t, l, between, want, "older, and of the flood's area")
			wantState(t, l, read(at(1, 5), test.victim...), want, "read, older, and of the flood's area")
			wantState(t, l, read(at(1, 10+most), test.victim...), store.Live, "read, newer than what was forgotten")
			wantState(t, l, made(l, test.record(0)...), store.Live, "made after")
			if l.Rises() == 0 {
				t.Error("that purges were forgotten is not told")
			}
		}
	}
}

// A purge that is repeated takes no more room than one.
func TestRepeatedPurgeTakesNoRoom(t *testing.T) {
	l := store.NewLedger()
	l.Restart(at(1, 1))
	l.Apply(store.Record{At: at(1, 2), Labels: []keying.Label{label(1)}})
	bystander := made(l, label(2))
	for i := range uint64(100_000) {
		l.Apply(store.Record{At: at(1, 10+i), Labels: []keying.Label{label(0)}})
	}
	wantState(t, l, bystander, store.Live, "another")
	wantState(t, l, read(at(1, 1), label(1)), store.Gone, "purged before")
	if n := l.Rises(); n != 0 {
		t.Errorf("purges were forgotten %d times", n)
	}
}

// Floods in more areas than are told apart end with everything gone, and with nothing that comes back.
func TestLedgerIsBoundedInAreas(t *testing.T) {
	l, labels := store.NewLedger(), keys.NewLabeler(nil)
	l.Restart(at(1, 1))
	old := made(l)
	for i := range 1 << 17 {
		l.Apply(store.Record{At: at(1, uint64(10+i)), Wide: true, Labels: []keying.Label{keys.Within(labels.Place(fmt.Sprint("/", i)), 1)}})
	}
	wantState(t, l, old, store.Gone, "of no area")
	wantState(t, l, made(l, labels.Place("/1")), store.Live, "made after")
}

// A purge of a whole area hits what lies in it.
func TestWidePurge(t *testing.T) {
	l, labels := store.NewLedger(), keys.NewLabeler(nil)
	l.Restart(at(1, 1))
	in, out := made(l, label(1), labels.Place("/items/7")), made(l, label(1), labels.Place("/pages/7"))
	l.Apply(store.Record{At: at(1, 2), Wide: true, Labels: []keying.Label{keys.Within(labels.Place("/items"), 1)}})
	wantState(t, l, in, store.Gone, "within")
	wantState(t, l, out, store.Live, "elsewhere")
	wantState(t, l, made(l, labels.Place("/items/7")), store.Live, "made after")
}

// What was made, or found live, under one ledger of a process is judged by its position under another.
func TestLedgersDoNotReadEachOthersCounts(t *testing.T) {
	a, b := readthrough.NewLog().Ledger(), readthrough.NewLog().Ledger()
	e := made(a, label(1))
	wantState(t, a, e, store.Live, "by its own ledger")
	wantState(t, b, e, store.Gone, "by one of another log")
	wantState(t, a, e, store.Live, "by its own ledger again")

	a, b = store.NewLedger(), store.NewLedger() // of one log
	a.Restart(at(1, 10))
	b.Restart(at(1, 10))
	for i := range uint64(5) {
		a.Apply(store.Record{At: at(1, 20+i)})
	}
	e = made(a, label(1))
	b.Apply(store.Record{At: at(1, 24)})
	wantState(t, a, e, store.Live, "by its own ledger")
	wantState(t, b, e, store.Live, "by another's")
	b.Apply(store.Record{At: at(1, 25), Labels: []keying.Label{label(1)}})
	wantState(t, b, e, store.Gone, "by another's that knows of a purge")
	wantState(t, a, e, store.Live, "by its own ledger, which does not know")
}

// naive is a ledger without bounds and short cuts.
type naive []store.Record

func (n naive) state(e *store.Entry, from int) store.Liveness {
	state := store.Live
	for _, r := range n[from:] {
		hit := r.All
		for _, purged := range r.Labels {
			for _, l := range e.Labels {
				hit = hit || l == purged
			}
		}
		if hit && !r.Soft {
			return store.Gone
		}
		if hit {
			state = store.Expired
		}
	}
	return state
}

func TestLedgerAgreesWithNaiveOne(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	l := store.NewLedger()
	l.Restart(at(1, 1))
	type kept struct {
		here, far *store.Entry
		from      int
	}
	var log naive
	var entries []kept
	for i := range 2000 {
		switch r.IntN(3) {
		case 0:
			rec := store.Record{At: at(1, uint64(2+i)), Soft: r.IntN(3) == 0, All: r.IntN(40) == 0}
			for range r.IntN(3) {
				rec.Labels = append(rec.Labels, label(r.IntN(20)))
			}
			log = append(log, rec)
			l.Apply(rec)
		default:
			e := made(l, label(r.IntN(20)), label(r.IntN(20)))
			entries = append(entries, kept{e, read(e.At, e.Labels...), len(log)})
		}
		for range 5 {
			if len(entries) == 0 {
				break
			}
			k := entries[r.IntN(len(entries))]
			want := log.state(k.here, k.from)
			wantState(t, l, k.here, want, "made here")
			wantState(t, l, k.far, want, "read from a store")
		}
	}
}

// A purge that has been applied is seen by every later look, on whatever goroutine.
func TestLedgerUnderRace(t *testing.T) {
	log := readthrough.NewLog()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for range 500 {
				e := made(log.Ledger(), label(g))
				if log.Ledger().State(e) != store.Live {
					t.Error("a new entry is not live")
				}
				_ = log.Append(t.Context(), store.Record{Labels: []keying.Label{label(g)}})
				if log.Ledger().State(e) != store.Gone {
					t.Error("a purged entry is live")
				}
			}
		})
	}
	wg.Wait()
}
