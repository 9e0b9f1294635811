package rfc9111_test

import (
	"net/http"
	"reflect"
	"testing"

	"github.com/larder-go/cache/internal/rfc9111"
)

// What is one list is on one line (RFC 9110 §5.3); what is none stays as it is.
func TestFold(t *testing.T) {
	cookie, open := []string{"a=1", "b=2"}, []string{`"a`, `b"`}
	h := http.Header{"Accept": {"a/b", "c/d"}, "X-A": {"", "1,", "2"}, "X-B": {"1"}, "Cookie": cookie, "X-Open": open}
	lines := h["Accept"]
	rfc9111.Fold(h)
	want := http.Header{"Accept": {"a/b, c/d"}, "X-A": {", 1,, 2"}, "X-B": {"1"}, "Cookie": cookie, "X-Open": open}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("folded: %q, want %q", h, want)
	}
	if lines[0] != "a/b" {
		t.Errorf("the lines were changed: %q", lines)
	}
}
