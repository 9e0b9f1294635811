package otterstore_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/otterstore"
	"github.com/larder-go/cache/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Near{
		Open: func(maxBytes int64, maxEntries int) storetest.NearStore {
			return otterstore.New(otterstore.Options{MaxBytes: maxBytes, MaxEntries: maxEntries})
		},
		DefaultMaxBytes:   otterstore.DefaultMaxBytes,
		DefaultMaxEntries: otterstore.DefaultMaxEntries,
	}.Run(t)
}

// open returns a store that is closed when the test ends.
func open(t *testing.T, o otterstore.Options) *otterstore.Store {
	s := otterstore.New(o)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func set(t *testing.T, s *otterstore.Store, name, body string, keep time.Duration) {
	t.Helper()
	key := storetest.Key(name)
	if err := s.Set(t.Context(), key, &store.Entry{Key: key, Body: []byte(body), Status: 200}, keep); err != nil {
		t.Errorf("Set: %v", err)
	}
}

func wantKept(t *testing.T, s *otterstore.Store, name string) {
	t.Helper()
	if _, ok := s.Peek(storetest.Key(name)); !ok {
		t.Errorf("%s is not there", name)
	}
}

// Whatever the bounds, as many of the least entries as there may be fill the store, and no weight has more than 32 bits.
func TestOneWeightKeepsBothBounds(t *testing.T) {
	for _, o := range []otterstore.Options{
		{MaxBytes: 64 << 20, MaxEntries: 5000}, {MaxBytes: 3<<20 + 7, MaxEntries: 63}, {MaxBytes: 64 << 20, MaxEntries: 1},
		{MaxBytes: 1, MaxEntries: 1 << 20}, {MaxBytes: 100_000, MaxEntries: math.MaxInt}, {MaxBytes: 8 << 30, MaxEntries: 1},
		{MaxBytes: math.MaxInt64, MaxEntries: 3}, {MaxBytes: math.MaxInt64, MaxEntries: math.MaxInt},
	} {
		share, maximum, largest := otterstore.Shares(o)
		if share < 1 || share > math.MaxUint32 || largest > math.MaxUint32 {
			t.Errorf("%+v: shares of %d, entries of up to %d", o, share, largest)
		}
		if maximum > o.MaxBytes || maximum/share > int64(o.MaxEntries) {
			t.Errorf("%+v: %d shares of %d", o, maximum/share, share)
		}
		if wasted := o.MaxBytes - maximum; wasted > o.MaxBytes/100 && share < math.MaxUint32 {
			t.Errorf("%+v: %d bytes cannot be used", o, wasted)
		}
	}
}

func TestLargestEntryIsOfMaxBytes(t *testing.T) {
	const maxBytes = 1_000_003 // leaves a remainder when divided by the entries
	s := open(t, otterstore.Options{MaxBytes: maxBytes, MaxEntries: 100})
	body := strings.Repeat("x", maxBytes-int(otterstore.CostOf(&store.Entry{Status: 200})))
	set(t, s, "k", body, time.Minute)
	if wantKept(t, s, "k"); s.Bytes() != maxBytes {
		t.Errorf("%d bytes; want %d", s.Bytes(), maxBytes)
	}
}

func TestMixedSizesFillHalfOfABound(t *testing.T) {
	s := open(t, otterstore.Options{MaxBytes: 1 << 20, MaxEntries: 200})
	var names []string
	for i := range 90 {
		names = append(names, fmt.Sprint("small ", i))
		set(t, s, names[len(names)-1], "x", time.Minute)
	}
	for i := range 10 {
		names = append(names, fmt.Sprint("large ", i))
		set(t, s, names[len(names)-1], strings.Repeat("x", 47_000), time.Minute)
	}
	for _, name := range names {
		wantKept(t, s, name)
	}
}

// What is asked for time and again outlives a scan of what is asked for once.
func TestScanDisplacesNothingThatIsInUse(t *testing.T) {
	s := open(t, otterstore.Options{MaxEntries: 100})
	used := func(then func(name string)) {
		for i := range 10 {
			then(fmt.Sprint("used ", i))
		}
	}
	used(func(name string) { set(t, s, name, "body", time.Hour) })
	for i := range 2000 {
		if i%20 == 0 {
			used(func(name string) { wantKept(t, s, name) })
		}
		set(t, s, fmt.Sprint("once ", i), "body", time.Hour)
	}
}

func TestLongLivesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, otterstore.Options{})
		set(t, s, "long", "body", math.MaxInt64)
		set(t, s, "a day", "body", 24*time.Hour)
		time.Sleep(24*time.Hour - time.Nanosecond)
		wantKept(t, s, "long")
		wantKept(t, s, "a day")
		if time.Sleep(time.Nanosecond); s.Len() != 1 {
			t.Errorf("%d entries; want the long one", s.Len())
		}
	})
}

// A cache on it serves hits from memory, and purges them.
func TestACacheOnIt(t *testing.T) {
	near := otterstore.New(otterstore.Options{})
	defer near.Close()
	c, err := cache.New(cache.Options{Near: near})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	runs := 0
	h := c.Middleware(cache.Policy{Class: cache.SharedGlobal, Tags: []string{"all"}})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { runs++; _, _ = w.Write([]byte("x")) }))
	get := func(want int) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if runs != want {
			t.Errorf("the handler ran %d times; want %d (%s)", runs, want, w.Header().Get("Cache-Status"))
		}
	}
	get(1)
	get(1)
	if err := c.Purge(t.Context(), cache.Tag("all")); err != nil {
		t.Fatal(err)
	}
	get(2)
	get(2)
	if near.Len() != 1 {
		t.Errorf("the store has %d entries; want 1", near.Len())
	}
}
