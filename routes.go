package cache

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/larder-go/cache/keying"
)

// Routes is a table of policies by route pattern, in the form of net/http's patterns: "GET /products/{id}". A route that is not in the
// table is not cached. The Annotate of an adapter applies a table to an app's router. A nil table is an empty one.
type Routes map[string]Policy

// ParseRoutes reads a table: one route a line, first its pattern and then its policy, as [ParsePolicy] reads it. It ignores empty lines,
// everything after a "#" at the beginning of a word, and a byte order mark at the beginning.
//
// An error lists every faulty line, with line, column, fault and remedy; then there is no table. A line is also faulty if no app could
// register it: a method that is never cached, a policy that cannot work, a tag with a path parameter that its route does not have, or two
// policies for one route, as in lines for GET and HEAD. Lines must be shorter than 64 KiB.
//
//	GET /countries       shared-global ttl=10m vary=Accept-Language
//	GET /products/{id}   hot-shared ttl=60s tags=product:{id}
func ParseRoutes(r io.Reader) (Routes, error) {
	routes, lines := Routes{}, map[string]int{} // by host and path: HEAD shares the policy of GET
	var faults []error
	scanner := bufio.NewScanner(r)
	n := 1
	for ; scanner.Scan(); n++ {
		line := scanner.Text()
		if n == 1 {
			line = strings.TrimPrefix(line, byteOrderMark)
		}
		pattern, policy, err := parseRoute(line)
		_, host, path := keying.SplitPattern(pattern)
		route := host + path
		switch before := lines[route]; {
		case err != nil:
			faults = append(faults, fmt.Errorf("cache: routes: line %d, %w", n, err))
			if n == 1 && isUTF16(line) {
				return nil, faults[0]
			}
		case pattern == "":
		case before > 0:
			faults = append(faults, fmt.Errorf("cache: routes: line %d, column 1: route %q has a policy already, in line %d; keep one", n, pattern, before))
		default:
			routes[pattern], lines[route] = policy, n
		}
	}
	if err := scanner.Err(); err != nil {
		faults = append(faults, fmt.Errorf("cache: routes: line %d, column 1: cannot be read: %w", n, err))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return routes, nil
}

// parseRoute parses one line: a pattern, whose method is a separate word, and a policy. The pattern is "" if the line is empty.
func parseRoute(line string) (pattern string, p Policy, err error) {
	words, err := splitWords(line)
	if err != nil || len(words) == 0 {
		return "", p, err
	}
	pattern, next := words[0].text, 1
	if !strings.Contains(pattern, "/") && len(words) > 1 { // a method
		pattern, next = pattern+" "+words[1].text, 2
	}
	if !strings.Contains(pattern, "/") {
		return "", p, words[0].fault("%q is not a route pattern; write for example GET /products/{id}", clip(pattern))
	}
	if err := checkPattern(pattern); err != nil {
		return "", p, words[0].fault("%v", err)
	}
	if next == len(words) {
		end := words[next-1]
		return "", p, &syntaxError{end.column + len(end.text), fmt.Sprintf("route %q has no policy; add a class: %s", pattern, classList())}
	}
	offset := words[next].column - 1
	p, at, err := parsePolicy(line[offset:])
	if err == nil {
		err = at.of(checkParams(p, pattern))
	}
	if fault, ok := errors.AsType[*syntaxError](err); ok {
		fault.column += offset
	}
	return pattern, p, err
}

// A word is a part of the text between spaces, with the column where it begins, from 1.
type word struct {
	text   string
	column int
}

// fault returns an error at the word.
func (w word) fault(format string, args ...any) error {
	return &syntaxError{w.column, fmt.Sprintf(format, args...)}
}

// byteOrderMark is what some editors write at the beginning of UTF-8 files.
const byteOrderMark = "\ufeff"

// isUTF16 reports whether the text begins like UTF-16. Then every line is faulty, and one error says enough.
func isUTF16(text string) bool {
	return strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff")
}

// checkText refuses characters that editors and parsers read differently. After a lone carriage return, an editor shows a policy on a
// line of its own, although it is the rest of a comment here.
func checkText(text string) error {
	if isUTF16(text) {
		return &syntaxError{1, "this is UTF-16; save the text as UTF-8"}
	}
	switch i := strings.IndexAny(text, "\x00\r"); {
	case i < 0:
		return nil
	case text[i] == 0:
		return &syntaxError{i + 1, "there is a NUL byte; save the text as UTF-8"}
	default:
		return &syntaxError{i + 1, "there is a carriage return that ends no line; end lines with LF or CRLF"}
	}
}

// splitWords splits at spaces and tabs outside quotes. A "#" at the beginning of a word begins a comment.
func splitWords(text string) ([]word, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	var words []word
	for i := 0; i < len(text); {
		if text[i] == ' ' || text[i] == '\t' {
			i++
			continue
		}
		if text[i] == '#' {
			break
		}
		end, err := wordEnd(text, i)
		if err != nil {
			return nil, err
		}
		words = append(words, word{text[i:end], i + 1})
		i = end
	}
	return words, nil
}

// wordEnd returns where the word that begins at i ends. Quotes in it keep spaces together; whoever parses the value removes them.
func wordEnd(text string, i int) (int, error) {
	for i < len(text) && text[i] != ' ' && text[i] != '\t' {
		if text[i] != '"' {
			i++
			continue
		}
		quoted, err := strconv.QuotedPrefix(text[i:])
		if err != nil {
			return 0, &syntaxError{i + 1, "a quote is not closed or holds an invalid escape; quote as in Go"}
		}
		i += len(quoted)
	}
	return i, nil
}
