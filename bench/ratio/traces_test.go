package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
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

func TestARCTracesAreRuns(t *testing.T) {
	got, err := readARC(strings.NewReader("10 3 0 0\n\n7 1 0 1\r\n0 0 0 2\n11 2\n"), 6)
	if want := []uint64{10, 11, 12, 7, 11, 12}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

func TestDamagedARCTracesAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":     "",
		"one number":  "1 1\n2\n",
		"a word":      "1 1\nx 1 0 0\n",
		"negative":    "1 1\n5 -1 0 0\n",
		"too large":   "1 1\n99999999999999999999 1 0 0\n",
		"endless run": "1 1\n1 9223372036854775807 0 0\n",
		"too long":    "1 999\n1 2\n",
	} {
		if trace, err := readARC(strings.NewReader(text), 1000); err == nil {
			t.Errorf("%s is read as %d requests", name, len(trace))
		} else if text != "" && !strings.Contains(err.Error(), "line 2: ") {
			t.Errorf("%s: %v does not name line 2", name, err)
		}
	}
}

// What is read is what the lines say, and nothing makes the reader panic or take much memory.
func FuzzARC(f *testing.F) {
	f.Add("10 3 0 0\n7 1 0 1\n")
	f.Add("1 99999999999 0 0")
	f.Fuzz(func(t *testing.T, text string) {
		trace, err := readARC(strings.NewReader(text), 1000)
		if (err == nil) == (len(trace) == 0) || len(trace) > 1000 {
			t.Errorf("%d requests and error %v", len(trace), err)
		}
	})
}
