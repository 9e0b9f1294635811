package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const someResults = `goos: linux
cpu: A Processor
BenchmarkHit/keys=1/larder-2   	 100	 200.0 ns/op	 0 B/op	 0 allocs/op
BenchmarkHit/keys=1/bare-set-2 	 100	 400.0 ns/op	 80 B/op	 5 allocs/op
PASS
BenchmarkHit/keys=1/larder-2   	 100	 900.0 ns/op	 0 B/op	 0 allocs/op
BenchmarkHit/keys=1/bare-set-2 	 100	 1000.0 ns/op	 80 B/op	 5 allocs/op
BenchmarkHit/keys=1/larder-2   	 100	 600.0 ns/op	 0 B/op	 0 allocs/op
BenchmarkHit/keys=1/bare-set-2 	 100	 1000.0 ns/op	 80 B/op	 5 allocs/op
BenchmarkStream/larder	1	100 MB/s	1.5 extra-MiB
`

func someFigures(t *testing.T, results string) figures {
	t.Helper()
	f, err := read([]byte(results))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A row is the median of the rounds' ratios, not the ratio of the medians.
func TestARowIsTheMedianOfItsRounds(t *testing.T) {
	v := judge(someFigures(t, someResults))[0]
	if want := "| ≤ 1 × | 0.60 × (0.50–0.90) | yes |\n"; !strings.HasSuffix(v.String(), want) {
		t.Errorf("got %s; want … %s", v, want)
	}
}

func TestWhatIsNotAsItMustBeFails(t *testing.T) {
	f := someFigures(t, someResults)
	memory, twice := value("Stream/larder", "extra-MiB", 1), value("Stream/larder", "extra-MiB", 2)
	for name, test := range map[string]struct {
		row   row
		fails bool
	}{
		"at most":      {row{"", times("Hit/keys=1/larder", "Hit/keys=1/bare-set"), atMost(0.6, "×")}, false},
		"too much":     {row{"", times("Hit/keys=1/larder", "Hit/keys=1/bare-set"), atMost(0.59, "×")}, true},
		"at least":     {row{"", value("Stream/larder", "B/s", 1), atLeast(100e6, "B/s")}, false},
		"too little":   {row{"", memory, atLeast(2, "MiB")}, true},
		"as it shows":  {row{"", value("Stream/larder", "extra-MiB", 1.001), atMost(1.5, "MiB")}, false},
		"above":        {row{"", above(duration, "Hit/keys=1/bare-set", "Hit/keys=1/larder", 1e9), atMost(250, "ns")}, false},
		"largest":      {row{"", largest(memory, twice), atMost(2, "")}, true},
		"smallest":     {row{"", smallest(memory, twice), atLeast(2, "")}, true},
		"not measured": {row{"", times("Hit/keys=1/larder", "Hit/keys=1/nobody"), atMost(0, "×")}, false},
	} {
		v := verdict{row: test.row}
		for round := 0; ; round++ {
			figure, ok := test.row.value(f, round)
			if !ok {
				break
			}
			v.values = append(v.values, figure)
		}
		if v.fails() != test.fails {
			t.Errorf("%s: %v fails: %v", name, v, v.fails())
		}
	}
}

func TestFiguresTakeThePlaceOfTheOld(t *testing.T) {
	file := filepath.Join(t.TempDir(), "docs", "performance.md")
	p, verdicts := plan{rounds: 3, benchtime: "1ms"}, judge(someFigures(t, someResults))
	for range 2 {
		if err := write(t.Context(), file, p, verdicts, []byte(someResults)); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(file)
	for _, want := range []string{
		"in 3 rounds of 1ms", "on A Processor with", "| 0.60 × (0.50–0.90) |", "otter/v2` | v2", "Hit/keys=1/larder-2",
	} {
		if n := strings.Count(string(page), want); n == 0 || err != nil {
			t.Errorf("%q is not on the page, %v", want, err)
		}
	}
	if n := strings.Count(string(page), "| must be |"); n != 1 {
		t.Errorf("there are %d tables; want one", n)
	}
	if _, err := replace("prose", "bench", "table"); err == nil {
		t.Error("a page without marks was changed")
	}
}

func TestPlotsAreDrawn(t *testing.T) {
	var results strings.Builder
	for i, s := range shown {
		fmt.Fprintf(&results, "Benchmark%s 1 %d ns/op\n", hit(1, s.name), 100<<i)
	}
	for entries := 1000; entries <= 1_000_000; entries *= 10 {
		fmt.Fprintf(&results, "Benchmark%s 1 %d ns/op\n", growth(entries, "larder"), entries)
	}
	for _, s := range exponents {
		for _, kind := range kinds {
			for i, c := range columns {
				fmt.Fprintf(&results, "Benchmark%s 1 %d hit-%%\n", hitRatio(s, kind.name, c.name), 50+i)
			}
		}
	}
	dir := t.TempDir()
	if err := drawAll(dir, someFigures(t, results.String())); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"hits.svg": "409.60 µs", "growth.svg": "1,000,000", "ratio.svg": "+ scans"} {
		svg, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(svg), want) {
			t.Errorf("%s does not show %q: %v", name, want, err)
		}
		for d := xml.NewDecoder(strings.NewReader(string(svg))); err != io.EOF; {
			if _, err = d.Token(); err != nil && err != io.EOF {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

func TestNothingIsDrawnWithoutFigures(t *testing.T) {
	dir := t.TempDir()
	if err := drawAll(dir, figures{}); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(dir); len(files) != 0 || err != nil {
		t.Errorf("there are %v, %v", files, err)
	}
}
