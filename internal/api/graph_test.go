package api

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// forbidden are modules that only our tests, or an optional store or adapter, need.
var forbidden = []string{
	"github.com/maypok86/otter",
	"github.com/alicebob/miniredis",
	"github.com/yuin/gopher-lua",
	"github.com/go-chi/chi",
}

// TestUsersGetFewModules builds the module graph of an app that uses the cache with Redis and echo. Every module in it is
// one that the app's authors must audit, so nothing of what is forbidden may be among them.
func TestUsersGetFewModules(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the go command on a module of its own")
	}
	repository, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	app := t.TempDir()
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod": fmt.Sprintf("module app\n\ngo 1.26.0\n\nrequire %s v0.0.0\n\nreplace %[1]s => %s\n", module, repository),
		"go.sum": string(sums),
		"main.go": `package main

import (
	_ "` + module + `"
	_ "` + module + `/echo"
	_ "` + module + `/store/redisstore"
)

func main() {}
`,
	} {
		if err := os.WriteFile(filepath.Join(app, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	goCommand(t, app, "list", "-deps", ".") // adds what go.mod lacks
	modules := map[string][]string{}        // who requires it
	for line := range strings.Lines(goCommand(t, app, "mod", "graph")) {
		from, to, _ := strings.Cut(strings.TrimSpace(line), " ")
		modules[to] = append(modules[to], from)
	}
	if len(modules) < 5 {
		t.Fatalf("the graph has only %d modules", len(modules))
	}
	for _, module := range slices.Sorted(maps.Keys(modules)) {
		if slices.ContainsFunc(forbidden, func(f string) bool { return strings.HasPrefix(module, f) }) {
			t.Errorf("an app that imports the cache, echo and redisstore gets %s, required by %s.\n"+
				"Move what needs it, or its tests, to a module of its own.", module, strings.Join(modules[module], ", "))
		}
	}
}

// goCommand runs go in the directory, outside this repository's workspace. Modules in the module cache need no network.
func goCommand(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GOSUMDB=off")
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, complaint.String())
	}
	return out.String()
}
