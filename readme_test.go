package cache_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeSnippetsAreCode holds every paragraph of every Go snippet in the README against code that is compiled: the
// examples and the Example functions.
func TestReadmeSnippetsAreCode(t *testing.T) {
	code := exampleCode(t)
	snippets := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read(t, "README.md"), -1)
	if len(snippets) == 0 {
		t.Fatal("README.md shows no code")
	}
	for _, snippet := range snippets {
		for paragraph := range strings.SplitSeq(snippet[1], "\n\n") {
			if !strings.Contains(code, flat(paragraph)) {
				t.Errorf("no example has this paragraph of the README:\n%s", paragraph)
			}
		}
	}
}

// TestReadmeShowsTheShopsTable holds the table in the README against the one that the shop uses.
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

// TestDocsNameTests holds the tests that the docs name against those that there are.
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

// TestDocsNameReasonsOfWarnings holds the table of docs/policy.md against the reasons that there are.
func TestDocsNameReasonsOfWarnings(t *testing.T) {
	doc := read(t, "docs/policy.md")
	reasons := regexp.MustCompile(`Reason\w+\s+Reason = "([a-z-]+)"|Reason\("(no-[a-z]+)"\)`).FindAllStringSubmatch(read(t, "middleware/warn.go")+read(t, "event.go"), -1)
	if len(reasons) < 9 {
		t.Fatalf("%d reasons of warnings", len(reasons))
	}
	for _, reason := range reasons {
		if name := reason[1] + reason[2]; !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("docs/policy.md does not name %s", name)
		}
	}
}
