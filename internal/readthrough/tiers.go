package readthrough

import (
	"context"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	"github.com/larder-go/cache/internal/trace"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Tiers are the stores of one process, with everything that they can do. [Resolve] determines the optional interfaces of package
// store once: nothing asserts them afterwards. A field is nil if a store lacks the interface.
type Tiers struct {
	Near store.Store // the process' memory; nil: nothing is stored there
	Far  store.Store // what processes share; nil: nothing
	Log  store.Log   // of purges

	Shared bool // the log is Far's, so that purges reach other processes; otherwise it is this process' own

	// Of Near.
	Memory   store.Local  // lookups without I/O
	Recaller Recaller     // … by the text of a key
	Tracer   trace.Tracer // remembers what it has dropped

	// Of Far.
	Leaser   store.Leaser
	Ranker   Ranker
	Reporter store.Reporter

	Follower store.Follower // the log, if other processes append to it
}

// Resolve determines what the stores can do. Either may be nil. This is the only place that asserts the optional interfaces:
// support for a further one belongs here.
func Resolve(near, far store.Store) Tiers {
	t := Tiers{Near: near, Far: far}
	t.Memory, _ = near.(store.Local)
	t.Recaller, _ = near.(Recaller)
	t.Tracer, _ = near.(trace.Tracer)
	t.Leaser, _ = far.(store.Leaser)
	t.Ranker, _ = far.(Ranker)
	t.Reporter, _ = far.(store.Reporter)
	log, shared := far.(store.Log)
	if !shared {
		log = NewLog()
	}
	t.Shared = shared
	return t.WithLog(log)
}

// WithLog returns the tiers with another purge log.
func (t Tiers) WithLog(log store.Log) Tiers {
	t.Log = log
	t.Follower, _ = log.(store.Follower)
	return t
}

// NearOnly returns the tiers without Far. The log stays.
func (t Tiers) NearOnly() Tiers {
	t.Far, t.Leaser, t.Ranker, t.Reporter = nil, nil, nil, nil
	return t
}

// FarOnly returns the tiers without Near. Entries in Far are then looked up in Far alone, even if Far is memory, as in
// tests.
func (t Tiers) FarOnly() Tiers {
	t.Near, t.Memory, t.Recaller, t.Tracer = nil, nil, nil, nil
	return t
}

// Seal returns the store with its entries authenticated under the secret, or false if it cannot do that. Past reports that the
// result is a store inside far: a wrapper that embeds a Sealer has its method Sealed, which knows nothing of the wrapper.
func Seal(far store.Store, secret []byte) (sealed store.Store, past, ok bool) {
	sealer, ok := far.(store.Sealer)
	if !ok {
		return far, false, false
	}
	sealed = sealer.Sealed(secret)
	is := reflect.TypeOf(sealed)
	return sealed, is != reflect.TypeOf(far) && storesInside(far)[is], true
}

// A wrapper that has a field of type store.Store, embedded or named, has the three methods of a Store and no others: it hides
// what the store inside can do. That compiles, and seems to work, until a purge is missed. So Hidden looks inside.

var (
	storeType    = reflect.TypeFor[store.Store]()
	leaserType   = reflect.TypeFor[store.Leaser]()
	reporterType = reflect.TypeFor[store.Reporter]()
	logTypes     = []reflect.Type{reflect.TypeFor[store.Log](), reflect.TypeFor[store.Follower]()}
)

// Hidden is what a store inside Far can do and Far itself cannot.
type Hidden struct {
	Log      []string // the interfaces of purge logs, like "store.Log"
	Leaser   bool
	Reporter bool
}

// Hidden returns what a store inside Far implements and Far does not. A store is inside if Far's method Unwrap() store.Store returns
// it, or if Far is a struct, or a pointer to one, with a field that holds it; the same applies to the stores inside that store.
func (t Tiers) Hidden() (h Hidden) {
	if t.Far == nil {
		return h
	}
	inside := storesInside(t.Far)
	hides := func(what reflect.Type) bool {
		for inner := range inside {
			if inner.Implements(what) && !reflect.TypeOf(t.Far).Implements(what) {
				return true
			}
		}
		return false
	}
	for _, what := range logTypes {
		if hides(what) {
			h.Log = append(h.Log, what.String())
		}
	}
	h.Leaser, h.Reporter = hides(leaserType), hides(reporterType)
	return h
}

// storesInside returns the types of the stores inside the store.
func storesInside(s store.Store) map[reflect.Type]bool {
	inside := map[reflect.Type]bool{}
	findStores(reflect.ValueOf(s), inside, maxDepth)
	return inside
}

const maxDepth = 8 // of wrappers: a store may hold itself

// findStores adds the types of the stores inside v, a store. It reads only those fields that may hold a store: another
// goroutine may be writing the others.
func findStores(v reflect.Value, found map[reflect.Type]bool, depth int) {
	if depth == 0 {
		return
	}
	add := func(inner reflect.Value) {
		found[inner.Type()] = true
		findStores(inner, found, depth-1)
	}
	if v.CanInterface() {
		if wrapper, ok := reflect.TypeAssert[interface{ Unwrap() store.Store }](v); ok {
			if inner := wrapper.Unwrap(); inner != nil {
				add(reflect.ValueOf(inner))
			}
		}
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return
	}
	for _, field := range v.Fields() {
		t := field.Type()
		if t.Kind() == reflect.Interface && (storeType.Implements(t) || t.Implements(storeType)) && !field.IsNil() {
			field = field.Elem()
			t = field.Type()
		}
		switch {
		case t.Kind() == reflect.Interface:
		case t.Implements(storeType):
			add(field)
		case t.Kind() == reflect.Struct && reflect.PointerTo(t).Implements(storeType):
			found[reflect.PointerTo(t)] = true
			findStores(field, found, depth-1)
		}
	}
}

// A Ranker is a Far store that remembers which keys are hot: those that processes keep reading from it to copy them near. A
// process that starts can have them in memory before its first request.
type Ranker interface {
	// Rank counts each of the keys once more.
	Rank(ctx context.Context, keys ...keying.Key) error
	// Hottest returns at most n keys, the hottest first. The list is bounded, and old counts are forgotten. The entries of
	// the keys may be gone.
	Hottest(ctx context.Context, n int) ([]keying.Key, error)
}

// NewLog returns the purge log of one process. It lives in memory and ends with the process, and so do all entries made under
// it: a purge need not reach anybody else, and the log is nothing but its ledger.
func NewLog() store.Log {
	l := &processLog{ledger: store.NewLedger()}
	l.ledger.Restart(store.Position{Epoch: rand.Uint64() | 1}) // differs from any earlier log, and is never zero
	return l
}

type processLog struct {
	mu     sync.Mutex // held from Head to Apply: no two records share a position
	ledger *store.Ledger
}

func (l *processLog) Ledger() *store.Ledger { return l.ledger }

func (l *processLog) Append(_ context.Context, r store.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.At = l.ledger.Head()
	r.At.Seq++
	l.ledger.Apply(r)
	return nil
}

// A Recaller is memory that finds an entry by the text that selects it, without the digest that is its key.
type Recaller interface {
	store.Local
	// Recall returns the entry that memory holds under the text, whose hash is given, and marks it as used, as Peek does with a key.
	// It does not allocate. What has expired by now is absent. The text is the caller's.
	Recall(hash uint64, text []byte, now time.Time) (*store.Entry, bool)
	// Remember records the text, which it copies, for the entry held under the key. If there is none, or the text is known,
	// it does nothing.
	Remember(key keying.Key, hash uint64, text []byte)
}
