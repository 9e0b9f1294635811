// Package api holds the public surface of every package against a golden file, and what users' modules must not depend on.
package api

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	root   = "../.."                      // of the repository, seen from here
	module = "github.com/larder-go/cache" // the root module's path
)

// tools are the modules that are not published: programs that measure and examples. They have no public surface.
var tools = []string{"bench", "fleet", "examples"}

// most is how many names a package may have: lines of `go doc -short` that are not indented. Less is better: a name that a
// caller, an adapter or a store does not need belongs in an unexported place or under internal/.
var most = map[string]int{
	"store":      21,
	"keying":     7,
	"middleware": 14,
}

// TestSurface compares the exported names of every public package, with signatures, fields and methods, with the golden
// files in testdata. So whoever changes the surface changes a golden file too, and a review sees it.
func TestSurface(t *testing.T) {
	packages := publicPackages(t)
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		t.Run(dir, func(t *testing.T) {
			golden, got := goldenFile(dir), packages[dir].surface
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%s is public and has no golden file: %v\nTo record its surface: go test ./internal/api -update", dir, err)
			}
			if changes := changed(string(want), got); changes != "" {
				t.Errorf("the public surface of %s has changed:\n%s\n"+
					"If that is meant: go test ./internal/api -update, commit %s, and say in CHANGELOG.md what users must change.\n"+
					"If not: give the name back, or unexport it.", dir, changes, filepath.Base(golden))
			}
		})
	}
	golden, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range golden {
		if slices.ContainsFunc(slices.Collect(maps.Keys(packages)), func(dir string) bool { return goldenFile(dir) == file }) {
			continue
		}
		if *update {
			_ = os.Remove(file)
			continue
		}
		t.Errorf("%s is of a package that is no longer public.\nIf that is meant: go test ./internal/api -update", file)
	}
}

// TestSurfaceIsSmall bounds how many names a reader of `go doc` has to look through.
func TestSurfaceIsSmall(t *testing.T) {
	packages := publicPackages(t)
	for dir, most := range most {
		if got := packages[dir].names; got > most {
			t.Errorf("%s exports %d names, %d are allowed: unexport one, or move it to internal/", dir, got, most)
		}
	}
}

// A surface is what a package shows to its importers.
type surface struct {
	surface string
	names   int // constants and variables count once for each declaration
}

// goldenFile is where the surface of the package in the directory is recorded.
func goldenFile(dir string) string {
	if dir == "." {
		dir = "cache"
	}
	return filepath.Join("testdata", strings.ReplaceAll(dir, "/", "_")+".txt")
}

// publicPackages returns the packages that other modules can import, by directory below the root.
func publicPackages(t *testing.T) map[string]surface {
	t.Helper()
	packages := map[string]surface{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		dir, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		dir = filepath.ToSlash(dir)
		name := d.Name()
		if dir != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "internal" || slices.Contains(tools, dir)) {
			return filepath.SkipDir
		}
		s, public, err := read(path)
		if public {
			packages[dir] = s
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 5 {
		t.Fatalf("only %d public packages were found", len(packages))
	}
	return packages
}

// read reads the surface of the package in the directory. A program and a directory without code have none.
func read(path string) (s surface, public bool, err error) {
	found, err := build.ImportDir(path, 0)
	if _, none := errors.AsType[*build.NoGoError](err); none || err == nil && (found.Name == "main" || len(found.GoFiles) == 0) {
		return surface{}, false, nil
	}
	if err != nil {
		return surface{}, false, err
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range found.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(path, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return surface{}, false, err
		}
		files = append(files, f)
	}
	p, err := doc.NewFromFiles(fset, files, found.ImportPath)
	if err != nil {
		return surface{}, false, err
	}
	return render(fset, p), true, nil
}

// style is gofmt's.
var style = printer.Config{Mode: printer.UseSpaces | printer.TabIndent, Tabwidth: 8}

// render writes declarations as go doc -all does, without their comments.
func render(fset *token.FileSet, p *doc.Package) surface {
	var b bytes.Buffer
	fmt.Fprintf(&b, "package %s\n\n", p.Name)
	decl := func(d ast.Decl) {
		if f, ok := d.(*ast.FuncDecl); ok {
			f.Body = nil
		}
		_ = style.Fprint(&b, fset, d) // a buffer takes everything
		b.WriteString("\n")
	}
	values := func(all []*doc.Value) {
		for _, v := range all {
			decl(v.Decl)
		}
	}
	funcs := func(all []*doc.Func) {
		for _, f := range all {
			decl(f.Decl)
		}
	}
	values(p.Consts)
	values(p.Vars)
	funcs(p.Funcs)
	for _, t := range p.Types {
		b.WriteString("\n")
		decl(t.Decl)
		values(t.Consts)
		values(t.Vars)
		funcs(t.Funcs)
		funcs(t.Methods)
	}
	return surface{b.String(), len(p.Consts) + len(p.Vars) + len(p.Funcs) + len(p.Types)}
}

// changed returns the lines that only one of the texts has, each with its sign; "" if there are none.
func changed(before, after string) string {
	was, is := strings.Split(before, "\n"), strings.Split(after, "\n")
	// common[i][j] is the length of the longest common subsequence of was[i:] and is[j:].
	common := make([][]int, len(was)+1)
	for i := range common {
		common[i] = make([]int, len(is)+1)
	}
	for i := range slices.Backward(was) {
		for j := range slices.Backward(is) {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); was[i] == is[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var b strings.Builder
	for i, j := 0, 0; i < len(was) || j < len(is); {
		switch {
		case i < len(was) && j < len(is) && was[i] == is[j]:
			i, j = i+1, j+1
		case j == len(is) || i < len(was) && common[i+1][j] >= common[i][j+1]:
			fmt.Fprintf(&b, "\t- %s\n", was[i])
			i++
		default:
			fmt.Fprintf(&b, "\t+ %s\n", is[j])
			j++
		}
	}
	return b.String()
}

func TestChangesNameTheLine(t *testing.T) {
	const before = "func A()\nfunc B()\nfunc C()\n"
	for _, c := range []struct{ name, after, want string }{
		{"nothing", before, ""},
		{"a new name", "func A()\nfunc B()\nfunc B2()\nfunc C()\n", "\t+ func B2()\n"},
		{"a name less", "func A()\nfunc C()\n", "\t- func B()\n"},
		{"another signature", "func A()\nfunc B(n int)\nfunc C()\n", "\t- func B()\n\t+ func B(n int)\n"},
	} {
		if got := changed(before, c.after); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
