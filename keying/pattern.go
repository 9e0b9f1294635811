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
