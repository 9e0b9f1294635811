package rfc9111

import "strings"

// WeakMatch reports whether two entity tags match by weak comparison (RFC 9110 §8.8.3.2). It is lenient with what is
// between the quotes, because the worst result is a body that is not sent; what has no quotes is not a tag and matches
// nothing.
func WeakMatch(a, b string) bool {
	x, more := nextTag(a)
	return x != "" && more == "" && x == a && opaque(a) == opaque(b)
}

// StrongMatch reports whether two entity tags are equal, well-formed (§8.8.3: no blanks, no controls) and not weak, so that
// bytes of both representations may be combined.
func StrongMatch(a, b string) bool {
	if len(a) < 2 || a != b || a[0] != '"' || a[len(a)-1] != '"' {
		return false
	}
	for _, c := range []byte(a[1 : len(a)-1]) {
		if c <= ' ' || c == '"' || c == 0x7f {
			return false
		}
	}
	return true
}

// MatchesAny reports whether the lines of an If-None-Match field contain the entity tag, compared weakly (RFC 9110
// §13.1.2). A line of "*" matches everything, even without a tag. A malformed member ends its line.
func MatchesAny(lines []string, tag string) bool {
	for _, line := range lines {
		if strings.TrimSpace(line) == "*" {
			return true
		}
		for candidate, rest := nextTag(line); candidate != ""; candidate, rest = nextTag(rest) {
			if opaque(candidate) == opaque(tag) { // as WeakMatch compares them: the candidate is well-formed
				return true
			}
		}
	}
	return false
}

// nextTag takes the first entity tag off a list; it returns none if the list is malformed at its beginning.
func nextTag(s string) (tag, rest string) {
	for s != "" && (s[0] == ',' || s[0] == ' ' || s[0] == '\t' || s[0] == '\r' || s[0] == '\n') {
		s = s[1:]
	}
	quoted := strings.TrimPrefix(s, "W/")
	if !strings.HasPrefix(quoted, `"`) {
		return "", ""
	}
	end := strings.IndexByte(quoted[1:], '"')
	if end < 0 {
		return "", ""
	}
	end += len(s) - len(quoted) + 2
	return s[:end], s[end:]
}

func opaque(tag string) string { return strings.TrimPrefix(tag, "W/") }
