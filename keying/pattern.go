package keying

import "strings"

// SplitPattern splits a route pattern: "GET example.org/x" is GET, example.org and /x. A part that is not there is "".
func SplitPattern(pattern string) (method, host, path string) {
	method, pattern = cutMethod(pattern)
	slash := strings.IndexByte(pattern, '/')
	if slash < 0 {
		return method, pattern, ""
	}
	return method, pattern[:slash], pattern[slash:]
}

// cutMethod cuts off the method, and the spaces after it. The text before the first space is not a method if it has a slash.
func cutMethod(pattern string) (method, rest string) {
	if end := strings.IndexAny(pattern, " \t"); end >= 0 && !strings.Contains(pattern[:end], "/") {
		return pattern[:end], strings.TrimLeft(pattern[end:], " \t")
	}
	return "", pattern
}

// NormalizePattern returns a pattern in one form for all routers: without its method, each path parameter as {name}, and a wildcard at
// the end as {*}.
//
//	"GET /p/:id", "/p/{id}", "/p/{id:[0-9]+}"   →   "/p/{id}"
//	"/files/*", "/files/{path...}"              →   "/files/{*}"
func NormalizePattern(pattern string) string {
	_, pattern = cutMethod(pattern)
	segments := strings.Split(pattern, "/")
	for i, s := range segments {
		segments[i] = normalizeSegment(s)
	}
	return strings.Join(segments, "/")
}

// normalizeSegment returns a segment of a path in the form of NormalizePattern.
func normalizeSegment(s string) string {
	switch {
	case strings.HasPrefix(s, ":") && len(s) > 1:
		return "{" + s[1:] + "}"
	case s == "{$}": // in net/http, "/" matches all paths below it, and "/{$}" only itself
		return ""
	case s == "*", strings.HasPrefix(s, "{") && strings.HasSuffix(s, "...}"):
		return "{*}"
	case strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}"):
		name, _, _ := strings.Cut(s[1:len(s)-1], ":")
		return "{" + name + "}"
	}
	return s
}

// Expand returns the path of a pattern, with a value in place of each parameter. It knows the spellings of all routers: {id}, {id:[0-9]+},
// {path...}, * and, at the beginning of a segment, :id. It calls value with the name, "*" for a wildcard, and does not escape the result.
//
// A parameter whose value is "" disappears, except :id, which stays as it is: it may not be a parameter but a part of the path.
func Expand(pattern string, value func(name string) string) string {
	_, _, path := SplitPattern(pattern)
	var b strings.Builder
	for i := 0; i < len(path); {
		text, length := expandAt(path, i, value)
		b.WriteString(text)
		i += length
	}
	return b.String()
}

// expandAt returns the text for what begins at byte i of the path, and how many bytes of the path that is. A parameter's text is its
// value. Anything else goes byte by byte.
func expandAt(path string, i int, value func(name string) string) (text string, length int) {
	switch rest := path[i:]; {
	case rest[0] == '*':
		return value("*"), 1
	case rest[0] == ':' && i > 0 && path[i-1] == '/':
		segment, _, _ := strings.Cut(rest, "/")
		if text := value(segment[1:]); text != "" {
			return text, len(segment)
		}
	case rest[0] == '{':
		if length := braced(rest); length > 0 {
			name, _, _ := strings.Cut(rest[1:length-1], ":")
			return value(strings.TrimSuffix(name, "...")), length
		}
	}
	return path[i : i+1], 1
}

// braced returns the length of the text up to the brace that closes its first one, or 0 if none does. A regular expression may
// contain braces, as in {id:[0-9]{4}}.
func braced(text string) int {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}
