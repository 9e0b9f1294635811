package keying

import "strings"

// SplitPattern takes a route pattern apart: "GET example.org/x" is GET, example.org and /x. What is not there is "".
func SplitPattern(pattern string) (method, host, path string) {
	method, pattern = cutMethod(pattern)
	slash := strings.IndexByte(pattern, '/')
	if slash < 0 {
		return method, pattern, ""
	}
	return method, pattern[:slash], pattern[slash:]
}

func cutMethod(pattern string) (method, rest string) {
	if end := strings.IndexAny(pattern, " \t"); end >= 0 && !strings.Contains(pattern[:end], "/") {
		return pattern[:end], strings.TrimLeft(pattern[end:], " \t")
	}
	return "", pattern
}

// NormalizePattern returns the pattern without method, with every path parameter in the form {name} and a trailing
// wildcard as {*}.
func NormalizePattern(pattern string) string {
	_, pattern = cutMethod(pattern)
	segments := strings.Split(pattern, "/")
	for i, s := range segments {
		segments[i] = normalizeSegment(s)
	}
	return strings.Join(segments, "/")
}

func normalizeSegment(s string) string {
	switch {
	case strings.HasPrefix(s, ":") && len(s) > 1:
		return "{" + s[1:] + "}"
	case s == "{$}": // the path ends here: net/http's way of saying that "/" is just "/"
		return ""
	case s == "*", strings.HasPrefix(s, "{") && strings.HasSuffix(s, "...}"):
		return "{*}"
	case strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}"):
		name, _, _ := strings.Cut(s[1:len(s)-1], ":")
		return "{" + name + "}"
	}
	return s
}

// Expand returns the path of a pattern whose parameters have these values, in any router's spelling: {id}, {id:[0-9]+},
// {path...}, * and, at the beginning of a segment, :id. A parameter without a value is nothing, and :id stands for itself
// then.
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

// expandAt returns what begins at the byte of the path, with its value if it is a parameter, and how long it is.
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

// braced is how long the text is up to the brace that closes its first one, or 0. An expression may have braces of its own.
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
