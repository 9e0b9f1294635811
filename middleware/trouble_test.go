package middleware_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store"
)

// diary has the events that a listener received, and when.
type diary struct {
	mu     sync.Mutex
	events []cache.Event
	times  []time.Time
}

func (d *diary) observe(ev cache.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, ev)
	d.times = append(d.times, time.Now())
}

// of returns the events with the route and reason that belong to no request, and how many faults they count. It wants them to be
// a second apart.
func (d *diary) of(t *testing.T, route string, reason cache.Reason) (events []cache.Event, faults int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	var last time.Time
	for i, ev := range d.events {
		if ev.Route != route || ev.Reason != reason || slices.Contains(own, ev.Outcome) {
			continue
		}
		if !last.IsZero() && d.times[i].Sub(last) < time.Second {
			t.Errorf("%s/%s of %q comes %v after the last one", ev.Outcome, ev.Reason, route, d.times[i].Sub(last))
		}
		last = d.times[i]
		events = append(events, ev)
		if faults += ev.Count; ev.Outcome != cache.Recovered && ev.Count < 1 {
			t.Errorf("an event counts %d", ev.Count)
		}
	}
	return events, faults
}

// shop is an app with some routes of the class, behind a mux that sets the pattern of each request.
func (d *diary) shop(t *testing.T, far store.Store, class cache.Class, routes ...string) (c *cache.Cache, get func(path string)) {
	t.Helper()
	c, err := cache.New(cache.Options{Far: far, User: func(*http.Request) (string, bool) { return "alice", true }, Observe: d.observe})
	if err != nil {
		t.Fatal(err)
	}
	mux, n := http.NewServeMux(), 0
	cached := c.Middleware(cache.Policy{Class: class, TTL: 30 * time.Millisecond})
	for _, route := range routes {
		mux.Handle(route, cached(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { n++; fmt.Fprint(w, n) })))
	}
	return c, func(path string) { mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil)) }
}

// An outage of a store is two events for each route: when it begins, and when it ends. The second one counts the faults between.
func TestAnOutageIsTwoEventsARoute(t *testing.T) {
	for _, class := range inRedis {
		synctest.Test(t, func(t *testing.T) {
			d, far := new(diary), fartest.New()
			c, get := d.shop(t, far, class, "GET /a", "GET /b")
			failed := func(downFor time.Duration) int64 {
				far.Down.Store(true)
				before := far.Operations()
				for range 500 {
					get("/a")
					get("/b")
					time.Sleep(downFor / 500)
				}
				far.Down.Store(false)
				return far.Operations() - before
			}
			for range 2 {
				d.events, d.times = nil, nil
				want, sum := failed(10*time.Second), 0
				get("/a")
				get("/b")
				time.Sleep(time.Second)
				for _, route := range []string{"GET /a", "GET /b"} {
					events, n := d.of(t, route, cache.ReasonStore)
					if len(events) != 2 || events[0].Outcome != cache.Fault || events[0].Err == nil || events[0].Class != class ||
						events[1].Outcome != cache.Recovered || events[1].Err != nil {
						t.Errorf("%s: %s has %v; want a fault and its end", class, route, events)
					}
					sum += n
				}
				if int64(sum) != want {
					t.Errorf("%s: the events stand for %d faults; want %d", class, sum, want)
				}
				time.Sleep(time.Second)
			}
			if err := c.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A store that fails on and off is at most one event a second for each route and reason, and all faults are counted, also the last.
func TestAFlappingStoreIsAnEventASecond(t *testing.T) {
	for _, class := range inRedis {
		for _, period := range []time.Duration{3, 47, 700} {
			synctest.Test(t, func(t *testing.T) {
				d, far := new(diary), fartest.New()
				c, get := d.shop(t, far, class, "GET /a")
				failed := int64(0)
				for i := range 1000 {
					down := i/int(period)%2 == 1
					far.Down.Store(down)
					before := far.Operations()
					get("/a")
					if down {
						failed += far.Operations() - before
					}
					time.Sleep(11 * time.Millisecond)
				}
				time.Sleep(3 * time.Second)
				far.Down.Store(true)
				before := far.Operations()
				get("/a")
				get("/a")
				failed += far.Operations() - before
				if err := c.Close(t.Context()); err != nil {
					t.Error(err)
				}
				d.times = d.times[:len(d.times)-1]
				last := d.events[len(d.events)-1]
				d.events = d.events[:len(d.events)-1] // at Close: at once
				events, n := d.of(t, "GET /a", cache.ReasonStore)
				if n+last.Count != int(failed) || last.Route != "GET /a" {
					t.Errorf("%s: %d events, and %v, stand for %d faults; want %d", class, len(events), last, n+last.Count, failed)
				}
			})
		}
	}
}

// readOnly is a store that refuses every write.
type readOnly struct{ *fartest.Store }

func (readOnly) Set(context.Context, keying.Key, *store.Entry, time.Duration) error {
	return errors.New("READONLY")
}

// Reads that succeed do not end an outage of writes.
func TestAStoreThatTakesNothingIsOneEvent(t *testing.T) {
	for _, class := range inRedis {
		synctest.Test(t, func(t *testing.T) {
			d := new(diary)
			_, get := d.shop(t, readOnly{fartest.New()}, class, "GET /a")
			for range 100 {
				get("/a")
				time.Sleep(100 * time.Millisecond)
			}
			if events, _ := d.of(t, "GET /a", cache.ReasonStore); len(events) != 1 {
				t.Errorf("%s: %v; want one fault", class, events)
			}
		})
	}
}

// Repeated faults of any kind are at most one event a second, and all are counted.
func TestFaultsThatHappenAreAnEventASecond(t *testing.T) {
	const n = 400 // 25 ms apart
	type app struct {
		options cache.Options
		policy  cache.Policy
		handler http.HandlerFunc
		reason  cache.Reason
		outcome cache.Outcome
		others  int // requests that meet none
	}
	answer := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") }
	apps := map[string]app{
		"identity": {options: cache.Options{User: func(*http.Request) (string, bool) { panic("an identity function") }},
			policy: cache.Policy{Class: cache.PerUser}, handler: answer, reason: middleware.ReasonIdentity, outcome: cache.Fault},
		"corrupt": {options: cache.Options{Far: corrupt{fartest.New()}},
			policy: cache.Policy{Class: cache.FleetShared, TTL: time.Millisecond}, handler: answer, reason: cache.ReasonCorrupt, outcome: cache.Fault},
		"refused": {options: cache.Options{Far: refusing{fartest.New()}},
			policy: cache.Policy{Class: cache.FleetShared}, handler: answer, reason: cache.ReasonRefused, outcome: cache.Fault},
	}
	calls := 0
	apps["panic"] = app{policy: cache.Policy{Class: cache.SharedGlobal, TTL: time.Millisecond, StaleIfError: time.Hour},
		handler: func(w http.ResponseWriter, _ *http.Request) {
			if calls++; calls > 1 {
				panic("a handler")
			}
			fmt.Fprint(w, "x")
		}, reason: middleware.ReasonPanic, outcome: cache.Fault, others: 1}
	apps["refresh"] = app{policy: cache.Policy{Class: cache.SharedGlobal, TTL: time.Millisecond, StaleWhileRevalidate: time.Hour},
		handler: apps["panic"].handler, reason: middleware.ReasonPanic, outcome: cache.Refresh, others: 1}
	for name, app := range apps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls = 0
				d, o := new(diary), app.options
				if o.Observe = d.observe; o.Far == nil {
					o.Far = fartest.New()
				}
				c, err := cache.New(o)
				if err != nil {
					t.Fatal(err)
				}
				mux := http.NewServeMux()
				mux.Handle("GET /x", c.Middleware(app.policy)(app.handler))
				for range n {
					mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil))
					time.Sleep(25 * time.Millisecond)
				}
				time.Sleep(time.Second)
				events, sum := d.of(t, "GET /x", app.reason)
				if sum != n-app.others || len(events) < 10 || len(events) > 11 || events[0].Outcome != app.outcome || events[0].Err == nil {
					t.Errorf("%d events stand for %d, the first is %v; want about 10 for %d", len(events), sum, events[0], n-app.others)
				}
				if err := c.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

type corrupt struct{ *fartest.Store }

func (corrupt) Get(context.Context, keying.Key) (*store.Entry, bool, error) {
	return nil, false, fmt.Errorf("%w: a test", store.ErrCorrupt)
}

// Purges that do not reach Redis are at most one event a second, although each of them also returns an error.
func TestPurgesThatFailAreAnEventASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, far := new(diary), fartest.New()
		c, _ := d.shop(t, far, cache.FleetShared)
		far.Down.Store(true)
		for range 300 {
			if c.Purge(t.Context(), cache.Tag("x")) == nil {
				t.Error("a purge that Redis was not told of is no error")
			}
			time.Sleep(10 * time.Millisecond)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		sum := 0
		for _, ev := range d.events {
			if sum += ev.Count; ev.Outcome != cache.Purged || ev.Reason != cache.ReasonPurge || ev.Err == nil {
				t.Errorf("%v", ev)
			}
		}
		if len(d.events) > 4 || sum != 300 {
			t.Errorf("%d events stand for %d purges; want about three for 300", len(d.events), sum)
		}
	})
}

// logged has slog's default logger write to a buffer until the test ends.
func logged(t *testing.T, level slog.Level) *bytes.Buffer {
	t.Helper()
	text, before := new(bytes.Buffer), slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(text, &slog.HandlerOptions{Level: level})))
	t.Cleanup(func() { slog.SetDefault(before) })
	return text
}

// Without a listener, warnings and faults go to slog, and the events of requests nowhere.
func TestWithoutAListenerFaultsAreLogged(t *testing.T) {
	text := logged(t, slog.LevelDebug)
	far := fartest.New()
	c := newCache(t, cache.Options{Far: far})
	get := counted(c, cache.Policy{Class: cache.HotShared, TTL: time.Minute, NearTTL: 20 * time.Second})
	get()
	get()
	if err := c.Purge(t.Context(), cache.Everything()); err != nil {
		t.Error(err)
	}
	far.Down.Store(true)
	get()
	get()
	if c.Purge(t.Context(), cache.Everything()) == nil {
		t.Error("the purge has not failed")
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	want := []string{"level=WARN msg=\"larder: warning\" reason=near-ttl", "level=WARN msg=\"larder: fault\" reason=store class=hot-shared",
		"level=ERROR msg=\"larder: purged\" reason=purge-failed"}
	if len(lines) != len(want) {
		t.Fatalf("the log is %q; want three lines", lines)
	}
	for i := range want {
		if !strings.Contains(lines[i], want[i]) {
			t.Errorf("line %d is %q; want %q in it", i, lines[i], want[i])
		}
	}
}

// With a listener, even one that does nothing, nothing is logged.
func TestAListenerSilencesTheLog(t *testing.T) {
	text := logged(t, slog.LevelDebug)
	far := fartest.New()
	far.Down.Store(true)
	c := newCache(t, cache.Options{Far: far, Observe: func(cache.Event) {}})
	counted(c, cache.Policy{Class: cache.HotShared, NearTTL: 20 * time.Second})()
	if text.Len() > 0 {
		t.Errorf("the log is %q", text)
	}
}

func TestLogTo(t *testing.T) {
	err := errors.New("down")
	for _, tt := range []struct {
		ev   cache.Event
		want string
	}{
		{cache.Event{Class: cache.PerUser, Route: "GET /x", Outcome: cache.Hit, Tier: "near", Status: 200},
			`level=DEBUG msg="larder: hit" class=per-user route="GET /x" tier=near status=200`},
		{cache.Event{Outcome: cache.Miss, Reason: "size", Status: 200}, `level=DEBUG msg="larder: miss" reason=size status=200`},
		{cache.Event{Outcome: cache.Miss, Reason: middleware.ReasonPanic}, `level=DEBUG msg="larder: miss" reason=panic`},
		{cache.Event{Outcome: cache.Purged}, `level=DEBUG msg="larder: purged"`},
		{cache.Event{Outcome: cache.Refresh}, `level=DEBUG msg="larder: refresh"`},
		{cache.Event{Outcome: cache.Refresh, Reason: "handler-error", Err: err}, `level=WARN msg="larder: refresh" reason=handler-error error=down`},
		{cache.Event{Outcome: cache.Refresh, Reason: "panic", Err: err}, `level=ERROR msg="larder: refresh" reason=panic error=down`},
		{cache.Event{Outcome: cache.Warning, Reason: cache.ReasonNearTTL}, `level=WARN msg="larder: warning" reason=near-ttl`},
		{cache.Event{Outcome: cache.Fault, Reason: cache.ReasonStore, Count: 1, Err: err}, `level=WARN msg="larder: fault" reason=store error=down`},
		{cache.Event{Outcome: cache.Fault, Reason: "identity", Count: 7, Err: err}, `level=ERROR msg="larder: fault" reason=identity count=7 error=down`},
		{cache.Event{Outcome: cache.Fault, Reason: cache.ReasonSkip, Err: err}, `level=ERROR msg="larder: fault" reason=skip error=down`},
		{cache.Event{Outcome: cache.Fault, Reason: cache.ReasonVaryBy, Err: err}, `level=ERROR msg="larder: fault" reason=vary-by error=down`},
		{cache.Event{Outcome: cache.Bypass, Reason: cache.ReasonSkip}, `level=DEBUG msg="larder: bypass" reason=skip`},
		{cache.Event{Outcome: cache.Fault, Reason: cache.ReasonRecords, Err: err}, `level=ERROR msg="larder: fault" reason=records-lost error=down`},
		{cache.Event{Outcome: cache.Recovered, Reason: cache.ReasonStore, Count: 1}, `level=INFO msg="larder: recovered" reason=store count=1`},
		{cache.Event{Outcome: cache.Followed}, `level=INFO msg="larder: followed"`},
		{cache.Event{Outcome: cache.Purged, Reason: cache.ReasonPurge, Err: err}, `level=ERROR msg="larder: purged" reason=purge-failed error=down`},
	} {
		text := new(bytes.Buffer)
		handler := slog.NewTextHandler(text, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})
		cache.LogTo(slog.New(handler))(tt.ev)
		if got := strings.TrimSpace(text.String()); got != tt.want {
			t.Errorf("%v is logged as\n%s; want\n%s", tt.ev, got, tt.want)
		}
	}
}

// Routes without faults take no place in the table of faults. If the table is full, an event names no route, because it counts the
// faults of several.
func TestTheRoomForFaultsIsForFaults(t *testing.T) {
	const routes = 1030
	for _, faulty := range []int{1, routes} {
		synctest.Test(t, func(t *testing.T) {
			d, far := new(diary), fartest.New()
			var all []string
			for i := range routes {
				all = append(all, fmt.Sprintf("/%d", i))
			}
			c, get := d.shop(t, far, cache.FleetShared, all...)
			for i, route := range all {
				far.Down.Store(i < faulty)
				get(route)
			}
			far.Down.Store(true)
			get(all[routes-1])
			if err := c.Close(t.Context()); err != nil {
				t.Error(err)
			}
			named := func(route string) bool {
				return slices.ContainsFunc(d.events, func(ev cache.Event) bool {
					return ev.Outcome == cache.Fault && ev.Reason == cache.ReasonStore && ev.Route == route && (route == "") == (ev.Class == 0)
				})
			}
			if few := faulty == 1; named(all[routes-1]) != few || named("") == few {
				t.Errorf("%d routes have faults; the last one's has an event of its own: %t; some have one together: %t", faulty, named(all[routes-1]), named(""))
			}
		})
	}
}
