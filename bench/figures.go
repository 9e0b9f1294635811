package main

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"golang.org/x/perf/benchfmt"
)

// figures are the measured values by benchmark and unit, one for each round.
type figures map[string]map[string][]float64

// read reads results in the format of Go benchmarks. benchfmt scales units to seconds and bytes: sec/op, B/s.
func read(results []byte) (figures, error) {
	f := figures{}
	for r := benchfmt.NewReader(bytes.NewReader(results), "results"); r.Scan(); {
		switch rec := r.Result().(type) {
		case *benchfmt.Result:
			f.add(rec)
		case *benchfmt.SyntaxError:
			return nil, fmt.Errorf("a result cannot be read: %w", rec)
		}
	}
	return f, nil
}

func (f figures) add(r *benchfmt.Result) {
	name := nameOf(r.Name)
	if f[name] == nil {
		f[name] = map[string][]float64{}
	}
	for _, v := range r.Values {
		f[name][v.Unit] = append(f[name][v.Unit], v.Value)
	}
}

// nameOf is the benchmark's name without the number of cores that go test appends.
func nameOf(name benchfmt.Name) string {
	base, parts := name.Parts()
	full := string(base)
	for _, part := range parts {
		if part[0] == '/' {
			full += string(part)
		}
	}
	return full
}

// in returns the value of a round; false if it was not measured.
func (f figures) in(round int, name, unit string) (float64, bool) {
	values := f[name][unit]
	if round >= len(values) {
		return 0, false
	}
	return values[round], true
}

// median returns the median over all rounds; false if there was none.
func (f figures) median(name, unit string) (float64, bool) {
	values := f[name][unit]
	return median(values), len(values) > 0
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// A measure computes the figure of a round from its benchmarks; false if one of them is missing.
type measure func(f figures, round int) (float64, bool)

const (
	duration = "sec/op"
	allocs   = "allocs/op"
	requests = "req/s"
)

// value is that of one benchmark, multiplied by a factor.
func value(name, unit string, times float64) measure {
	return func(f figures, round int) (float64, bool) {
		v, ok := f.in(round, name, unit)
		return v * times, ok
	}
}

// ratio is the figure of one divided by that of the other.
func ratio(unit, one, other string) measure {
	return func(f figures, round int) (float64, bool) {
		a, ok := f.in(round, one, unit)
		b, ok2 := f.in(round, other, unit)
		return a / b, ok && ok2 && b != 0
	}
}

// times is the time of one divided by that of the other.
func times(one, other string) measure { return ratio(duration, one, other) }

// rate is the requests a second of one divided by those of the other.
func rate(one, other string) measure { return ratio(requests, one, other) }

// above is the value of one minus that of the other, multiplied by a factor.
func above(unit, one, other string, times float64) measure {
	return func(f figures, round int) (float64, bool) {
		a, ok := f.in(round, one, unit)
		b, ok2 := f.in(round, other, unit)
		return (a - b) * times, ok && ok2
	}
}

// largest is the largest of the measures. All of them must have been measured.
func largest(all ...measure) measure {
	return func(f figures, round int) (float64, bool) {
		most := math.Inf(-1)
		for _, m := range all {
			v, ok := m(f, round)
			if !ok {
				return 0, false
			}
			most = max(most, v)
		}
		return most, len(all) > 0
	}
}

// smallest is the smallest of the measures. All of them must have been measured.
func smallest(all ...measure) measure {
	negated := make([]measure, len(all))
	for i, m := range all {
		negated[i] = func(f figures, round int) (float64, bool) {
			v, ok := m(f, round)
			return -v, ok
		}
	}
	return func(f figures, round int) (float64, bool) {
		v, ok := largest(negated...)(f, round)
		return -v, ok
	}
}
