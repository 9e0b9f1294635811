// Package surrogate has the tags ("surrogate keys") of responses: how a policy writes them, what a request makes of them, and
// which names a purge may use.
package surrogate

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/larder-go/cache/keying"
)

// Names are what a purge can name, as far as this process knows. So a purge that names nothing can be told from one that finds
// nothing to do. Patterns and tags may come from anywhere, so both are bounded, and once a bound is reached every name counts
// as known. The zero Names knows none; it is safe for concurrent use.
type Names struct {
	mu       sync.RWMutex
	routes   map[string]string   // as they are written, by their normal form
	outlines map[string]struct{} // of tags that were added while responses were made
	tags     []Tag               // of policies
	open     bool                // there are routes whose pattern only requests tell
	users    bool                // there are responses for single users
	any      bool                // anything is cached at all

	http, https atomic.Bool            // responses to such requests were stored
	warned      map[[2]string]struct{} // reasons and subjects of warnings
}

const (
	maxRoutes   = 1024
	maxOutlines = 1024
)

// Register adds what a policy's responses can be named by. An empty pattern is one that only requests tell.
func (n *Names) Register(pattern string, tags []Tag, private bool) {
	n.mu.Lock()
	n.open = n.open || pattern == ""
	n.mu.Unlock()
	n.Meet(pattern)
	n.RegisterValues(tags, private)
}

// RegisterValues adds what values can be named by, which have no pattern.
func (n *Names) RegisterValues(tags []Tag, private bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.any, n.users = true, n.users || private
	for _, tag := range tags {
		if len(n.tags) < maxOutlines && !slices.ContainsFunc(n.tags, func(t Tag) bool { return slices.Equal(t.parts, tag.parts) }) {
			n.tags = append(n.tags, tag)
		}
	}
}

// Meet adds a pattern that a request has matched.
func (n *Names) Meet(pattern string) {
	normal := keying.NormalizePattern(pattern)
	n.mu.RLock()
	_, known := n.routes[normal]
	full := len(n.routes) >= maxRoutes
	n.mu.RUnlock()
	if known || full || normal == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.routes == nil {
		n.routes = map[string]string{}
	}
	n.routes[normal] = pattern
}

// Keep adds what else a stored response can be named by.
func (n *Names) Keep(scheme string, tags []string) {
	seen := &n.http
	if scheme == "https" {
		seen = &n.https
	}
	if !seen.Load() {
		seen.Store(true)
	}
	n.AddTags(tags...)
}

// AddTags adds tags that were set while something was made.
func (n *Names) AddTags(tags ...string) {
	for _, tag := range tags {
		outline := Outline(tag)
		n.mu.RLock()
		_, known := n.outlines[outline]
		full := len(n.outlines) >= maxOutlines
		n.mu.RUnlock()
		if known || full {
			continue
		}
		n.mu.Lock()
		if n.outlines == nil {
			n.outlines = map[string]struct{}{}
		}
		n.outlines[strings.Clone(outline)] = struct{}{}
		n.mu.Unlock()
	}
}

// maxOutline bounds how much of a tag is remembered, in bytes.
const maxOutline = 64

// Outline is what a tag has in common with others of its kind: "product:" of "product:7", "user-" of "user-7". That is
// everything before the first digit, but no more than up to and including the first punctuation mark.
func Outline(tag string) string {
	end := strings.IndexAny(tag, ":/|=.-_#@, 0123456789")
	switch {
	case end < 0:
		end = len(tag)
	case tag[end] < '0' || tag[end] > '9':
		end++
	}
	return tag[:min(end, maxOutline)]
}

// Route reports whether there is a route of the pattern, as far as is known, and whether all routes are known. If there is
// none, near is the most similar pattern, or "".
func (n *Names) Route(pattern string) (known, all bool, near string) {
	normal := keying.NormalizePattern(pattern)
	n.mu.RLock()
	defer n.mu.RUnlock()
	if _, known = n.routes[normal]; known || len(n.routes) == 0 || len(n.routes) >= maxRoutes {
		return true, false, ""
	}
	normals := make([]string, 0, len(n.routes))
	for other := range n.routes {
		normals = append(normals, other)
	}
	return false, !n.open, n.routes[nearest(normal, normals)]
}

// Tag reports whether a response could have the tag, as far as is known. If not, near is the most similar outline of tags, or
// "".
func (n *Names) Tag(tag string) (known bool, near string) {
	outline := Outline(tag)
	n.mu.RLock()
	defer n.mu.RUnlock()
	_, known = n.outlines[outline]
	known = known || len(n.tags)+len(n.outlines) == 0 || len(n.outlines) >= maxOutlines || len(n.tags) >= maxOutlines ||
		slices.ContainsFunc(n.tags, func(t Tag) bool { return t.fits(tag) })
	if known {
		return true, ""
	}
	var outlines []string
	for other := range n.outlines {
		outlines = append(outlines, other)
	}
	for _, t := range n.tags {
		outlines = append(outlines, Outline(t.parts[0].text)) // "" if it begins with a parameter
	}
	return false, nearest(outline, outlines)
}

// Scheme reports whether responses to requests of the scheme were stored, or none at all so far.
func (n *Names) Scheme(scheme string) bool {
	http, https := n.http.Load(), n.https.Load()
	switch strings.ToLower(scheme) {
	case "http":
		return http || !https
	case "https":
		return https || !http
	}
	return true
}

// Users reports whether there are responses for single users, or nothing is cached at all.
func (n *Names) Users() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.users || !n.any
}

// None reports whether nothing is cached.
func (n *Names) None() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return !n.any
}

// maxWarned bounds the warnings that are given once each.
const maxWarned = 64

// First reports whether this is the first warning with the reason about the subject, and there is room to remember it.
func (n *Names) First(reason, subject string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	warning := [2]string{reason, subject}
	if _, warned := n.warned[warning]; warned || len(n.warned) >= maxWarned {
		return false
	}
	if n.warned == nil {
		n.warned = map[[2]string]struct{}{}
	}
	n.warned[warning] = struct{}{}
	return true
}

// maxCompared bounds the texts that are compared with each other, in bytes.
const maxCompared = 128

// nearest returns the text that the fewest changes turn into what was meant, if they are few.
func nearest(meant string, texts []string) (near string) {
	meant = meant[:min(len(meant), maxCompared)]
	slices.Sort(texts)
	fewest := 1 + max(2, len(meant)/3)
	for _, text := range texts {
		if n := changes(meant, text[:min(len(text), maxCompared)]); n < fewest {
			near, fewest = text, n
		}
	}
	return near
}

// changes counts the bytes that turn one text into the other: added, removed or replaced (Levenshtein).
func changes(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, corner+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// A Tag is a surrogate key, in which {name} stands for a path parameter of the request.
type Tag struct{ parts []part }

type part struct {
	text  string
	param bool
}

// ParseTag parses a tag's text. It is an error if a {name} is not closed or empty, or the tag is empty.
func ParseTag(text string) (Tag, error) {
	var t Tag
	for rest := text; rest != ""; {
		before, after, open := strings.Cut(rest, "{")
		if before != "" {
			t.parts = append(t.parts, part{text: before})
		}
		if !open {
			break
		}
		name, after, closed := strings.Cut(after, "}")
		if !closed || name == "" || strings.Contains(name, "{") {
			return Tag{}, fmt.Errorf("tag %q: {name} is not closed or has no name", text)
		}
		t.parts = append(t.parts, part{name, true})
		rest = after
	}
	if len(t.parts) == 0 {
		return Tag{}, fmt.Errorf("a tag is empty")
	}
	return t, nil
}

// Params returns the names of the path parameters in the tag.
func (t Tag) Params() (names []string) {
	for _, p := range t.parts {
		if p.param {
			names = append(names, p.text)
		}
	}
	return names
}

// Fill returns the tag's text, or false if a parameter has no value: a label that no purge could name would be worse than none.
func (t Tag) Fill(param func(name string) string) (string, bool) {
	if len(t.parts) == 1 && !t.parts[0].param {
		return t.parts[0].text, true
	}
	var b strings.Builder
	for _, p := range t.parts {
		text := p.text
		if p.param {
			if text = param(p.text); text == "" {
				return "", false
			}
		}
		b.WriteString(text)
	}
	return b.String(), true
}

// fits reports whether the text may be the tag's, with any values for its parameters.
func (t Tag) fits(text string) bool {
	open := false // a parameter comes before
	for i, p := range t.parts {
		switch {
		case p.param && text == "":
			return false
		case p.param:
			text, open = text[1:], true
			continue
		case open && i == len(t.parts)-1:
			return strings.HasSuffix(text, p.text)
		}
		before, after, found := strings.Cut(text, p.text)
		if !found || !open && before != "" {
			return false
		}
		text, open = after, false
	}
	return open || text == ""
}
