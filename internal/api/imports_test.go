package api

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestNestedModulesNeedNoInternals checks that adapters and stores in modules of their own are built on the public surface
// alone. A user may upgrade one of them without the root module, and what is internal there changes without notice.
func TestNestedModulesNeedNoInternals(t *testing.T) {
	modules := nestedModules(t)
	if !slices.Contains(modules, "chi") {
		t.Fatalf("the nested modules are %q, which lacks chi", modules)
	}
	for _, dir := range modules {
		for file, imports := range importsBelow(t, dir) {
			for _, path := range imports {
				if strings.HasPrefix(path, module+"/internal/") {
					t.Errorf("%s imports %s.\nA published module must not: export what it needs from a public package, or do without.", file, path)
				}
			}
		}
	}
}

// nestedModules returns the directories of the published modules below the root.
func nestedModules(t *testing.T) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "go.mod" {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if dir = filepath.ToSlash(dir); dir != "." && !slices.Contains(tools, dir) && !strings.Contains(dir, "internal") {
			dirs = append(dirs, dir)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// importsBelow returns what each file of a module imports, tests left out: they are not part of what users build.
func importsBelow(t *testing.T, dir string) map[string][]string {
	t.Helper()
	imports := map[string][]string{}
	err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imports[path] = append(imports[path], imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports
}
