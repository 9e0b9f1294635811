package main

import (
	"bytes"
	"fmt"
	"slices"

	"golang.org/x/perf/benchfmt"
)

// figures are what was measured: by benchmark and unit, one value a round.
type figures map[string]map[string][]float64

// read reads results in the format of Go benchmarks. Seconds and bytes have no prefix: sec/op, B/s.
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

// in returns the figure of a round; false if it was not measured.
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
