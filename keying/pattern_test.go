package keying_test

import (
	"testing"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
)

// A pattern with its parameters filled in is the path that it matched, in every router's spelling; values are not read again.
func TestExpand(t *testing.T) {
	values := map[string]string{"id": "{id}", "a": "*", "n": "7", "path": "x/y", "*": ":id"}
	for pattern, want := range map[string]string{
		"/p/{id}":                     "/p/{id}",
		"GET host.test/p/{id}/{a}":    "/p/{id}/*",
		"/p/:id/:a":                   "/p/{id}/*",
		"/p/{$}":                      "/p/",
		"/files/{path...}":            "/files/x/y",
		"/files/*":                    "/files/:id",
		"/{a}-{n:[0-9]{1,3}}.html":    "/*-7.html",
		"/p/{id}:undelete":            "/p/{id}:undelete",
		"/p/:missing/{missing}/end":   "/p/:missing//end",
		"/p/{open/:n":                 "/p/{open/7",
		"":                            "",
		"GET ":                        "",
		"/":                           "/",
		"/p/{id:[a-z]+}/{path:.*}/:n": "/p/{id}/x/y/7",
	} {
		if got := keying.Expand(pattern, func(name string) string { return values[name] }); got != want {
			t.Errorf("%q is %q; want %q", pattern, got, want)
		}
	}
}

func TestHasParam(t *testing.T) {
	for name, pattern := range map[string]string{"id": "/p/:id", "path": "/f/{path...}", "n": "/{a}-{n:[0-9]{2}}", "*": "/f/*"} {
		if !keys.HasParam(pattern, name) || keys.HasParam(pattern, "x") || keys.HasParam("/"+name, name) && name != "*" {
			t.Errorf("%q has or has not %q", pattern, name)
		}
	}
}
