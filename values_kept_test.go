package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/store/memstore"
)

// told are the events of a cache.
type told struct {
	mu     sync.Mutex
	events []cache.Event
}

func (o *told) observe(ev cache.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, ev)
}

// has returns how many events have the outcome, the reason and, in their error, the text.
func (o *told) has(outcome cache.Outcome, reason cache.Reason, text string) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, ev := range o.events {
		if ev.Outcome == outcome && ev.Reason == reason && strings.Contains(fmt.Sprint(ev.Err), text) {
			n++
		}
	}
	return n
}

// newValues returns values of a class in their own cache, the cache's events, and a count of loads.
func newValues[T any](t *testing.T, far *fartest.Store, class cache.Class, load func(id string) T) (*cache.Values[T], *told, *atomic.Int64) {
	t.Helper()
	o, loads := new(told), new(atomic.Int64)
	c, err := cache.New(cache.Options{Far: far, Observe: o.observe})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return cache.NewValues(c, "thing", cache.Policy{Class: class}, func(_ context.Context, id string) (T, error) {
		loads.Add(1)
		return load(id), nil
	}), o, loads
}

// fromRedis returns the value that a process gets from Redis, not from a load of its own.
func fromRedis[T any](t *testing.T, class cache.Class, value T) T {
	t.Helper()
	far := fartest.New()
	first, _, _ := newValues(t, far, class, func(string) T { return value })
	if _, err := first.Get(alice(t), "7"); err != nil {
		t.Fatal(err)
	}
	second, _, loads := newValues(t, far, class, func(string) (none T) { return none })
	got, err := second.Get(alice(t), "7")
	if err != nil || loads.Load() > 0 {
		t.Errorf("%s: Get = %v after %d loads; want the value from Redis", class, err, loads.Load())
	}
	return got
}

// A node points to another node: a recursive type.
type node struct {
	Name string
	Next *node
	List []node
	Map  map[string]node
}

func TestValuesThatEndComeBack(t *testing.T) {
	want := node{Name: "a", Next: &node{Name: "b"}, List: []node{{Name: "c"}}, Map: map[string]node{"d": {Name: "d"}}}
	free := map[string]any{"a": []any{"x", 1.5, int64(7), nil, true}, "b": map[string]any{}, "at": time.Unix(1e9, 0)}
	for _, class := range inRedis {
		if got := fromRedis(t, class, want); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v; want %+v", class, got, want)
		}
		if got := fromRedis(t, class, free); !reflect.DeepEqual(got, free) {
			t.Errorf("%s: %#v; want %#v", class, got, free)
		}
		if got := fromRedis[any](t, class, nil); got != nil {
			t.Errorf("%s: %v; want nil", class, got)
		}
		if got := fromRedis(t, class, struct{ N big.Int }{*big.NewInt(7)}); got.N.Int64() != 7 {
			t.Errorf("%s: %v; want 7", class, got.N.Int64())
		}
	}
}

func refused[T any](t *testing.T, place string) {
	t.Helper()
	for _, class := range classes {
		c, err := cache.New(cache.Options{Far: fartest.New()})
		if err != nil {
			t.Fatal(err)
		}
		var loads int
		func() {
			defer func() {
				p := recover()
				if text := fmt.Sprint(p); (class == cache.SharedGlobal) != (p == nil) || p != nil && !strings.Contains(text, place) {
					t.Errorf("%s of %s: NewValues panics with %q; want it to name %q", class, reflect.TypeFor[T](), text, place)
				}
			}()
			v := cache.NewValues(c, "thing", cache.Policy{Class: class}, func(context.Context, string) (none T, err error) {
				loads++
				return none, nil
			})
			for range 2 {
				if _, err := v.Get(alice(t), "7"); err != nil || loads != 1 {
					t.Errorf("%s of %s: Get = %v after %d loads; want one", class, reflect.TypeFor[T](), err, loads)
				}
			}
		}()
		_ = c.Close(context.Background())
	}
}

type (
	loop  *loop
	embed struct{ *embed }
	inner struct{ Name string }
)

// A type that does not survive encoding is refused for classes that live in Redis. In memory every type works.
func TestTypesThatCannotComeBackAreRefusedForRedis(t *testing.T) {
	refused[struct{ Shape fmt.Stringer }](t, "Shape")
	refused[struct{ Err error }](t, "Err")
	refused[[]struct{ List map[string][]func() }](t, "[].List[][]")
	refused[struct{ C chan int }](t, "C")
	refused[struct{ C complex64 }](t, "C")
	refused[struct{ P uintptr }](t, "P")
	refused[struct{ Mu *sync.Mutex }](t, "Mu")
	refused[struct{ name string }](t, "no exported field")
	refused[struct{ N map[string]big.Int }](t, "N")
	refused[map[*string]int](t, "keys")
	refused[map[any]int](t, "keys")
	refused[loop](t, "itself")
	refused[embed](t, "embed")
	refused[struct{ *inner }](t, "inner")
	refused[struct {
		inner
		Name string
	}](t, "Name")
	refused[struct{ Client *http.Client }](t, "Client")
	refused[fmt.Stringer](t, "Stringer")
}

// Values that only memory stores are not encoded: those that could not be are stored as they are.
func TestValuesInMemoryAreKeptAsTheyAre(t *testing.T) {
	type live struct {
		F    func() int
		C    chan int
		Self *live
		name string
	}
	v, _, loads := newValues(t, fartest.New(), cache.SharedGlobal, func(id string) live {
		l := live{F: func() int { return 7 }, C: make(chan int, 1), name: id}
		l.Self = &l
		return l
	})
	for range 3 {
		got, err := v.Get(t.Context(), "x")
		if err != nil || got.F() != 7 || got.name != "x" || got.Self.Self != got.Self || loads.Load() != 1 {
			t.Errorf("Get = %+v, %v after %d loads; want what was loaded once", got, err, loads.Load())
		}
	}
}

// Values that only memory stores count with everything that they point to. Those larger than MaxBody are not stored.
func TestValuesInMemoryAreBounded(t *testing.T) {
	type page struct {
		title string
		body  []byte
		links map[string]*page
	}
	for _, kept := range []bool{true, false} {
		near := memstore.New(memstore.Options{})
		c, err := cache.New(cache.Options{Near: near})
		if err != nil {
			t.Fatal(err)
		}
		size := 100 << 10
		p := cache.Policy{Class: cache.SharedGlobal, MaxBody: int64(size) + 10<<10}
		if !kept {
			p.MaxBody = int64(size)
		}
		loads := 0
		v := cache.NewValues(c, "page", p, func(context.Context, string) (*page, error) {
			loads++
			p := &page{title: "a", body: make([]byte, size)}
			p.links = map[string]*page{"self": p}
			return p, nil
		})
		for range 2 {
			if _, err := v.Get(t.Context(), "x"); err != nil {
				t.Error(err)
			}
		}
		if bytes := near.Bytes(); kept != (loads == 1) || kept != (bytes > int64(size)) {
			t.Errorf("kept %v: %d loads and %d bytes in memory", kept, loads, bytes)
		}
		_ = c.Close(context.Background())
		_ = near.Close()
	}
}

// Where the type alone does not tell whether a value survives encoding, each value is checked.
func TestValuesThatCannotComeBackAreNotKept(t *testing.T) {
	round := &node{Name: "a"}
	round.Next = &node{Name: "b", Next: round}
	deep := &node{}
	for range 200 {
		deep = &node{Next: deep}
	}
	wide := &node{} // 2 to the power of 40 nodes, were each written
	for range 40 {
		wide = &node{Next: wide, List: []node{*wide}}
	}
	open := map[string]any{}
	open["self"] = open
	for name, value := range map[string]any{
		"round": round, "deep": deep, "wide": wide, "open": open,
		"int": map[string]any{"n": 7}, "struct": []any{node{}}, "list": map[string]any{"n": []string{"a"}}, "nil": map[string]any{"n": []any(nil)},
	} {
		for _, class := range inRedis {
			var v interface {
				get(*testing.T) error
			}
			var o *told
			var loads *atomic.Int64
			switch value := value.(type) {
			case *node:
				v, o, loads = getterOf(newValues(t, fartest.New(), class, func(string) *node { return value }))
			default:
				v, o, loads = getterOf(newValues(t, fartest.New(), class, func(string) any { return value }))
			}
			for range 2 {
				if err := v.get(t); err != nil {
					t.Errorf("%s, %s: %v", name, class, err)
				}
			}
			reason, text := cache.ReasonValue, "thing"
			if name == "wide" {
				reason, text = "size", ""
			}
			if n := o.has(cache.Miss, reason, text); loads.Load() != 2 || n != 2 {
				t.Errorf("%s, %s: %d loads, and %d events with the reason %q; want 2: %v", name, class, loads.Load(), n, reason, o.events)
			}
		}
	}
}

type getter[T any] struct{ *cache.Values[T] }

func (g getter[T]) get(t *testing.T) error {
	_, err := g.Get(alice(t), "7")
	return err
}

func getterOf[T any](v *cache.Values[T], o *told, loads *atomic.Int64) (getter[T], *told, *atomic.Int64) {
	return getter[T]{v}, o, loads
}

// A build whose type has other fields does not read the values of the previous build.
func TestValuesOfOtherTypesNeverMix(t *testing.T) {
	for _, class := range inRedis {
		far := fartest.New()
		old, _, _ := newValues(t, far, class, func(string) struct{ Name string } { return struct{ Name string }{"a"} })
		_, _ = old.Get(alice(t), "x")
		renamed, _, loads := newValues(t, far, class, func(string) struct{ Title string } { return struct{ Title string }{"b"} })
		if got, err := renamed.Get(alice(t), "x"); got.Title != "b" || err != nil || loads.Load() != 1 {
			t.Errorf("%s: Get = %+v, %v after %d loads; want its own", class, got, err, loads.Load())
		}
		if got, err := old.Get(alice(t), "x"); got.Name != "a" || err != nil {
			t.Errorf("%s: Get = %+v, %v; want its own", class, got, err)
		}
	}
	c, err := cache.New(cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	p := cache.Policy{Class: cache.SharedGlobal}
	n := cache.NewValues(c, "thing", p, func(context.Context, string) (int, error) { return 7, nil })
	s := cache.NewValues(c, "thing", p, func(context.Context, string) (string, error) { return "b", nil })
	for range 2 {
		i, _ := n.Get(t.Context(), "x")
		if text, _ := s.Get(t.Context(), "x"); i != 7 || text != "b" {
			t.Errorf("Get = %v and %q in memory; want each its own", i, text)
		}
	}
}

// Types of two functions, or of two packages, may have the same name, also behind a pointer or in a list. Their values never mix.
func TestTypesOfOneNameHaveValuesOfTheirOwn(t *testing.T) {
	c, err := cache.New(cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	var loads [2]int
	p := cache.Policy{Class: cache.SharedGlobal}
	number := func() func() int {
		type row struct{ A int }
		v := cache.NewValues(c, "rows", p, func(context.Context, string) ([]row, error) { loads[0]++; return []row{{7}}, nil })
		return func() int { rows, _ := v.Get(t.Context(), "x"); return rows[0].A }
	}()
	text := func() func() string {
		type row struct{ A string }
		v := cache.NewValues(c, "rows", p, func(context.Context, string) ([]row, error) { loads[1]++; return []row{{"b"}}, nil })
		return func() string { rows, _ := v.Get(t.Context(), "x"); return rows[0].A }
	}()
	for range 3 {
		if n, s := number(), text(); n != 7 || s != "b" {
			t.Errorf("Get = %v and %q; want each its own", n, s)
		}
	}
	if loads != [2]int{1, 1} {
		t.Errorf("loads = %v; want one of each", loads)
	}
}

func TestAStaleValueTellsTheErrorItHides(t *testing.T) {
	for _, class := range classes {
		for _, p := range []cache.Policy{{StaleIfError: time.Minute}, {StaleIfError: time.Minute, StaleWhileRevalidate: time.Minute}} {
			synctest.Test(t, func(t *testing.T) {
				o, fail := new(told), error(nil)
				c, err := cache.New(cache.Options{Far: fartest.New(), Observe: o.observe})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close(context.Background())
				p.Class, p.TTL = class, 10*time.Second
				v := cache.NewValues(c, "thing", p, func(context.Context, string) (int, error) { return 7, fail })
				_, _ = v.Get(alice(t), "x")
				time.Sleep(11 * time.Second)
				fail = errors.New("the database is down")
				if got, err := v.Get(alice(t), "x"); got != 7 || err != nil {
					t.Errorf("%s: Get = %v, %v; want the stale value", class, got, err)
				}
				synctest.Wait()
				outcome := cache.Fault
				if p.StaleWhileRevalidate > 0 {
					outcome = cache.Refresh
				}
				if n := o.has(outcome, "handler-error", "the database is down"); n != 1 {
					t.Errorf("%s: %d events %q name the error; want 1 of %v", class, n, outcome, o.events)
				}
			})
		}
	}
}

// A stored value that does not decode is a miss like any other: one load for all callers replaces it.
func TestAValueThatDoesNotDecodeIsLoadedOnceAndHeals(t *testing.T) {
	bodies := map[string][]byte{"another type": {0xa1, 'x'}, "nothing": {}, "cut off": {0x91}, "another's": {0x93, 1, 2, 3}}
	for name, body := range bodies {
		for _, class := range inRedis {
			t.Run(class.String()+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					far := fartest.New()
					load := func(string) int { time.Sleep(time.Second); return 7 }
					first, _, _ := newValues(t, far, class, load)
					_, _ = first.Get(alice(t), "x")
					far.Overwrite(t, body)
					second, o, loads := newValues(t, far, class, load)
					var all sync.WaitGroup
					for range 500 {
						all.Go(func() {
							if got, err := second.Get(alice(t), "x"); got != 7 || err != nil {
								t.Errorf("Get = %v, %v; want 7", got, err)
							}
						})
					}
					all.Wait()
					if n := o.has(cache.Fault, cache.ReasonCorrupt, "int"); loads.Load() != 1 || n == 0 {
						t.Errorf("%d loads and %d events; want one load, and told", loads.Load(), n)
					}
					third, _, loads := newValues(t, far, class, load)
					if got, err := third.Get(alice(t), "x"); got != 7 || err != nil || loads.Load() != 0 {
						t.Errorf("Get = %v, %v after %d loads; want 7 from Redis", got, err, loads.Load())
					}
				})
			})
		}
	}
}

// Anybody may have written what is in Redis: a byte there must not take a kilobyte of memory here.
func TestPlantedValuesTakeLittleMemory(t *testing.T) {
	type large struct{ A [3500]byte }
	lists := []byte{0xdd, 0, 1, 0x80, 0} // 98,304 of something
	for name, body := range map[string][]byte{
		"structs":        append(lists, make([]byte, 98304)...),
		"liar":           {0xdd, 0xff, 0xff, 0xff, 0xff},
		"beyond MaxBody": append([]byte{0xc6, 0, 0x20, 0, 0}, make([]byte, 2<<20)...),
	} {
		if name == "structs" {
			for i := range body[5:] {
				body[5+i] = 0xc0
			}
		}
		for _, class := range inRedis {
			far := fartest.New()
			load := func(string) []large { return []large{{}} }
			first, _, _ := newValues(t, far, class, load)
			_, _ = first.Get(alice(t), "x")
			far.Overwrite(t, body)
			second, o, loads := newValues(t, far, class, load)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, err := second.Get(alice(t), "x")
			runtime.ReadMemStats(&after)
			if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 40 || len(got) != 1 || err != nil || loads.Load() != 1 {
				t.Errorf("%s, %s: Get = %d, %v after %d loads and %d MiB; want a load of its own", name, class, len(got), err, loads.Load(), took)
			}
			if o.has(cache.Fault, cache.ReasonCorrupt, "") == 0 {
				t.Errorf("%s, %s: nothing is told", name, class)
			}
		}
	}
}
