package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// sample is the result of one visit.
type sample struct {
	n       int64 // how many requests or streams were measured
	figures []figure
}

type figure struct {
	value float64
	unit  string
}

// units tell benchstat which direction is better for each unit.
var units = []string{
	"req/s better=higher", "p50-µs better=lower", "p99-µs better=lower", "server-µs/op better=lower", "server-p99-µs better=lower", "reads/op better=lower",
	"MB/s better=higher", peakUnit + " better=lower", extraUnit + " better=lower",
}

const (
	peakUnit  = "peak-MiB"
	extraUnit = "extra-MiB"
)

// print writes the configuration that all lines of the results share, and the units.
func (s setup) print(w io.Writer, p plan) error {
	_, err := fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: github.com/larder-go/cache/bench/wire\n", runtime.GOOS, runtime.GOARCH)
	if name := processor(); name != "" {
		_, err = fmt.Fprintln(w, "cpu:", name)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "places: %s\nload: %s, one thread, %d s\n", s.places(), s.tool(), p.seconds)
	for _, unit := range units {
		if err == nil {
			_, err = fmt.Fprintln(w, "Unit", unit)
		}
	}
	return err
}

// print writes a line for each contestant that the round has measured, in the order of contests.
func (c contest) print(w io.Writer, samples map[string]sample) error {
	for _, one := range c.contestants {
		s, ok := samples[one.name]
		if !ok {
			continue
		}
		s.figures = append(s.figures, extra(s, samples[one.beside])...)
		line := fmt.Sprintf("Benchmark%s/%s\t%d", c.name, one.name, s.n)
		for _, f := range s.figures {
			line += fmt.Sprintf("\t%.2f %s", f.value, f.unit)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// extra is the difference between the two peaks of memory, if both are known.
func extra(s, beside sample) []figure {
	own, ok := s.peak()
	other, known := beside.peak()
	if !ok || !known {
		return nil
	}
	return []figure{{own - other, extraUnit}}
}

func (s sample) peak() (float64, bool) {
	for _, f := range s.figures {
		if f.unit == peakUnit {
			return f.value, true
		}
	}
	return 0, false
}

// processor returns the name of the processor if the system reports it; go test prints it, too.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
