package keys_test

import (
	"strings"
	"testing"

	"github.com/larder-go/cache/internal/keys"
)

// Paths lie in one area as far as their segments are the same.
func TestPathsLieTogetherAsFarAsTheyAgree(t *testing.T) {
	for _, l := range []keys.Labeler{{}, keys.NewLabeler([]byte(strings.Repeat("s", 32)))} {
		for _, test := range []struct {
			a, b     string
			together uint8
		}{
			{"/a/b/c", "/a/b/c", 3}, {"/a/b/c/d", "/a/b/c/e", 3}, {"/a/b/c", "/a/b/d", 2}, {"/a/b/c", "/a/c/c", 1}, {"/a", "/a/b", 1},
			{"/a/", "/a/b", 1}, {"/a", "/b", 0}, {"/", "/b", 0}, {"", "/b", 0}, {"/a", "/a", 3}, {"/ab/c", "/a/bc", 0}, {"*", "*", 3},
		} {
			a, b := l.Place(test.a), l.Place(test.b)
			if !keys.IsPlace(a) || keys.IsPlace(l.Tag(test.a)) {
				t.Errorf("%s: what is a place's label and what is not is mixed up", test.a)
			}
			for level := uint8(1); level <= keys.Areas; level++ {
				if together := keys.AreaOf(a, level) == keys.AreaOf(b, level); together != (level <= test.together) {
					t.Errorf("%s and %s at level %d: %t", test.a, test.b, level, together)
				}
				if area, ok := keys.Meant(keys.Within(a, level)); !ok || area != keys.AreaOf(a, level) || !keys.IsPlace(keys.Within(a, level)) {
					t.Errorf("%s: at level %d another area is meant", test.a, level)
				}
			}
			if _, ok := keys.Meant(a); ok {
				t.Errorf("%s: an area is meant where none is named", test.a)
			}
		}
	}
}

func TestLiteralSegmentsOfPatterns(t *testing.T) {
	for pattern, want := range map[string]uint8{
		"": 1, "/": 1, "GET /{$}": 1, "/{path...}": 1, "/a": 1, "POST /a/{id}": 1, "/a/:id/b": 1, "example.org/a/b": 2,
		"/api/v1/items/{id}": 3, "/a/b/c/d/e": 3, "/a/*": 1, "/{x}/a": 1,
	} {
		if got := keys.Literal(pattern); got != want {
			t.Errorf("%q: %d; want %d", pattern, got, want)
		}
	}
}
