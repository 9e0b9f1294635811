// Command progress runs go test and shows its progress: a line for each package as it ends, and what runs meanwhile. At the
// end it prints the full output of what failed. It exits with go test's status.
//
//	go run ./internal/progress -in ./... -in ./bench/... -- -race -run Purge
//
// The arguments after -- go to go test unchanged. -skip, before --, leaves out the packages whose import path matches.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	var patterns []string
	flag.Func("in", "pattern of packages, as go list has it; may be repeated", func(s string) error {
		patterns = append(patterns, s)
		return nil
	})
	skip := flag.String("skip", "", "regular expression of import paths that are left out")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	status, err := run(ctx, os.Stdout, patterns, *skip, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "progress:", err)
	}
	cancel()
	os.Exit(status)
}

// run runs go test with the arguments on the packages and returns its exit status.
func run(ctx context.Context, w io.Writer, patterns []string, skip string, args []string) (status int, err error) {
	all, tested, err := packages(ctx, patterns, skip)
	if err != nil {
		return 1, err
	}
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"test", "-json"}, args, all)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	r := newReport(w, tested, isTerminal(w), slices.ContainsFunc(args, wantsOutput))
	r.follow(out)
	err = cmd.Wait()
	r.end()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1), nil // -1 after a signal
	}
	return 0, err
}

// packages returns the import paths of all packages that match the patterns, and how many of them have tests.
func packages(ctx context.Context, patterns []string, skip string) (all []string, tested int, err error) {
	left, err := regexp.Compile(skip)
	if err != nil {
		return nil, 0, fmt.Errorf("-skip: %w", err)
	}
	const format = "{{.ImportPath}} {{len .TestGoFiles}}{{len .XTestGoFiles}}"
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"list", "-f", format}, patterns)...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, 0, fmt.Errorf("go list: %w\n%s", err, complaint.String())
	}
	for line := range strings.Lines(out.String()) {
		path, tests, _ := strings.Cut(strings.TrimSpace(line), " ")
		if skip != "" && left.MatchString(path) {
			continue
		}
		all = append(all, path)
		if tests != "00" {
			tested++
		}
	}
	if len(all) == 0 {
		return nil, 0, fmt.Errorf("no packages are left of %q", patterns)
	}
	return all, tested, nil
}

// wantsOutput reports whether the argument of go test is a flag that is about the output of passing tests.
func wantsOutput(arg string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	return slices.Contains([]string{"v", "bench", "fuzz", "list", "test.v"}, name) && strings.HasPrefix(arg, "-")
}

// isTerminal reports whether w is a terminal, on which a line can be overwritten.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
