package process

import (
	"testing"

	"github.com/larder-go/cache"
)

// BenchmarkMiss is what a page costs that nobody has asked for before: the handler alone, and behind a cache whose store
// has room or is full.
func BenchmarkMiss(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		s := newSite(0, kib)
		strangers(b, s, func() visitor { return newAgent(s) })
	})
	for _, near := range nearStores {
		for _, store := range []struct {
			name    string
			entries int // that it has room for
			there   int // that it holds
		}{
			{"store=empty", 2 * batch, 0},
			{"store=full", batch, batch},
		} {
			b.Run(near.name+"/"+store.name, func(b *testing.B) {
				s := newSite(0, kib)
				strangers(b, s, func() visitor {
					c := newLarder(b, cache.Options{Near: near.open(b, store.entries)})
					a := newAgent(c.Middleware(hour)(s))
					for i := range store.there {
						a.visit(uriOf(5_000_000 + i))
					}
					return a
				})
			})
		}
	}
}

// batch is how many misses one store sees.
const batch = 20_000

// strangers visits pages that nobody has visited, with a new visitor for each batch of them.
func strangers(b *testing.B, s *site, newcomer func() visitor) {
	b.ReportAllocs()
	id, uri := 0, []byte(uriOf(0))
	var before int64
	var v visitor
	for b.Loop() {
		if id%batch == 0 {
			b.StopTimer()
			runs := s.runs.Load()
			v = newcomer()
			before += s.runs.Load() - runs
			b.StartTimer()
		}
		id++
		for i, rest := pathLen-1, id; i >= len(prefix); i, rest = i-1, rest/10 {
			uri[i] = byte('0' + rest%10)
		}
		v.visit(string(uri))
	}
	if n := s.runs.Load() - before; n != int64(id) {
		b.Fatalf("the handler ran %d times for %d pages", n, id)
	}
}
