package middleware_test

import (
	"cmp"
	"net/http"
	"reflect"
	"slices"
	"testing"

	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store"
)

// TestCaptureIsWhatTheHandlerDid: only what the handler changed in the header that outer middleware had left.
func TestCaptureIsWhatTheHandlerDid(t *testing.T) {
	field := func(name string, values ...string) store.Field { return store.Field{Name: name, Values: values} }
	tests := []struct {
		name       string
		outer, now http.Header
		set, added []store.Field
	}{
		{"nothing", http.Header{}, http.Header{}, nil, nil},
		{"set", nil, http.Header{"X-A": {"1", "2"}, "Content-Type": {"text/plain"}}, []store.Field{field("Content-Type", "text/plain"), field("X-A", "1", "2")}, nil},
		{"left alone", http.Header{"X-A": {"1"}, "Vary": {"Origin"}}, http.Header{"X-A": {"1"}, "Vary": {"Origin"}}, nil, nil},
		{"replaced", http.Header{"X-A": {"1"}}, http.Header{"X-A": {"2"}}, []store.Field{field("X-A", "2")}, nil},
		{"lines added", http.Header{"Vary": {"Origin"}}, http.Header{"Vary": {"Origin", "Accept", "X-T"}}, nil, []store.Field{field("Vary", "Accept", "X-T")}},
		{"lines in front", http.Header{"Vary": {"Origin"}}, http.Header{"Vary": {"Accept", "Origin"}}, []store.Field{field("Vary", "Accept", "Origin")}, nil},
		{"a line less", http.Header{"Link": {"a", "b"}}, http.Header{"Link": {"a"}}, []store.Field{field("Link", "a")}, nil},
		{"removed", http.Header{"X-A": {"1"}}, http.Header{}, nil, []store.Field{field("X-A")}},
		{"emptied", http.Header{"X-A": {"1"}}, http.Header{"X-A": nil}, []store.Field{field("X-A")}, nil},
		{"set to nothing", http.Header{}, http.Header{"Content-Type": nil}, []store.Field{field("Content-Type")}, nil},
		{"filled", http.Header{"X-A": {}}, http.Header{"X-A": {"1"}}, []store.Field{field("X-A", "1")}, nil},
		{"per response", http.Header{"Date": {"then"}, "Age": {"9"}}, http.Header{"Date": {"now"}, "Age": {"1"}, "X-Request-Id": {"7"}, "x-request-id": {"8"},
			"X-Ratelimit-Remaining": {"3"}, "Ratelimit": {"x"}, "Ratelimit-Policy": {"x"}, "Server-Timing": {"db"}, "Content-Length": {"3"}, "Retry-After": {"9"},
			"Traceparent": {"x"}, "X-Correlation-Id": {"x"}}, nil, nil},
		{"per response, removed", http.Header{"Date": {"then"}, "X-Request-Id": {"7"}}, http.Header{}, nil, nil},
		{"of one connection", nil, http.Header{"Connection": {"close, x-hop", "X-Hop-Too"}, "X-Hop": {"1"}, "X-Hop-Too": {"1"}, "Keep-Alive": {"1"}, "Te": {"1"},
			"Upgrade": {"h2c"}, "Transfer-Encoding": {"chunked"}, "Proxy-Connection": {"x"}, "X-Kept": {"1"}}, []store.Field{field("X-Kept", "1")}, nil},
	}
	for _, tt := range tests {
		set, added := middleware.Capture(tt.now, tt.outer)
		for _, fields := range [][]store.Field{set, added} {
			slices.SortFunc(fields, func(a, b store.Field) int { return cmp.Compare(a.Name, b.Name) })
			for i := range fields {
				if len(fields[i].Values) == 0 {
					fields[i].Values = nil
				}
			}
		}
		if len(set) == 0 {
			set = nil
		}
		if !reflect.DeepEqual(set, tt.set) || !reflect.DeepEqual(added, tt.added) {
			t.Errorf("%s: set %v, added %v; want %v, %v", tt.name, set, added, tt.set, tt.added)
		}
	}
}

// TestCaptureCopies: what the handler does to its slices later changes nothing.
func TestCaptureCopies(t *testing.T) {
	h := http.Header{"X-A": {"1"}, "Vary": {"Origin", "Accept"}}
	set, added := middleware.Capture(h, http.Header{"Vary": {"Origin"}})
	h["X-A"][0], h["Vary"][1] = "evil", "evil"
	if set[0].Values[0] != "1" || added[0].Values[0] != "Accept" {
		t.Errorf("set %v, added %v", set, added)
	}
}
