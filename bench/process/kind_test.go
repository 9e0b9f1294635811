package process

import (
	"fmt"
	"net/http"
	"testing"
)

// BenchmarkBody is what a hit of a long body costs beside one of 1 KiB: what is kept is handed on, not copied.
func BenchmarkBody(b *testing.B) {
	for _, size := range []int{kib, 64 * kib} {
		b.Run(fmt.Sprintf("size=%dKiB", size/kib), func(b *testing.B) {
			for _, c := range []contestant{
				{name: "bare-set", bare: true, open: bareSet},
				{name: "larder", open: larder(hour, nearStores[0])},
			} {
				b.Run(c.name, func(b *testing.B) {
					s := newSite(1, size)
					visitAll(b, s, c.ready(b, s)())
				})
			}
		})
	}
}

// BenchmarkKind is what a hit costs that has no body to send, beside one that has.
func BenchmarkKind(b *testing.B) {
	for _, kind := range []struct {
		name   string
		method string
		match  string
		status int
	}{
		{"200", "GET", "", http.StatusOK},
		{"304", "GET", `"5f2c-61a8"`, http.StatusNotModified},
		{"HEAD", "HEAD", "", http.StatusOK},
	} {
		b.Run(kind.name, func(b *testing.B) {
			s := newSite(1, kib)
			a := (contestant{name: "larder", open: larder(hour, nearStores[0])}).ready(b, s)().(*agent)
			a.r.Method = kind.method
			a.r.Header = browser.Clone()
			if kind.match != "" {
				a.r.Header.Set("If-None-Match", kind.match)
			}
			visitAll(b, s, a)
			if a.w.status != kind.status {
				b.Fatalf("the status is %d; want %d", a.w.status, kind.status)
			}
		})
	}
}
