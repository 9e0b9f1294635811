package cache_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSnippetsAreCode compares every paragraph of every Go snippet in the README and the docs with code that is compiled: the
// examples and the Example functions.
func TestSnippetsAreCode(t *testing.T) {
	code := exampleCode(t)
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range append(docs, "README.md") {
		for _, snippet := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read(t, doc), -1) {
			for paragraph := range strings.SplitSeq(snippet[1], "\n\n") {
				if !strings.Contains(code, flat(paragraph)) {
					t.Errorf("no example has this paragraph of %s:\n%s", doc, paragraph)
				}
			}
		}
	}
}

// TestDocsLinkToFiles checks that the links of the README and the docs lead to files that exist.
func TestDocsLinkToFiles(t *testing.T) {
	docs, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range append(docs, more...) {
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(read(t, doc), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), link[1])); err != nil {
				t.Errorf("%s links to %s, which there is not", doc, link[1])
			}
		}
	}
}

// TestReadmeShowsTheShopsTable compares the table in the README with the one that the shop uses.
func TestReadmeShowsTheShopsTable(t *testing.T) {
	if table := strings.TrimSpace(read(t, "examples/shop/routes.cache")); !strings.Contains(read(t, "README.md"), table) {
		t.Error("README.md does not show examples/shop/routes.cache as it is")
	}
}

func exampleCode(t *testing.T) string {
	files, err := filepath.Glob("example*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, "store/storetest/example_test.go", "store/redisstore/example_test.go")
	err = filepath.WalkDir("examples", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".go") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, path := range files {
		code.WriteString(flat(read(t, path)))
	}
	return code.String()
}

func read(t *testing.T, path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// flat is code without indentation, which differs between a file and a snippet.
func flat(code string) string {
	lines := strings.Split(strings.TrimSpace(code), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}

// TestDocsNameTests checks that the tests that the docs name exist.
func TestDocsNameTests(t *testing.T) {
	tests := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, "_test.go") {
			for _, found := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(read(t, path), -1) {
				tests[found[1]] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range []string{"docs/http.md", "docs/middleware-order.md"} {
		named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(read(t, doc), -1)
		if len(named) == 0 {
			t.Fatalf("%s names no tests", doc)
		}
		for _, name := range named {
			if !tests[name[1]] {
				t.Errorf("%s names %s, which there is not", doc, name[1])
			}
		}
	}
}

// TestEveryReasonIsExplained compares the tables of docs/troubleshooting.md, and the constants of this package, with the reasons
// of package middleware.
func TestEveryReasonIsExplained(t *testing.T) {
	doc, root := read(t, "docs/troubleshooting.md"), read(t, "reason.go")
	name := regexp.MustCompile(`(?m)^\t((?:Reason|Cause)[A-Z]\w*)\s.*=`)
	known := name.FindAllStringSubmatch(root, -1)
	if len(known) < 70 {
		t.Fatalf("%d reasons", len(known))
	}
	for _, reason := range known {
		if !strings.Contains(doc, "`"+reason[1]+"`") {
			t.Errorf("docs/troubleshooting.md does not explain %s", reason[1])
		}
	}
	for _, reason := range name.FindAllStringSubmatch(read(t, "middleware/reason.go"), -1) {
		if !strings.Contains(root, "middleware."+reason[1]+"\n") {
			t.Errorf("reason.go lacks %s", reason[1])
		}
	}
}
