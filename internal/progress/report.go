package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// An event is one line of go test -json; go doc test2json and go help buildjson describe them.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of what is built, if Package is empty
	Test        string
	Output      string
	Elapsed     float64 // seconds
	FailedBuild string  // the ImportPath whose build failed
}

// A report is written as events come in.
type report struct {
	w        io.Writer
	terminal bool // the last line may be overwritten
	verbose  bool // output of tests is shown as it comes

	begun   time.Time
	spoke   time.Time // when a line was last written
	tested  int       // packages that have tests
	done    int
	passed  int // tests
	skipped int
	running []string             // packages
	output  map[string][]printed // by package: what is shown at the end if it fails
	built   map[string][]string  // by ImportPath: what its build printed
	failed  []string             // packages, in the order in which they ended
	causes  map[string]string    // by failed package: the ImportPath whose build failed
}

// printed is a line of output of a test, or of the package if test is empty.
type printed struct{ test, line string }

func newReport(w io.Writer, tested int, terminal, verbose bool) *report {
	now := time.Now()
	return &report{w: w, tested: tested, terminal: terminal, verbose: verbose, begun: now, spoke: now,
		output: map[string][]printed{}, built: map[string][]string{}, causes: map[string]string{}}
}

// follow reads events until they end. Meanwhile it reports what still runs.
func (r *report) follow(events io.Reader) {
	lines := make(chan string)
	go func() {
		defer close(lines)
		from := bufio.NewReader(events) // lines may be longer than a Scanner takes
		for {
			line, err := from.ReadString('\n')
			if line != "" {
				lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return
			}
			r.read(line)
		case <-tick.C:
			r.wait()
		}
	}
}

// read handles one line. A line that is no event is shown as it is.
func (r *report) read(line string) {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		r.say("%s", strings.TrimRight(line, "\n"))
		return
	}
	switch {
	case e.Action == "build-output":
		r.built[e.ImportPath] = append(r.built[e.ImportPath], e.Output)
	case e.Action == "output":
		r.print(e)
	case e.Test != "":
		r.test(e)
	case e.Action == "start":
		r.running = append(r.running, e.Package)
	case e.Action == "pass", e.Action == "fail", e.Action == "skip":
		r.ended(e)
	}
}

// print records a test's output until the test has passed.
func (r *report) print(e event) {
	if r.verbose {
		r.say("%s", strings.TrimRight(e.Output, "\n"))
	}
	for _, noise := range []string{"=== RUN", "=== PAUSE", "=== CONT", "=== NAME"} {
		if strings.HasPrefix(e.Output, noise) {
			return
		}
	}
	r.output[e.Package] = append(r.output[e.Package], printed{e.Test, e.Output})
}

// test counts a test that has ended.
func (r *report) test(e event) {
	switch e.Action {
	case "pass", "skip":
		if e.Action == "pass" {
			r.passed++
		} else {
			r.skipped++
		}
		r.output[e.Package] = slices.DeleteFunc(r.output[e.Package], func(p printed) bool { return p.test == e.Test })
	case "fail":
		if !strings.Contains(e.Test, "/") { // a subtest fails its parent, too
			r.say("FAIL  %s in %s; its output follows at the end", e.Test, short(e.Package))
		}
	}
}

// ended writes the line of a package that has ended.
func (r *report) ended(e event) {
	r.running = slices.DeleteFunc(r.running, func(p string) bool { return p == e.Package })
	if e.Action == "fail" {
		r.failed = append(r.failed, e.Package)
		r.causes[e.Package] = e.FailedBuild
	} else {
		delete(r.output, e.Package)
	}
	if e.Action == "skip" { // it has no tests
		return
	}
	r.done++
	word := map[string]string{"pass": "ok  ", "fail": "FAIL"}[e.Action]
	r.say("%s  %*d of %d  %6.1f s  %s  (%v so far)", word, len(fmt.Sprint(r.tested)), r.done, r.tested, e.Elapsed, short(e.Package), r.elapsed())
}

// end writes the full output of what failed, and the totals.
func (r *report) end() {
	r.clear()
	shown := map[string]bool{} // builds: one may fail several packages
	for _, pack := range r.failed {
		fmt.Fprintf(r.w, "\n--- %s\n", pack)
		if build := r.causes[pack]; build != "" && !shown[build] {
			shown[build] = true
			for _, line := range r.built[build] {
				fmt.Fprint(r.w, line)
			}
		}
		for _, p := range r.output[pack] {
			fmt.Fprint(r.w, p.line)
		}
	}
	if len(r.failed) > 0 {
		fmt.Fprintf(r.w, "\n%d of %d packages failed: %s\n", len(r.failed), r.tested, strings.Join(names(r.failed), ", "))
	}
	fmt.Fprintf(r.w, "%d tests passed, %d were skipped, in %v\n", r.passed, r.skipped, r.elapsed())
}

// wait reports what runs: on a terminal every second, in a line that the next one overwrites; elsewhere after a minute without
// another line.
func (r *report) wait() {
	if len(r.running) == 0 {
		return
	}
	// go test starts packages when they are built, in order: those that still wait for their turn come last.
	text := fmt.Sprintf("%d of %d done, %v; running: %s", r.done, r.tested, r.elapsed(), strings.Join(names(r.running), ", "))
	if r.terminal {
		r.clear()
		fmt.Fprintf(r.w, "%.100s", text)
		return
	}
	if time.Since(r.spoke) >= time.Minute {
		r.say("...   %s", text)
	}
}

// say writes a line.
func (r *report) say(format string, args ...any) {
	r.clear()
	fmt.Fprintf(r.w, format+"\n", args...)
	r.spoke = time.Now()
}

// clear erases the line that is to be overwritten.
func (r *report) clear() {
	if r.terminal {
		fmt.Fprint(r.w, "\r\x1b[K")
	}
}

func (r *report) elapsed() time.Duration { return time.Since(r.begun).Round(time.Second) }

const module = "github.com/larder-go/cache"

// short returns a package's path relative to the root of the repository.
func short(pack string) string {
	if rest, ok := strings.CutPrefix(pack, module); ok {
		return "." + rest
	}
	return pack
}

func names(packs []string) []string {
	all := make([]string, len(packs))
	for i, p := range packs {
		all[i] = short(p)
	}
	return all
}
