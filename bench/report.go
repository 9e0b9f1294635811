package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// peers are the modules whose versions the page names.
var peers = []string{
	"github.com/SporkHubr/echo-http-cache",
	"github.com/chenyahui/gin-cache",
	"github.com/gin-gonic/gin",
	"github.com/go-redis/cache/v9",
	"github.com/gofiber/fiber/v3",
	"github.com/jellydator/ttlcache/v3",
	"github.com/labstack/echo/v4",
	"github.com/maypok86/otter/v2",
	"github.com/redis/go-redis/v9",
	"github.com/redis/rueidis",
	"github.com/viccon/sturdyc",
}

// write puts the figures between the marks in the page.
func write(ctx context.Context, file string, p plan, verdicts []verdict, results []byte) error {
	versions, err := versions(ctx)
	if err != nil {
		return err
	}
	summary, err := benchstat(ctx, results)
	if err != nil {
		return err
	}
	page, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		page, err = []byte(blank), os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err != nil {
		return err
	}
	text := string(page)
	for _, part := range []struct{ mark, content string }{
		{"bench", about(p, results) + table(verdicts)},
		{"versions", versions},
		{"benchstat", "```text\n" + summary + "```\n"},
	} {
		if text, err = replace(text, part.mark, part.content); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// blank is a page that has nothing but marks.
const blank = `# Performance

<!-- bench -->
<!-- /bench -->

<!-- versions -->
<!-- /versions -->

<!-- benchstat -->
<!-- /benchstat -->
`

// replace puts the content between the marks.
func replace(text, mark, content string) (string, error) {
	begin, end := "<!-- "+mark+" -->", "<!-- /"+mark+" -->"
	before, rest, begins := strings.Cut(text, begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		return "", fmt.Errorf("there are no lines %s and %s for the figures to stand between", begin, end)
	}
	return before + begin + "\n" + content + end + after, nil
}

// about describes how and on what machine the figures were measured.
func about(p plan, results []byte) string {
	size := fmt.Sprintf("%d rounds of %s for each benchmark", p.rounds, p.benchtime)
	if p.short {
		size = "one short round, in which figures mean little"
	}
	cpu := "an unknown processor"
	if _, rest, ok := strings.Cut(string(results), "\ncpu: "); ok {
		cpu, _, _ = strings.Cut(rest, "\n")
	}
	version := strings.Replace(runtime.Version(), "go", "Go ", 1)
	return fmt.Sprintf("Measured by `make bench` in %s, on %s with %d cores, %s, %s/%s.\nMedians over the rounds; in brackets the least and the most.\n\n",
		size, strings.TrimSpace(cpu), runtime.NumCPU(), version, runtime.GOOS, runtime.GOARCH)
}

// versions lists the modules that were measured next to Larder, with their versions.
func versions(ctx context.Context) (string, error) {
	var all bytes.Buffer
	if err := command(ctx, &all, "go", "list", "-m", "-f", "{{.Path}} {{.Version}}", "all"); err != nil {
		return "", err
	}
	table := "| module | version |\n|---|---|\n"
	for line := range strings.Lines(all.String()) {
		if path, version, _ := strings.Cut(strings.TrimSpace(line), " "); slices.Contains(peers, path) {
			table += fmt.Sprintf("| `%s` | %s |\n", path, version)
		}
	}
	return table, nil
}

// benchstat returns benchstat's summary of the results.
func benchstat(ctx context.Context, results []byte) (string, error) {
	dir, err := os.MkdirTemp("", "benchstat-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "median")
	if err := os.WriteFile(file, results, 0o644); err != nil {
		return "", err
	}
	var out bytes.Buffer
	args := []string{"tool", "golang.org/x/perf/cmd/benchstat", "-filter", "-.unit:B/op", "-table", "",
		"-ignore", "pkg,goos,goarch,cpu,places,load", "median=" + file}
	if err := command(ctx, &out, "go", args...); err != nil {
		return "", err
	}
	return out.String(), nil
}
