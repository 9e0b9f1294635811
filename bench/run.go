package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// module is where the programs are that measure.
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

// results are what was measured before, or what run measures.
func (p plan) results(ctx context.Context) ([]byte, error) {
	if p.from != "" {
		return os.ReadFile(p.from)
	}
	return p.run(ctx)
}

// run measures and returns all results in the format of Go benchmarks: those in process, hit ratios, those over sockets.
// A part that fails does not keep the others from being measured.
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
		return true // the part's program says what is wrong
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

// ratio compares hit ratios, once: they are the same every time.
func (p plan) ratio(ctx context.Context, _ string, w io.Writer) error {
	args := []string{"run", module + "ratio"}
	if p.short {
		args = append(args, "-requests=20000")
	}
	return command(ctx, w, "go", args...)
}

// wire measures over sockets, in rounds of its own.
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

// command runs a program; what it prints goes to w, and what it complains of to standard error.
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
