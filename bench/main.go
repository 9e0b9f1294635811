// Command bench measures what the cache costs, beside bare handlers and beside other libraries, holds the figures against
// what they must be, and writes the table, the plots and benchstat's summary into docs/.
//
//	go run ./bench                         ten rounds of everything
//	go run ./bench -short                  one quick round, to see that it works; nothing is written without -o
//	go run ./bench -only 'Hit$/keys=1$'    some of the benchmarks; nothing is written without -o
//	go run ./bench -only 'Miss$' -profile /tmp/miss
//
// A round runs every benchmark once, for a moment, so that what the machine does meanwhile hits all alike; a row of the
// table is a ratio of two benchmarks in the same round, and its figure the median over all rounds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
)

func main() {
	log.SetFlags(0)
	var p plan
	flag.BoolVar(&p.short, "short", false, "one round at small sizes, in which figures mean little and nothing fails")
	flag.IntVar(&p.rounds, "rounds", 10, "how often everything is measured")
	flag.StringVar(&p.benchtime, "benchtime", "100ms", "how long each benchmark runs in a round")
	flag.StringVar(&p.only, "only", "", "benchmarks to run, as go test's -bench has it")
	flag.StringVar(&p.profiles, "profile", "", "directory for profiles of one more round, in process")
	file := flag.String("o", "", "file whose table is replaced; by default "+performance+" after a full run, else none")
	plots := flag.String("plots", "", "directory for the plots; by default that of -o")
	raw := flag.String("raw", "", "file that gets all results, for benchstat")
	flag.StringVar(&p.from, "from", "", "file of results to report, as -raw has written it; nothing is measured")
	flag.Parse()
	if p.short {
		p.rounds, p.benchtime = 1, "1ms"
	} else if *file == "" && p.only == "" {
		*file = performance
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	met, err := bench(ctx, p, *file, *plots, *raw)
	if err != nil {
		cancel()
		log.Fatal("bench: ", err)
	}
	if !met && !p.short {
		cancel()
		os.Exit(1)
	}
}

// performance is the page that the figures are for.
const performance = "docs/performance.md"

// bench carries the plan out and reports whether what was measured is as it must be.
func bench(ctx context.Context, p plan, file, plots, raw string) (met bool, err error) {
	results, runErr := p.results(ctx)
	if raw != "" {
		if err := os.WriteFile(raw, results, 0o644); err != nil {
			return false, err
		}
	}
	f, err := read(results)
	if err != nil {
		return false, err
	}
	verdicts := judge(f)
	if p.only != "" {
		verdicts = slices.DeleteFunc(verdicts, func(v verdict) bool { return len(v.values) == 0 })
	}
	fmt.Print(table(verdicts))
	met = !slices.ContainsFunc(verdicts, verdict.fails)
	if file == "" || len(f) == 0 {
		return met, runErr
	}
	if plots == "" {
		plots = filepath.Dir(file)
	}
	// What a part that failed did not measure is left out.
	return met, errors.Join(runErr, drawAll(plots, f), write(ctx, file, p, verdicts, results))
}
