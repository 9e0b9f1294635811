// Command fleet measures how well several processes that share a Redis agree, what faults of Redis cost them, and how often
// handlers run. Everything in it is real: redis-server processes, app processes (itself, with "app" as the first
// argument), connections, signals. It prints a table and writes it into docs/reliability.md.
//
//	go run ./fleet                   bounded sizes: three minutes at most
//	go run ./fleet -long             full sizes
//	go run ./fleet -slow             do not fail for figures that a slow or busy machine may have spoiled
//	go run ./fleet -only cold,purge  some of the scenarios; nothing is written
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A scenario plays on a stage and returns what it measured.
type scenario struct {
	name string
	play func(*stage) ([]figure, error)
}

var scenarios = []scenario{
	{"cold", cold}, {"herd", herd}, {"purge", purges}, {"near", near}, {"outage", outage}, {"chaos", chaos}, {"clock", clock}, {"cluster", clusters}, {"sentinel", sentinels}, {"lies", lies},
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "app" {
		if err := runApp(os.Args[2:]); err != nil {
			log.Fatal("app: ", err)
		}
		return
	}
	only := flag.String("only", "", "scenarios to play, with commas between; others are left out and nothing is written")
	long := flag.Bool("long", false, "play at full size")
	verbose := flag.Bool("v", false, "say what happens")
	slow := flag.Bool("slow", false, "do not fail for figures that rest on the machine's speed")
	file := flag.String("o", "docs/reliability.md", "file whose table is replaced")
	flag.Parse()
	if _, err := exec.LookPath("redis-server"); err != nil {
		log.Fatal("fleet: redis-server is not on the PATH; install Redis to measure on it")
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	figures, err := playAll(ctx, *only, *long, *verbose)
	report := table(figures)
	fmt.Print(report)
	if err == nil && *only == "" {
		err = writeTable(*file, about(*long)+report)
	}
	if err != nil {
		log.Fatal("fleet: ", err)
	}
	fails := figure.fails
	if *slow {
		fails = figure.wrong
	}
	if slices.ContainsFunc(figures, fails) {
		os.Exit(1)
	}
}

func playAll(ctx context.Context, only string, long, verbose bool) ([]figure, error) {
	var names []string
	if only != "" {
		names = strings.Split(only, ",")
	}
	for _, name := range names {
		if !slices.ContainsFunc(scenarios, func(sc scenario) bool { return sc.name == name }) {
			return nil, fmt.Errorf("no scenario is called %q", name)
		}
	}
	var figures []figure
	var failed error
	for _, sc := range scenarios {
		if names != nil && !slices.Contains(names, sc.name) {
			continue
		}
		begun := time.Now()
		some, err := play(ctx, sc, long, verbose)
		log.Printf("%s: %v", sc.name, time.Since(begun).Round(100*time.Millisecond))
		figures = append(figures, some...)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", sc.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return figures, failed
}

// play plays one scenario within a time limit and cleans up after it.
func play(ctx context.Context, sc scenario, long, verbose bool) ([]figure, error) {
	most := 2 * time.Minute
	if long {
		most = 30 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	s, err := newStage(ctx, long, verbose)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return sc.play(s)
}

// A figure is one line of the table.
type figure struct {
	what  string
	must  string // what it must be
	got   string
	holds bool
	noise string // why the machine was too busy to tell; "" if it was not
	speed bool   // no response was wrong: if the figure does not hold, the machine may be too slow
}

// timed marks a figure that, if nothing was wrong, is about speed alone.
func (f figure) timed(nothingWrong bool) figure {
	f.speed = nothingWrong
	return f
}

func row(what, must, got string, holds bool) figure {
	return figure{what: what, must: must, got: got, holds: holds}
}

func (f figure) String() string {
	verdict := "**no**"
	switch {
	case f.noise != "":
		verdict = "? " + f.noise
	case f.holds:
		verdict = "yes"
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", f.what, f.must, f.got, verdict)
}

func (f figure) fails() bool { return !f.holds && f.noise == "" }

func (f figure) wrong() bool { return f.fails() && !f.speed }

func table(figures []figure) string {
	var b strings.Builder
	b.WriteString("| figure | must be | is | holds |\n|---|---|---|---|\n")
	for _, f := range figures {
		b.WriteString(f.String())
	}
	return b.String()
}

// about describes what the figures were measured on.
func about(long bool) string {
	size := "bounded sizes"
	if long {
		size = "full sizes"
	}
	version, _ := exec.Command("redis-server", "--version").Output()
	redis := "Redis"
	if _, rest, ok := strings.Cut(string(version), "v="); ok {
		redis, _, _ = strings.Cut("Redis "+rest, " sha")
	}
	return fmt.Sprintf("Measured by `make fleet` at %s with %s and %s on %d cores (%s/%s).\n\n",
		size, strings.Replace(runtime.Version(), "go", "Go ", 1), redis, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
}

const (
	tableBegins = "<!-- fleet -->"
	tableEnds   = "<!-- /fleet -->"
)

// writeTable replaces the text between the marks in the file by the table. It creates the file if necessary.
func writeTable(name, table string) error {
	old, err := os.ReadFile(name)
	switch {
	case os.IsNotExist(err):
		old = []byte("# Reliability\n\n" + tableBegins + "\n" + tableEnds + "\n")
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	before, rest, begins := strings.Cut(string(old), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return fmt.Errorf("%s has no lines %s and %s for the table to stand between", name, tableBegins, tableEnds)
	}
	return os.WriteFile(name, []byte(before+tableBegins+"\n"+table+tableEnds+after), 0o644)
}

// ms formats a duration in milliseconds.
func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
