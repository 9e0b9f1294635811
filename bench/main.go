// Command bench measures what the cache costs, next to bare handlers and other libraries, checks the figures against their
// bounds, and writes the table, the plots and benchstat's summary into docs/.
//
//	go run ./bench                         ten rounds of everything
//	go run ./bench -short                  one quick round, to see that it works; nothing is written without -o
//	go run ./bench -only 'Hit$/keys=1$'    some of the benchmarks; nothing is written without -o
//	go run ./bench -only 'Miss$' -profile /tmp/miss
//
// A round runs every benchmark once, for a moment, so that the machine's noise hits all of them alike. Most rows of the table
// compare two benchmarks of the same round. The figure of a row is the median over all rounds.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
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

// bench carries out the plan and reports whether all measured rows are within their bounds.
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
	// The page leaves out what a failed part did not measure.
	return met, errors.Join(runErr, drawAll(plots, f), write(ctx, file, p, verdicts, results))
}

// module is the import path, up to its last segment, of the programs that measure.
const module = "github.com/larder-go/cache/bench/"

// A plan says what is measured, and how long.
type plan struct {
	short     bool
	rounds    int
	benchtime string
	only      string
	profiles  string
	from      string
}

// results returns the results of an earlier run, or those of a new one.
func (p plan) results(ctx context.Context) ([]byte, error) {
	if p.from != "" {
		return os.ReadFile(p.from)
	}
	return p.run(ctx)
}

// run measures and returns all results in the format of Go benchmarks: in process, hit ratios, over sockets. If a part fails,
// the others are measured nonetheless.
func (p plan) run(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var results bytes.Buffer
	for _, part := range []struct {
		names string
		run   func(ctx context.Context, dir string, w io.Writer) error
	}{
		{"Hit Body Kind Variants Miss Codec Scale Growth Pause Value", p.process},
		{"Ratio", p.ratio},
		{"Loopback Redis Stream", p.wire},
	} {
		if !p.wants(part.names) {
			continue
		}
		begun := time.Now()
		err = errors.Join(err, part.run(ctx, dir, &results))
		log.Printf("%s: %v", part.names, time.Since(begun).Round(time.Second))
	}
	return results.Bytes(), err
}

// wants reports whether one of the benchmarks is to be run.
func (p plan) wants(names string) bool {
	first, _, _ := strings.Cut(p.only, "/")
	only, err := regexp.Compile(first)
	if err != nil {
		return true // the part's own program reports what is wrong
	}
	for name := range strings.FieldsSeq(names) {
		if only.MatchString(name) {
			return true
		}
	}
	return false
}

// process measures in process, round by round.
func (p plan) process(ctx context.Context, dir string, w io.Writer) error {
	binary := filepath.Join(dir, "process.test")
	if err := command(ctx, io.Discard, "go", "test", "-c", "-o", binary, module+"process"); err != nil {
		return err
	}
	args := []string{"-test.run=^$", "-test.bench=" + cmp.Or(p.only, "."), "-test.benchtime=" + p.benchtime,
		"-test.benchmem", "-test.count=1", "-test.timeout=10m", "-test.short=" + strconv.FormatBool(p.short)}
	for round := range p.rounds {
		begun := time.Now()
		if err := command(ctx, w, binary, args...); err != nil {
			return fmt.Errorf("round %d: %w", round+1, err)
		}
		log.Printf("round %d of %d: %v", round+1, p.rounds, time.Since(begun).Round(time.Second))
	}
	if p.profiles == "" {
		return nil
	}
	if err := os.MkdirAll(p.profiles, 0o755); err != nil {
		return err
	}
	for _, kind := range []string{"cpu", "mem", "mutex"} {
		args = append(args, fmt.Sprintf("-test.%sprofile=%s", kind, filepath.Join(p.profiles, kind+".prof")))
	}
	return command(ctx, io.Discard, binary, args...)
}

// ratio compares hit ratios, once: they are the same in every run.
func (p plan) ratio(ctx context.Context, _ string, w io.Writer) error {
	args := []string{"run", module + "ratio"}
	if p.short {
		args = append(args, "-requests=20000")
	}
	return command(ctx, w, "go", args...)
}

// wire measures over sockets, in its own rounds.
func (p plan) wire(ctx context.Context, dir string, w io.Writer) error {
	binary := filepath.Join(dir, "wire")
	if err := command(ctx, io.Discard, "go", "build", "-o", binary, module+"wire"); err != nil {
		return err
	}
	args := []string{"-rounds=" + strconv.Itoa(p.rounds), "-only=" + p.only}
	if p.short {
		args = append(args, "-seconds=1", "-only="+cmp.Or(p.only, "^(Loopback|Redis/clients=[0-9]+|Stream)/(bare|larder|plain-get)$"))
	}
	return command(ctx, w, binary, args...)
}

// command runs a program. Its standard output goes to w, its standard error to ours.
func command(ctx context.Context, w io.Writer, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	c.Stdout, c.Stderr = w, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return nil
}
