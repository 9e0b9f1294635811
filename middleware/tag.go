package middleware

import (
	"fmt"
	"strings"
)

// A Tag is a surrogate key, in which {name} stands for a path parameter of the request.
type Tag struct{ parts []part }

type part struct {
	text  string
	param bool
}

// ParseTag reads a tag's text.
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

// Fill returns the tag's text, or false if a parameter has no value: a label that no purge could name would be worse
// than none.
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

// fits reports whether the text may be the tag's, with some values for its parameters.
func (t Tag) fits(text string) bool {
	open := false // a parameter stands before
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
