// Command ratio plays the same traces on caches of equal capacity and prints the hit ratio of each, in the format of Go
// benchmarks:
//
//	go run ./bench/ratio                               Zipf's law: alone, mixed with requests that never come again, with scans
//	go run ./bench/ratio -trace OLTP.lis -capacity 1000    a trace in the format of the ARC paper
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	file := flag.String("trace", "", "a trace in ARC's format; none: traces made by Zipf's law")
	capacity := flag.Int("capacity", 1000, "entries that each cache may hold")
	requests := flag.Int("requests", 300_000, "length of the traces that are made")
	flag.Parse()
	if *capacity <= 0 || *requests <= 0 {
		log.Fatal("ratio: -capacity and -requests must be above zero")
	}
	if err := run(os.Stdout, *file, *capacity, *requests); err != nil {
		log.Fatal("ratio: ", err)
	}
}

func run(w io.Writer, file string, capacity, requests int) error {
	if file == "" {
		for _, m := range mixtures() {
			if err := compare(w, m.name, m.trace(requests, capacity), capacity); err != nil {
				return err
			}
		}
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	trace, err := readARC(bufio.NewReader(f), maxTrace)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return compare(w, "trace="+strings.ReplaceAll(filepath.Base(file), " ", "_"), trace, capacity)
}

func compare(w io.Writer, name string, trace []uint64, capacity int) error {
	for _, c := range caches {
		hits := c.play(trace, capacity)
		percent := 100 * float64(hits) / float64(max(1, len(trace)))
		if _, err := fmt.Fprintf(w, "BenchmarkRatio/%s/capacity=%d/%s 1 %.2f hit-%%\n", name, capacity, c.name, percent); err != nil {
			return err
		}
	}
	return nil
}
