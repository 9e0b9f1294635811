package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The k-th block is drawn about 1/k^s as often as the first.
func TestZipfFollowsItsLaw(t *testing.T) {
	const draws = 1_000_000
	for _, s := range []float64{0.8, 1.0, 1.2} {
		z := newZipf(s, rand.New(rand.NewPCG(3, 4)))
		counts := make([]float64, universe)
		for range draws {
			counts[z.draw()]++
		}
		for _, k := range []int{2, 4, 16, 64} {
			got, want := counts[k-1]/counts[0], math.Pow(float64(k), -s)
			if math.Abs(got-want) > 0.1*want+0.002 {
				t.Errorf("s=%v: block %d is drawn %.4f as often as the first; want %.4f", s, k, got, want)
			}
		}
	}
}

func TestTracesAreTheSameEveryTime(t *testing.T) {
	for i, m := range mixtures() {
		a, b := m.trace(10_000, 100), mixtures()[i].trace(10_000, 100)
		if len(a) != 10_000 || !slices.Equal(a, b) {
			t.Errorf("%s: the two traces differ", m.name)
		}
	}
}

func TestWhatIsMixedInComesOnce(t *testing.T) {
	for _, m := range []struct {
		name  string
		mix   func(*zipf, int, int) []uint64
		extra int
	}{{"wonders", wonders, 5000}, {"scans", scans, 2000}} {
		seen, extra := map[uint64]bool{}, 0
		for _, block := range m.mix(newZipf(1, rand.New(rand.NewPCG(1, 2))), 10_000, 100) {
			if block < universe {
				continue
			}
			if extra++; seen[block] {
				t.Errorf("%s: block %d comes twice", m.name, block)
			}
			seen[block] = true
		}
		if extra != m.extra {
			t.Errorf("%s: %d blocks are mixed in; want %d", m.name, extra, m.extra)
		}
	}
}
