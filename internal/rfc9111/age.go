package rfc9111

import (
	"strings"
	"time"
)

// ParseAge reads the lines of an Age field, in whole seconds (RFC 9111 §5.1). Of several values the first one counts, as
// the caches on the way may each have added a line; a parameter after it is let pass. From 2^31 s on it is 2^31 s
// (§1.2.2). What is no number, and no line at all, is no age: 0 and false.
func ParseAge(lines []string) (age time.Duration, ok bool) {
	if len(lines) == 0 {
		return 0, false
	}
	value, _, _ := strings.Cut(lines[0], ",")
	value, _, _ = strings.Cut(value, ";")
	return Seconds(strings.Trim(value, " \t"))
}
