package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
)

// universe is how many blocks Zipf's law is over.
const universe = 50_000

// A zipf draws blocks below universe: the k-th most popular one is drawn in proportion to 1/k^s. (The standard library's
// generator takes no exponent of one or less.)
type zipf struct {
	random *rand.Rand
	upTo   []float64 // cumulative probability
}

func newZipf(s float64, random *rand.Rand) *zipf {
	z := &zipf{random: random, upTo: make([]float64, universe)}
	var sum float64
	for i := range z.upTo {
		sum += math.Pow(float64(i+1), -s)
		z.upTo[i] = sum
	}
	return z
}

func (z *zipf) draw() uint64 {
	return uint64(sort.SearchFloat64s(z.upTo, z.random.Float64()*z.upTo[universe-1]))
}

// A mixture is a way of making traces: the same trace every time.
type mixture struct {
	name  string
	trace func(requests, capacity int) []uint64
}

// mixtures are Zipf's law with three exponents: alone, with every second request for a block that never comes again
// ("wonders"), and with scans, in which twice as many blocks as the cache holds are read in a row, once, ten times a
// trace.
func mixtures() []mixture {
	var all []mixture
	for _, s := range []float64{0.8, 1.0, 1.2} {
		for _, kind := range []struct {
			name string
			mix  func(z *zipf, requests, capacity int) []uint64
		}{{"plain", plain}, {"wonders", wonders}, {"scan", scans}} {
			all = append(all, mixture{fmt.Sprintf("zipf=%.1f/%s", s, kind.name), func(requests, capacity int) []uint64 {
				return kind.mix(newZipf(s, rand.New(rand.NewPCG(1, 2))), requests, capacity)
			}})
		}
	}
	return all
}

func plain(z *zipf, requests, _ int) []uint64 {
	trace := make([]uint64, requests)
	for i := range trace {
		trace[i] = z.draw()
	}
	return trace
}

func wonders(z *zipf, requests, _ int) []uint64 {
	trace := plain(z, requests, 0)
	for i := 0; i < requests; i += 2 {
		trace[i] = universe + uint64(i)
	}
	return trace
}

func scans(z *zipf, requests, capacity int) []uint64 {
	trace := plain(z, requests, 0)
	every, long := requests/10, min(2*capacity, requests/20)
	for begin := every / 2; begin+long <= requests && every > 0; begin += every {
		for i := range long {
			trace[begin+i] = universe + uint64(begin+i)
		}
	}
	return trace
}
