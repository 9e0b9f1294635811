package cache_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
)

// bare is a Far store of three methods.
type bare struct{ memory *memstore.Store }

func (b bare) Get(ctx context.Context, key keying.Key) (*store.Entry, bool, error) {
	return b.memory.Get(ctx, key)
}

func (b bare) Set(ctx context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	return b.memory.Set(ctx, key, e, keep)
}

func (b bare) Delete(ctx context.Context, keys ...keying.Key) error {
	return b.memory.Delete(ctx, keys...)
}

// following is a Far store whose purges reach other processes.
type following struct{ *fartest.Store }

func (following) Follow(ctx context.Context, _ func(error)) { <-ctx.Done() }
func (following) CatchUp(context.Context) error             { return nil }
func (following) Post(context.Context, store.Record) error  { return nil }
func (following) CircuitOpen() bool                         { return false }

// leasing is a Far store that can do all that purges and loads need.
type leasing struct{ following }

func (l leasing) Release(context.Context, keying.Key, store.Token, time.Duration) error { return nil }
func (l leasing) Extend(context.Context, keying.Key, store.Token, time.Duration) (bool, error) {
	return true, nil
}

func (l leasing) Lease(ctx context.Context, key keying.Key, _ store.Token, _ time.Duration) (*store.Entry, store.Lease, error) {
	e, _, err := l.Get(ctx, key)
	return e, store.Lease{State: store.Taken}, err
}

func (l leasing) SetAndRelease(ctx context.Context, key keying.Key, _ store.Token, e *store.Entry, keep time.Duration) error {
	return l.Set(ctx, key, e, keep)
}

// Wrappers, as one writes them to count or to log.
type (
	embeds  struct{ store.Store }
	names   struct{ inner store.Store }
	narrows struct {
		inner interface {
			Get(context.Context, keying.Key) (*store.Entry, bool, error)
		}
		bare
	}
	calls struct {
		bare
		inner func() store.Store
	}
	logs struct {
		store.Store
		store.Log
	}
	passes struct{ leasing }
	holds  struct {
		names
	}
)

func (n names) Get(ctx context.Context, key keying.Key) (*store.Entry, bool, error) {
	return n.inner.Get(ctx, key)
}

func (n names) Set(ctx context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	return n.inner.Set(ctx, key, e, keep)
}

func (n names) Delete(ctx context.Context, keys ...keying.Key) error {
	return n.inner.Delete(ctx, keys...)
}

func (c calls) Unwrap() store.Store { return c.inner() }

// New warns once of a Far store whose purges reach no other process, and of a wrapper that hides what the wrapped store can do.
func TestAStoreThatHidesWhatItCanDoIsAWarning(t *testing.T) {
	memory := memstore.New(memstore.Options{})
	t.Cleanup(func() { _ = memory.Close() })
	far, plain := leasing{following{fartest.New()}}, bare{memory}
	for name, tt := range map[string]struct {
		far    store.Store
		log    string // what the warnings say; "": there is none
		leases string
	}{
		"none":                      {},
		"one that can do all":       {far: far},
		"one without a log":         {far: plain, log: "is no store.Log"},
		"memory":                    {far: memory, log: "is no store.Log"},
		"embedded":                  {embeds{far}, "hides store.Log, store.Follower", "hides store.Leaser"},
		"pointer":                   {&embeds{far}, "hides store.Log", "hides store.Leaser"},
		"a pointer inside":          {embeds{&far}, "hides store.Log", "hides store.Leaser"},
		"named field":               {names{inner: far}, "hides store.Log", "hides store.Leaser"},
		"pointer, named field":      {&names{inner: far}, "hides store.Log", "hides store.Leaser"},
		"field of another type":     {narrows{inner: far, bare: plain}, "hides store.Log", "hides store.Leaser"},
		"two deep":                  {embeds{&names{inner: far}}, "hides store.Log", "hides store.Leaser"},
		"two deep, by value":        {&holds{names{inner: far}}, "hides store.Log", "hides store.Leaser"},
		"Unwrap":                    {calls{plain, func() store.Store { return far }}, "hides store.Log", "hides store.Leaser"},
		"Unwrap, two deep":          {calls{plain, func() store.Store { return embeds{far} }}, "hides store.Log", "hides store.Leaser"},
		"Unwrap of nothing":         {far: calls{plain, func() store.Store { return nil }}, log: "is no store.Log"},
		"Unwrap inside":             {embeds{calls{plain, func() store.Store { return far }}}, "hides store.Log", "hides store.Leaser"},
		"nil inside":                {far: (*embeds)(nil), log: "is no store.Log"},
		"nothing inside":            {far: embeds{}, log: "is no store.Log"},
		"with a log of its own":     {logs{far, far}, "hides store.Follower", "hides store.Leaser"},
		"one that passes all on":    {far: passes{far}},
		"around one that has none":  {far: embeds{plain}, log: "is no store.Log"},
		"around one without leases": {far: embeds{following{fartest.New()}}, log: "hides store.Log, store.Follower"},
	} {
		t.Run(name, func(t *testing.T) {
			var told []cache.Event
			newCache(t, cache.Options{Far: tt.far, Observe: func(ev cache.Event) { told = append(told, ev) }})
			for reason, want := range map[cache.Reason]string{cache.ReasonNoLog: tt.log, cache.ReasonNoLeases: tt.leases} {
				var said []string
				for _, ev := range told {
					if ev.Reason == reason && ev.Outcome == cache.Warning {
						said = append(said, ev.Err.Error())
					}
				}
				switch {
				case want == "" && len(said) == 0:
				case len(said) != 1 || !strings.Contains(said[0], "Options.Far") || !strings.Contains(said[0], want) || !strings.Contains(said[0], ";"):
					t.Errorf("%s: told %q; want one that says %q, and the remedy", reason, said, want)
				}
			}
		})
	}
}

// reporting is a Far store with a circuit breaker.
type reporting struct{ leasing }

func (reporting) OnFault(func(error)) func()           { return func() {} }
func (reporting) OnCircuit(func(string, error)) func() { return func() {} }
func (reporting) Warning() error                       { return nil }

// sealing is a Far store that authenticates, and sealedWrapper a wrapper that passes that on.
type (
	sealing       struct{ reporting }
	sealedWrapper struct{ sealing }
	sealsAnew     struct{ sealing }
)

func (s sealing) Sealed([]byte) store.Store { return s }
func (s sealsAnew) Sealed(secret []byte) store.Store {
	return sealsAnew{s.sealing.Sealed(secret).(sealing)}
}

// New warns of a wrapper that hides what the store reports, or that sealing bypasses. Nobody would notice otherwise.
func TestAWrapperThatIsBypassedIsAWarning(t *testing.T) {
	inner := sealing{reporting{leasing{following{fartest.New()}}}}
	for name, tt := range map[string]struct {
		far    store.Store
		secret string
		want   string // "": there is no warning
	}{
		"no wrapper":                         {far: inner},
		"a wrapper that hides reports":       {far: embeds{inner}, want: "hides store.Reporter"},
		"a named field":                      {far: &names{inner: inner}, want: "hides store.Reporter"},
		"a wrapper that passes all on":       {far: sealedWrapper{inner}},
		"no wrapper, sealed":                 {far: inner, secret: "0123456789abcdef"},
		"Sealed is the inner store's":        {far: sealedWrapper{inner}, secret: "0123456789abcdef", want: "goes past the wrapper"},
		"the same, through a pointer":        {far: &sealedWrapper{inner}, secret: "0123456789abcdef", want: "goes past the wrapper"},
		"a wrapper with a Sealed of its own": {far: sealsAnew{inner}, secret: "0123456789abcdef"},
	} {
		t.Run(name, func(t *testing.T) {
			var said []string
			newCache(t, cache.Options{Far: tt.far, Secret: []byte(tt.secret), Observe: func(ev cache.Event) {
				if ev.Reason == cache.ReasonOptions && ev.Outcome == cache.Warning {
					said = append(said, ev.Err.Error())
				}
			}})
			switch {
			case tt.want == "" && len(said) == 0:
			case len(said) != 1 || !strings.Contains(said[0], tt.want) || !strings.Contains(said[0], ";"):
				t.Errorf("warnings %q; want one that says %q, and the remedy", said, tt.want)
			}
		})
	}
}

// A store that wraps itself does not make New loop.
func TestAStoreThatWrapsItself(t *testing.T) {
	ring := &names{}
	ring.inner = ring
	var unwraps calls
	unwraps = calls{inner: func() store.Store { return unwraps }}
	for _, far := range []store.Store{ring, unwraps} {
		newCache(t, cache.Options{Far: far, Observe: func(cache.Event) {}})
	}
}
