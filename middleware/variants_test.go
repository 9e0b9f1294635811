package middleware_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store/memstore"
)

// A gallery is a route whose answers vary by X-T, by policy or by their own Vary, and the memory that it has for itself.
type gallery struct {
	t      *testing.T
	route  *middleware.Route
	memory *memstore.Store
	last   middleware.Event
}

// galleries plays a property on a route whose policy says what selects, and on one whose responses do.
func galleries(t *testing.T, f func(t *testing.T, g *gallery)) {
	for name, standard := range map[string]bool{"by policy": false, "by Vary": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, newGallery(t, standard)) })
		})
	}
}

func newGallery(t *testing.T, standard bool) *gallery {
	g := &gallery{t: t, memory: memstore.New(memstore.Options{MaxEntries: 1 << 20})}
	t.Cleanup(func() { _ = g.memory.Close() })
	g.route = newRoute(t, func(c *middleware.Config) {
		c.Cache = readthrough.New(readthrough.Resolve(g.memory, nil), readthrough.Options{})
		c.Observe = func(ev middleware.Event) { g.last = ev }
		if c.RFC9111, c.Scheme.Open = standard, standard; !standard {
			c.Scheme.Headers = []string{"X-T"}
		}
	})
	return g
}

// ask sends one request for a variant of the target.
func (g *gallery) ask(target, variant string) middleware.Event {
	g.t.Helper()
	r, w := httptest.NewRequest("GET", target, nil), httptest.NewRecorder()
	r.Header.Set("X-T", variant)
	serve(g.route, w, r, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "X-T")
		_, _ = w.Write([]byte(r.Header.Get("X-T")))
	})
	if w.Body.String() != variant {
		g.t.Errorf("variant %s is answered with %q", variant, w.Body)
	}
	return g.last
}

// wantKept wants the variant to be stored after a request for it.
func (g *gallery) wantKept(target, variant string) {
	g.t.Helper()
	g.ask(target, variant)
	if ev := g.ask(target, variant); ev.Outcome != middleware.Hit {
		g.t.Errorf("variant %s of %s the second time: %+v", variant, target, ev)
	}
}

// A client that makes up variants prevents no other variant from being stored, of that URL or of others, and fills no store.
func TestOddVariantsKeepNobodyOut(t *testing.T) {
	galleries(t, func(t *testing.T, g *gallery) {
		for n := range 1000 {
			if ev := g.ask("/", fmt.Sprint("odd ", n)); ev.Outcome != middleware.Miss || ev.Reason != "" {
				t.Fatalf("odd variant %d: %+v", n, ev)
			}
		}
		if n := g.memory.Len(); n > 33 {
			t.Errorf("%d entries are in memory; want 32, and what leads there", n)
		}
		g.wantKept("/", "en")
		g.wantKept("/other", "en")
	})
}

// A variant that is requested again and again stays, however fast others make up variants, and so does one that becomes popular
// meanwhile.
func TestUsedVariantsStay(t *testing.T) {
	galleries(t, func(t *testing.T, g *gallery) {
		g.ask("/", "en")
		misses := map[string]int{}
		for n := range 2000 {
			g.ask("/", fmt.Sprint("odd ", n))
			g.ask("/", fmt.Sprint("odd ", n)) // twice: once is no proof
			languages := []string{"en"}
			if n >= 1000 {
				languages = append(languages, "fr")
			}
			for _, language := range languages {
				if ev := g.ask("/", language); ev.Outcome != middleware.Hit {
					misses[language]++
				}
			}
		}
		if misses["en"] > 0 || misses["fr"] > 1 {
			t.Errorf("of what was asked for all the time was missed: %v", misses)
		}
	})
}

// No URL fills the table of variants at the cost of others: a new variant replaces one of the same URL, and a URL keeps its own
// bound unless too many others get new variants.
func TestVariantsMakeRoomWithinTheirURL(t *testing.T) {
	var v middleware.Variants
	now, of := time.Now(), map[keying.Key]keying.Label{}
	add := func(url, n int) (replaced keying.Key) {
		resource, key := keying.Label{byte(url), byte(url >> 8)}, keying.Key{byte(url), byte(url >> 8), byte(n), byte(n >> 8), 4: byte(n), 12: byte(url), 31: 1}
		of[key] = resource
		replaced = v.Admit(resource, key, now, now.Add(time.Minute))
		if replaced != (keying.Key{}) && of[replaced] != resource {
			t.Fatalf("variant %d of URL %d takes the place of another URL's", n, url)
		}
		return replaced
	}
	for n := range 100 {
		for url := range 50 {
			if replaced := add(url, n); (replaced == keying.Key{}) != (n < 32) {
				t.Fatalf("variant %d of URL %d replaces %v", n, url, replaced)
			}
		}
	}
	for url := range 5000 {
		for n := range 32 {
			add(url, 1000+n)
		}
	}
}

// A refreshed variant does not count as a new one, and an expired one is removed before any other.
func TestExpiredVariantsMakeRoom(t *testing.T) {
	galleries(t, func(t *testing.T, g *gallery) {
		for n := range 32 {
			g.ask("/", fmt.Sprint("first ", n))
		}
		time.Sleep(2 * time.Minute)
		for range 2 {
			for n := range 16 {
				g.ask("/", fmt.Sprint("first ", n))
				g.ask("/", fmt.Sprint("second ", n))
			}
		}
		for n := range 16 {
			for _, name := range []string{"first ", "second "} {
				if ev := g.ask("/", fmt.Sprint(name, n)); ev.Outcome != middleware.Hit {
					t.Errorf("%s%d: %+v", name, n, ev)
				}
			}
		}
	})
}
