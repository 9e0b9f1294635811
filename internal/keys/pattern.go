package keys

import (
	"strings"

	"github.com/larder-go/cache/keying"
)

// HasParam reports whether the pattern has a parameter of that name.
func HasParam(pattern, name string) (has bool) {
	keying.Expand(pattern, func(got string) string {
		has = has || got == name
		return ""
	})
	return has
}

// Literal returns how many segments of a route pattern's path stand before its first parameter, at least one: the level of
// an area that all its URLs lie in, if it has a literal one.
func Literal(pattern string) (level uint8) {
	_, _, path := keying.SplitPattern(keying.NormalizePattern(pattern))
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if level == Areas || segment == "" || strings.HasPrefix(segment, "{") {
			break
		}
		level++
	}
	return max(level, 1)
}
