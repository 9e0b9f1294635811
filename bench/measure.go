package main

import (
	"math"
)

// A measure is a figure of a round, made of what its benchmarks have measured; false if one of them is missing.
type measure func(f figures, round int) (float64, bool)

const (
	duration = "sec/op"
	allocs   = "allocs/op"
	requests = "req/s"
)

// value is a benchmark's own figure, times so many.
func value(name, unit string, times float64) measure {
	return func(f figures, round int) (float64, bool) {
		v, ok := f.in(round, name, unit)
		return v * times, ok
	}
}

// ratio is how many times the other's figure the one's is.
func ratio(unit, one, other string) measure {
	return func(f figures, round int) (float64, bool) {
		a, ok := f.in(round, one, unit)
		b, ok2 := f.in(round, other, unit)
		return a / b, ok && ok2 && b != 0
	}
}

// times is how many times the other's time the one takes.
func times(one, other string) measure { return ratio(duration, one, other) }

// rate is how many times the other's requests the one answers in a second.
func rate(one, other string) measure { return ratio(requests, one, other) }

// above is by how much the one's figure exceeds the other's, times so many.
func above(unit, one, other string, times float64) measure {
	return func(f figures, round int) (float64, bool) {
		a, ok := f.in(round, one, unit)
		b, ok2 := f.in(round, other, unit)
		return (a - b) * times, ok && ok2
	}
}

// largest is the largest of some measures, all of which there must be.
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

// smallest is the smallest of some measures, all of which there must be.
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
