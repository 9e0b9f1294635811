package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// play lets a report read lines and returns what it writes.
func play(t *testing.T, verbose bool, lines ...string) string {
	t.Helper()
	var out strings.Builder
	r := newReport(&out, 2, false, verbose)
	r.follow(strings.NewReader(strings.Join(lines, "\n")))
	r.end()
	return out.String()
}

const (
	startA = `{"Action":"start","Package":"github.com/larder-go/cache/a"}`
	runOne = `{"Action":"run","Package":"github.com/larder-go/cache/a","Test":"TestOne"}`
	sayOne = `{"Action":"output","Package":"github.com/larder-go/cache/a","Test":"TestOne","Output":"one is said\n"}`
	passed = `{"Action":"pass","Package":"github.com/larder-go/cache/a","Test":"TestOne","Elapsed":1}`
	failed = `{"Action":"fail","Package":"github.com/larder-go/cache/a","Test":"TestOne","Elapsed":1}`
	sayTwo = `{"Action":"output","Package":"github.com/larder-go/cache/a","Test":"TestTwo","Output":"two is said\n"}`
	sayAll = `{"Action":"output","Package":"github.com/larder-go/cache/a","Output":"panic: too far\n"}`
	goneA  = `{"Action":"fail","Package":"github.com/larder-go/cache/a","Elapsed":2.5}`
	goodA  = `{"Action":"pass","Package":"github.com/larder-go/cache/a","Elapsed":2.5}`
	noneB  = `{"Action":"skip","Package":"github.com/larder-go/cache/b","Elapsed":0}`
)

func TestEachPackageHasALine(t *testing.T) {
	got := play(t, false, startA, runOne, sayOne, passed, goodA, noneB)
	const want = "ok    1 of 2     2.5 s  ./a  (0s so far)\n1 tests passed, 0 were skipped, in 0s\n"
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// What failed is shown in full, with what its package printed and with tests that never ended; what passed is not.
func TestFailuresAreShownAtTheEnd(t *testing.T) {
	got := play(t, false, startA, sayTwo, sayOne, failed, sayAll, goneA)
	const want = `FAIL  TestOne in ./a; its output follows at the end
FAIL  1 of 2     2.5 s  ./a  (0s so far)

--- github.com/larder-go/cache/a
two is said
one is said
panic: too far

1 of 2 packages failed: ./a
0 tests passed, 0 were skipped, in 0s
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if got := play(t, false, startA, sayOne, passed, sayAll, goneA); strings.Contains(got, "one is said") {
		t.Errorf("what a test printed that passed is shown:\n%s", got)
	}
}

func TestBuildsThatFailAreShownOnce(t *testing.T) {
	got := play(t, false,
		`{"ImportPath":"c","Action":"build-output","Output":"c.go:1: undefined: x\n"}`, `{"ImportPath":"c","Action":"build-fail"}`,
		startA, `{"Action":"fail","Package":"a","Elapsed":0,"FailedBuild":"c"}`, `{"Action":"fail","Package":"b","Elapsed":0,"FailedBuild":"c"}`)
	if strings.Count(got, "undefined: x") != 1 || !strings.Contains(got, "2 of 2 packages failed: a, b") {
		t.Errorf("got:\n%s", got)
	}
}

func TestWhatTestsPrintIsShownWhereItIsAskedFor(t *testing.T) {
	for arg, want := range map[string]bool{"-v": true, "--v": true, "-bench=.": true, "-fuzz": true, "v": false, "-run": false, "-vet=off": false} {
		if got := wantsOutput(arg); got != want {
			t.Errorf("%s: %v, want %v", arg, got, want)
		}
	}
	if got := play(t, true, startA, sayOne, passed, goodA); !strings.Contains(got, "one is said\n") {
		t.Errorf("got:\n%s", got)
	}
	if got := play(t, false, "go: downloading something", goodA); !strings.HasPrefix(got, "go: downloading something\n") {
		t.Errorf("got:\n%s", got)
	}
}

func TestWhatRunsIsSaid(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		var out strings.Builder
		r := newReport(&out, 2, terminal, false)
		r.wait()
		r.read(startA)
		r.wait()
		if got := out.String(); terminal != strings.Contains(got, "running: ./a") {
			t.Errorf("terminal %v: said %q at once", terminal, got)
		}
		r.spoke = time.Now().Add(-2 * time.Minute)
		r.wait()
		if got := out.String(); !strings.Contains(got, "running: ./a") || terminal == strings.Contains(got, "\n") {
			t.Errorf("terminal %v: said %q", terminal, got)
		}
	}
}

// The status is go test's, whatever of it fails.
func TestStatusIsThatOfGoTest(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the go command on a module of its own")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":            "module m\n\ngo 1.26.0\n",
		"good/a_test.go":    "package good\n\nimport \"testing\"\n\nfunc TestGood(t *testing.T) {}\nfunc TestNot(t *testing.T) { t.Skip() }\n",
		"bad/a_test.go":     "package bad\n\nimport \"testing\"\n\nfunc TestBad(t *testing.T) { t.Error(\"it is bad\") }\n",
		"broken/a_test.go":  "package broken\n\nimport \"testing\"\n\nfunc TestBroken(t *testing.T) { undefined() }\n",
		"untested/plain.go": "package untested\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("GOWORK", "off")
	t.Setenv("GOFLAGS", "")
	for _, c := range []struct {
		skip   string
		args   []string
		status int
		want   []string
	}{
		{"bad|broken", nil, 0, []string{"1 of 1", "m/good", "1 tests passed, 1 were skipped"}},
		{"broken", []string{"-run", "Good|Not"}, 0, []string{"1 tests passed, 1 were skipped"}},
		{"broken", nil, 1, []string{"it is bad", "1 of 2 packages failed: m/bad"}},
		{"bad", nil, 1, []string{"undefined: undefined", "1 of 2 packages failed: m/broken"}},
		{"bad|broken", []string{"-no-such-flag"}, 1, nil},
	} {
		var out strings.Builder
		status, err := run(t.Context(), &out, []string{"./..."}, c.skip, c.args)
		if status != c.status || err != nil {
			t.Errorf("-skip %s %q: status %d, %v, want %d", c.skip, c.args, status, err, c.status)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("-skip %s %q: no %q in\n%s", c.skip, c.args, want, out.String())
			}
		}
	}
	if status, err := run(t.Context(), new(strings.Builder), []string{"./..."}, ".", nil); status == 0 || err == nil {
		t.Errorf("without packages: status %d, %v", status, err)
	}
}
