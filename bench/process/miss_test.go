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
		strangers(b, s, newAgent(s))
	})
	for _, near := range nearStores {
		for _, store := range []struct {
			name    string
			entries int // that it has room for
			there   int // that it holds
		}{
			{"store=empty", 1 << 21, 0},
			{"store=full", 20_000, 20_000},
		} {
			b.Run(near.name+"/"+store.name, func(b *testing.B) {
				s := newSite(0, kib)
				c := newLarder(b, cache.Options{Near: near.open(b, store.entries)})
				a := newAgent(c.Middleware(hour)(s))
				for i := range store.there {
					a.visit(uriOf(5_000_000 + i))
				}
				strangers(b, s, a)
			})
		}
	}
}

// strangers visits pages that nobody has visited.
func strangers(b *testing.B, s *site, v visitor) {
	b.ReportAllocs()
	before, id := s.runs.Load(), 0
	uri := []byte(uriOf(0))
	for b.Loop() {
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
