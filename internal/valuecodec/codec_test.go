package valuecodec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/quick"
	"time"

	mathrand "math/rand"

	"github.com/larder-go/cache/internal/valuecodec"
)

type (
	level  int8
	title  string
	flags  [3]bool
	digest [8]byte
	pair   struct {
		A int
		B string
	}
	Base  struct{ ID, Rev int64 }
	base  struct{ ID, Rev int64 }
	Embed struct{ Note string }
	whole struct {
		Base
		Embed `msgpack:",noinline"`
		Note  []string
		Level level
		Title *title
		Flags flags
		Sum   digest
		Raw   json.RawMessage
		Bytes []byte
		F32   float32
		F64   *float64
		U8    uint8
		U     uint
		I16   []int16
		Bools map[string]bool
		Pairs map[pair][]pair
		Deep  map[level]map[title][]*pair
		Many  [2][]pair
		Named int `msgpack:"n"`
		None  struct{}
	}
	asArray struct {
		_msgpack struct{} `msgpack:",as_array"` //lint:ignore U1000 read by msgpack, by reflection
		A        int
		B        []string
	}
	tree struct {
		Name  string
		Left  *tree
		Right *tree
		Rest  []tree
		By    map[string]tree
	}
	generic[K comparable, V any] struct {
		Key   K
		Value V
	}
	omits struct {
		A int        `msgpack:",omitempty"`
		P *pair      `msgpack:",omitempty"`
		M [100]int64 `msgpack:"-"`
	}
	itself struct{ secret string }
)

func (i itself) MarshalText() ([]byte, error)  { return []byte(i.secret), nil }
func (i *itself) UnmarshalText(b []byte) error { i.secret = string(b); return nil }

// comesBack writes values of T, and wants each to come back the same.
func comesBack[T any](t *testing.T, values ...T) {
	t.Helper()
	c, err := valuecodec.New(reflect.TypeFor[T](), 1<<20)
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	check := func(v T) bool {
		b, held, err := c.Encode(&v)
		if errors.Is(err, valuecodec.ErrTooLarge) {
			return true
		}
		var got T
		read, err2 := c.Decode(b, &got)
		if err != nil || err2 != nil || !reflect.DeepEqual(got, v) || held != read {
			t.Errorf("%#v comes back as %#v, %v, %v, of %d and %d bytes", v, got, err, err2, held, read)
		}
		if weight := valuecodec.Weigh(reflect.ValueOf(&got).Elem(), math.MaxInt64); weight > held {
			t.Errorf("%#v takes %d bytes; %d were measured", got, weight, held)
		}
		return !t.Failed()
	}
	for _, v := range values {
		check(v)
	}
	if values == nil {
		r := mathrand.New(mathrand.NewSource(rand.Int64()))
		if err := quick.Check(check, &quick.Config{Rand: r, MaxCount: 100}); err != nil {
			t.Error(err)
		}
		var zero T
		check(zero)
	}
}

func TestWhatIsAcceptedComesBack(t *testing.T) {
	comesBack[int](t)
	comesBack[uint8](t)
	comesBack[uint64](t)
	comesBack[float32](t)
	comesBack[string](t)
	comesBack[[]byte](t)
	comesBack[*string](t)
	comesBack[[]string](t)
	comesBack[map[string]string](t)
	comesBack[map[int64]map[level][]byte](t)
	comesBack[map[[2]int]pair](t)
	comesBack[map[bool]float64](t)
	comesBack[time.Duration](t)
	comesBack[whole](t)
	comesBack[[]*whole](t)
	comesBack(t, asArray{A: 7, B: []string{"a"}}, asArray{})
	comesBack(t, struct{ base }{base{1, 2}})
	comesBack[generic[string, []generic[int, *pair]]](t)
	comesBack(t, omits{}, omits{A: 7, P: &pair{}})
	comesBack[tree](t, tree{}, tree{Left: &tree{Name: "a", Rest: []tree{{}, {Name: "b"}}}, By: map[string]tree{"": {Right: &tree{}}}})
	comesBack(t, itself{"a"}, itself{})
	comesBack(t, map[string]itself{"k": {"a"}})
	comesBack(t, netip.MustParseAddr("::1"), netip.Addr{})
	comesBack(t, net.IPv4(1, 2, 3, 4), nil)
	comesBack(t, &url.URL{Scheme: "https", Host: "shop.example", Path: "/"})
	comesBack(t, *big.NewInt(1 << 60))
	comesBack(t, []*big.Int{big.NewInt(7), nil})
	comesBack(t, time.Unix(1e9, 7), time.Unix(-1e9, 0), time.Unix(1<<35, 0))
	comesBack(t, []string{}, nil)
	comesBack(t, map[string]int{}, nil)
	comesBack(t, []map[string][]int{{}, nil, {"a": {}, "b": nil}})
	comesBack[any](t, nil, true, "a", []byte{1}, int8(-7), int16(7), int32(7), int64(7), int64(math.MinInt64), uint8(7), uint16(7),
		uint32(7), uint64(math.MaxUint64), float32(1), 1.5, time.Unix(1, 0), []any{nil, []any{}}, map[string]any{"a": map[string]any{}})
}

func TestZeroTimeComesBack(t *testing.T) {
	c, err := valuecodec.New(reflect.TypeFor[time.Time](), 100)
	if err != nil {
		t.Fatal(err)
	}
	got, want := time.Now(), time.Time{}
	b, _, err := c.Encode(&want)
	if _, err2 := c.Decode(b, &got); err != nil || err2 != nil || !got.Equal(want) {
		t.Errorf("%v comes back as %v, %v, %v", want, got, err, err2)
	}
}

type (
	writesOnly struct{ N int }
	readsOnly  struct{ N int }
	mixed      struct{ N int }
	uneven     struct{ N int }
	loop       *loop
	hides      struct {
		base
		ID int64
	}
)

func (writesOnly) MarshalText() ([]byte, error) { return nil, nil }
func (*readsOnly) UnmarshalBinary([]byte) error { return nil }
func (mixed) MarshalBinary() ([]byte, error)    { return nil, nil }
func (*mixed) UnmarshalText([]byte) error       { return nil }
func (uneven) MarshalText() ([]byte, error)     { return nil, nil }
func (*uneven) UnmarshalText([]byte) error      { return nil }
func (*uneven) MarshalBinary() ([]byte, error)  { return nil, nil }
func (*uneven) UnmarshalBinary(b []byte) error  { return nil }

func TestTypesAreRefusedWithTheirPlace(t *testing.T) {
	for place, typ := range map[string]reflect.Type{
		".W[]: ":   reflect.TypeFor[struct{ W []writesOnly }](),
		"[]: ":     reflect.TypeFor[map[string]readsOnly](),
		".M: ":     reflect.TypeFor[struct{ M *mixed }](),
		"uneven: ": reflect.TypeFor[uneven](),
		".ID: ":    reflect.TypeFor[hides](),
		".level: ": reflect.TypeFor[struct{ level }](),
		".A.B[]: ": reflect.TypeFor[struct{ A struct{ B []chan int } }](),
		".T: ": reflect.TypeFor[struct {
			T string `msgpack:",intern"`
		}](),
		".Any: ": reflect.TypeFor[struct {
			Any any `msgpack:",omitempty"`
		}](),
		".Number: ": reflect.TypeFor[struct {
			Number big.Int `msgpack:",omitempty"`
		}](),
		".Addr: ": reflect.TypeFor[struct {
			_msgpack struct{} `msgpack:",omitempty"`
			Addr     netip.Addr
		}](),
		".At: ": reflect.TypeFor[struct {
			At *time.Time `msgpack:",omitempty"`
		}](),
		"is a pointer to itself": reflect.TypeFor[struct{ Loop **loop }](),
		`another field is written as "x"`: reflect.TypeFor[struct {
			A int `msgpack:"x"`
			B int `msgpack:"x"`
		}](),
	} {
		if _, err := valuecodec.New(typ, 1); err == nil || !strings.Contains(err.Error(), place) {
			t.Errorf("%s: %v; want an error that names %q", typ, err, place)
		}
	}
}

// The digest tells types apart by what is written, in whatever process.
func TestDigestsAreOfTheShape(t *testing.T) {
	digest := func(typ reflect.Type) string {
		c, err := valuecodec.New(typ, 1)
		if err != nil {
			t.Fatal(err)
		}
		return c.Digest()
	}
	types := []reflect.Type{
		reflect.TypeFor[int](), reflect.TypeFor[int64](), reflect.TypeFor[uint8](), reflect.TypeFor[string](), reflect.TypeFor[[]int](),
		reflect.TypeFor[[3]int](), reflect.TypeFor[[4]int](), reflect.TypeFor[[3]byte](), reflect.TypeFor[[4]byte](), reflect.TypeFor[*int](), reflect.TypeFor[map[string]int](), reflect.TypeFor[map[int]string](),
		reflect.TypeFor[struct{ A int }](), reflect.TypeFor[struct{ B int }](), reflect.TypeFor[struct{ A string }](), reflect.TypeFor[struct{ A, B int }](),
		reflect.TypeFor[tree](), reflect.TypeFor[*tree](), reflect.TypeFor[time.Time](), reflect.TypeFor[itself](), reflect.TypeFor[any](),
		reflect.TypeFor[struct{ A struct{ B int } }](), reflect.TypeFor[struct {
			A struct{}
			B int
		}](),
	}
	known := map[string]reflect.Type{}
	for _, typ := range types {
		if other, there := known[digest(typ)]; there {
			t.Errorf("%s and %s have one digest", typ, other)
		}
		known[digest(typ)] = typ
	}
	if digest(reflect.TypeFor[level]()) != digest(reflect.TypeFor[int8]()) || digest(reflect.TypeFor[pair]()) != digest(reflect.TypeFor[struct {
		A int
		B string
	}]()) {
		t.Error("types that are written alike have different digests")
	}
}

// What is accepted of any input takes no more memory than was measured, whatever it claims.
func FuzzDecode(f *testing.F) {
	c, err := valuecodec.New(reflect.TypeFor[[]whole](), 64<<10)
	if err != nil {
		f.Fatal(err)
	}
	free, err := valuecodec.New(reflect.TypeFor[any](), 64<<10)
	if err != nil {
		f.Fatal(err)
	}
	zero := []whole{{Pairs: map[pair][]pair{{A: 1}: {{}}}}, {Bytes: []byte("x")}}
	seed, _, err := c.Encode(&zero)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{0x92, 0xc0, 0x81, 0xa1, 'n', 0xcd, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var list []whole
		if held, err := c.Decode(b, &list); err == nil {
			if weight := valuecodec.Weigh(reflect.ValueOf(list), math.MaxInt64); weight > held {
				t.Errorf("%d bytes; %d were measured", weight, held)
			}
		}
		var open any
		if held, err := free.Decode(b, &open); err == nil && open != nil {
			if weight := valuecodec.Weigh(reflect.ValueOf(open), math.MaxInt64); weight > held {
				t.Errorf("%d bytes of %#v; %d were measured", weight, open, held)
			}
		}
	})
}

// The guard says no before the library sees any of it.
func TestWhatClaimsMoreThanItHasIsRefused(t *testing.T) {
	typ := reflect.TypeFor[map[string][]struct{ A [1000]int64 }]()
	c, err := valuecodec.New(typ, 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"nothing": {}, "a list for a map": {0x91, 1}, "cut off": {0x81, 0xa1}, "trailing": {0x80, 0x80}, "reserved": {0xc1},
		"a long list": {0x81, 0xa0, 0xdd, 0xff, 0xff, 0xff, 0xff}, "a long map": {0xdf, 0xff, 0xff, 0xff, 0xff}, "a long text": {0x81, 0xdb, 0xff, 0xff, 0xff, 0xff},
		"large items": append([]byte{0x81, 0xa0, 0xdc, 0, 10}, make([]byte, 10)...), "large": make([]byte, 1<<10+1), "an extension": {0xd4, 0xff, 0x80},
		"deep": append(append([]byte{0x81, 0xa0, 0x91, 0x81, 0xa1, 'x'}, []byte(strings.Repeat("\x91", 200))...), 0),
	} {
		got := reflect.New(typ).Interface()
		if _, err := c.Decode(b, got); err == nil {
			t.Errorf("%s is read as %v", name, got)
		}
	}
}

// What is too large is not written out first: a value may lead to one string many times.
func TestEncodingEndsAtTheLimit(t *testing.T) {
	c, err := valuecodec.New(reflect.TypeFor[[]string](), 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	v, part := make([]string, 4096), strings.Repeat("x", 8<<10)
	for i := range v {
		v[i] = part
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err = c.Encode(&v)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, valuecodec.ErrTooLarge) || got > 1<<20 {
		t.Errorf("%v, and it took %d KiB; want that it is too large, and little", err, got>>10)
	}
}

// Maps cost more than what is in them, which is all that their msgpack tells.
func TestSmallMapsAreMeasuredWithTheirRoom(t *testing.T) {
	const limit, n = 64 << 10, 3000
	c, err := valuecodec.New(reflect.TypeFor[[]map[string]bool](), limit)
	if err != nil {
		t.Fatal(err)
	}
	for name, item := range map[string]map[string]bool{"empty": {}, "of one": {"a": true}, "of nine": {
		"a": true, "b": true, "c": true, "d": true, "e": true, "f": true, "g": true, "h": true, "i": true}} {
		b, _, err := c.Encode(&[]map[string]bool{item})
		if err != nil {
			t.Fatal(err)
		}
		planted := append([]byte{0xdc, n >> 8, n & 0xff}, bytes.Repeat(b[1:], n)...)
		var v []map[string]bool
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		held, err := c.Decode(planted, &v)
		runtime.GC()
		runtime.ReadMemStats(&after)
		took := int64(after.HeapAlloc) - int64(before.HeapAlloc)
		if weight := valuecodec.Weigh(reflect.ValueOf(v), 1<<40); err == nil && (took > held+held/4 || took > weight+weight/4) {
			t.Errorf("%s: measured %d bytes, weighed %d; they take %d", name, held, weight, took)
		}
		runtime.KeepAlive(v)
	}
}
