package process

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// BenchmarkScale is what a hit costs when so many cores ask at once: one page that is on everybody's path, and 100,000.
func BenchmarkScale(b *testing.B) {
	for _, keys := range []int{1, sized(100_000)} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			for _, c := range scaling() {
				b.Run(c.name, func(b *testing.B) {
					s := newSite(keys, kib)
					visitors := c.ready(b, s)
					for _, cores := range []int{1, 2} {
						b.Run(fmt.Sprintf("cores=%d", cores), func(b *testing.B) { visitTogether(b, s, visitors, cores) })
					}
				})
			}
		})
	}
}

func scaling() []contestant {
	all := []contestant{
		{name: "bare-set", bare: true, open: bareSet},
		{name: "ttlcache", open: byHand},
	}
	for _, near := range nearStores {
		all = append(all, contestant{name: near.name, open: larder(hour, near)})
	}
	return all
}

func visitTogether(b *testing.B, s *site, visitors func() visitor, cores int) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
	b.RunParallel(func(pb *testing.PB) {
		v := visitors()
		i := rand.IntN(len(s.uris)) // not where others begin, or an earlier run has been
		for pb.Next() {
			v.visit(s.uris[i])
			if i++; i == len(s.uris) {
				i = 0
			}
		}
	})
}

// sized is the full size, or a hundredth of it with -short.
func sized(full int) int {
	if testing.Short() {
		return full / 100
	}
	return full
}
