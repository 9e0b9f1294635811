package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"
)

// universe is the number of blocks that Zipf's law draws from.
const universe = 50_000

// A zipf draws blocks below universe: the probability of the k-th most popular one is proportional to 1/k^s. (The standard
// library's generator accepts only exponents above one.)
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

// A mixture is a way of generating traces. It generates the same trace every time.
type mixture struct {
	name  string
	trace func(requests, capacity int) []uint64
}

// mixtures are Zipf's law with three exponents: alone, with every second request for a block that never comes again
// ("wonders"), and with scans. A trace has ten scans; each reads twice as many blocks as the cache holds in a row, and no
// block of it comes again.
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

// maxTrace bounds the number of requests in a trace, so that a damaged one does not take all memory.
const maxTrace = 100_000_000

// readARC reads a trace in the format in which the authors of ARC published theirs: each line has the first block, the number
// of consecutive blocks from there, and two numbers that do not matter. More than most requests are an error. Errors name the
// line.
func readARC(r io.Reader, most int) ([]uint64, error) {
	var trace []uint64
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		first, count, err := blocks(fields)
		if err == nil && count > uint64(most-len(trace)) {
			err = fmt.Errorf("the trace has more than %d requests", most)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		for i := range count {
			trace = append(trace, first+i)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(trace) == 0 {
		return nil, fmt.Errorf("the trace is empty")
	}
	return trace, nil
}

func blocks(fields []string) (first, count uint64, err error) {
	if len(fields) < 2 {
		return 0, 0, fmt.Errorf("%q is no first block and number of blocks", strings.Join(fields, " "))
	}
	if first, err = strconv.ParseUint(fields[0], 10, 63); err != nil {
		return 0, 0, err
	}
	count, err = strconv.ParseUint(fields[1], 10, 63)
	return first, count, err
}
