package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// A figure is one line of the table.
type figure struct {
	what  string
	must  string // be
	got   string
	holds bool
	noise string // why the machine was too busy to tell whether it holds; "" otherwise
	speed bool   // what is amiss, if anything, may be the machine's speed: no answer was wrong
}

// timed says of a figure that it is about speed alone if nothing was wrong.
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

// about says what the figures were measured on.
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

// writeTable puts the table between the marks in the file, which it makes if need be; the rest is left as it is.
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

// ms writes a duration in milliseconds.
func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
