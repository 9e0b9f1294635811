package process

import (
	"runtime"
	"sync"
	"testing"
)

// A contestant serves a site, from a cache or without one.
type contestant struct {
	name string
	bare bool // it has no cache in front of its handler
	open func(testing.TB, *site) (visitors func() visitor)
}

// ready opens the contestant and, if it is a cache, fills it with every page, in an order that is not that of the visits.
// From then on it must answer each with its own bytes and content type, and without its handler: now, and once the
// benchmark is over.
func (c contestant) ready(tb testing.TB, s *site) (visitors func() visitor) {
	tb.Helper()
	visitors = c.open(tb, s)
	if c.bare {
		return visitors
	}
	s.runs.Store(0)
	fill(s, visitors)
	if n := s.runs.Load(); n != int64(len(s.uris)) {
		tb.Fatalf("%s: the handler ran %d times for %d pages", c.name, n, len(s.uris))
	}
	fill(s, visitors) // the second visit may cost more than those that follow: a cache may learn from it
	v := visitors()
	for _, uri := range s.uris[:min(len(s.uris), 10_000)] {
		contentType, body := v.watch(uri)
		if want := s.body(uri[:pathLen]); string(body) != string(want) || contentType != fields[0].value {
			tb.Fatalf("%s: %s is answered with %s, %.80q", c.name, uri, contentType, body)
		}
	}
	onlyHits(tb, c.name, s)
	tb.Cleanup(func() { onlyHits(tb, c.name, s) })
	return visitors
}

// fill visits every page once, those of a large site by all cores.
func fill(s *site, visitors func() visitor) {
	cores := 1
	if len(s.uris) > 10_000 {
		cores = runtime.GOMAXPROCS(0)
	}
	var all sync.WaitGroup
	for core := range cores {
		all.Go(func() {
			v := visitors()
			for id := core; id < len(s.uris); id += cores {
				v.visit(uriOf(id))
			}
		})
	}
	all.Wait()
}

func onlyHits(tb testing.TB, name string, s *site) {
	tb.Helper()
	if n := s.runs.Load(); n != int64(len(s.uris)) {
		tb.Fatalf("%s: the handler ran %d times for %d pages; these are no hits", name, n, len(s.uris))
	}
}

// visitAll measures visits to the site's pages, one after the other.
func visitAll(b *testing.B, s *site, v visitor) {
	b.ReportAllocs()
	i := len(s.uris) / 2 // the first ones have just been looked at
	for b.Loop() {
		v.visit(s.uris[i])
		if i++; i == len(s.uris) {
			i = 0
		}
	}
}
