package main

import (
	"strings"
	"testing"

	"golang.org/x/perf/benchfmt"
)

// What fits is missed once; and what does not, by nobody less than by the one who knows the future.
func TestCachesCountTheirHits(t *testing.T) {
	small := []uint64{1, 2, 3, 1, 2, 3, 3}
	for _, c := range caches {
		if hits := c.play(small, 100); hits != 4 {
			t.Errorf("%s: %d hits; want 4", c.name, hits)
		}
	}
	for _, m := range mixtures() {
		trace := m.trace(20_000, 200)
		most := best(trace, 200)
		for _, c := range caches {
			if hits := c.play(trace, 200); hits > most || hits == 0 {
				t.Errorf("%s, %s: %d hits; at most %d are possible", m.name, c.name, hits, most)
			}
		}
	}
}

func TestBestKeepsWhatComesSoonest(t *testing.T) {
	if hits := best([]uint64{1, 2, 3, 1, 2, 3, 1, 2}, 2); hits != 4 {
		t.Errorf("%d hits; want 4", hits)
	}
	if hits := lru([]uint64{1, 2, 3, 1, 2, 3, 1, 2}, 2); hits != 0 {
		t.Errorf("lru: %d hits; want none", hits)
	}
}

func TestLinesAreBenchmarkResults(t *testing.T) {
	var out strings.Builder
	if err := run(&out, "", 100, 2000); err != nil {
		t.Fatal(err)
	}
	n := 0
	for r := benchfmt.NewReader(strings.NewReader(out.String()), "ratio"); r.Scan(); n++ {
		result, ok := r.Result().(*benchfmt.Result)
		if !ok {
			t.Fatalf("no result: %v", r.Result())
		}
		if percent, ok := result.Value("hit-%"); !ok || percent <= 0 || percent > 100 {
			t.Errorf("%s: %v hit-%%", result.Name, percent)
		}
	}
	if want := len(mixtures()) * len(caches); n != want {
		t.Errorf("%d results; want %d", n, want)
	}
}
