package process

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/larder-go/cache"
)

// BenchmarkVariants is what a hit costs on a URL of which so many variants were asked for: by a header that the policy
// names, and by a Vary of the answer. Of each URL the last 32 of them are kept.
func BenchmarkVariants(b *testing.B) {
	declared := hour
	declared.Vary = []string{"Accept-Language"}
	for _, by := range []struct {
		name   string
		policy cache.Policy
	}{
		{"policy", declared},
		{"vary", rfc9111},
	} {
		for _, variants := range []int{1, 1000} {
			b.Run(fmt.Sprintf("by=%s/variants=%d", by.name, variants), func(b *testing.B) { visitVariant(b, by.policy, variants) })
		}
	}
}

// visitVariant visits the last variant that was kept.
func visitVariant(b *testing.B, p cache.Policy, variants int) {
	s := newSite(1, kib)
	c := newLarder(b, cache.Options{Near: openMemstore(b, 10_000)})
	varying := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Language")
		s.ServeHTTP(w, r)
	})
	a := newAgent(c.Middleware(p)(varying))
	a.r.Header = browser.Clone()
	for i := range variants {
		a.r.Header.Set("Accept-Language", language(i))
		a.again()
	}
	if n := s.runs.Load(); n != int64(variants) {
		b.Fatalf("the handler ran %d times for %d variants", n, variants)
	}
	a.r.Header.Set("Accept-Language", language(variants-1))
	visitAll(b, s, a)
	if n := s.runs.Load(); n != int64(variants) {
		b.Fatal("these are no hits")
	}
}

func language(i int) string { return fmt.Sprintf("x-%04d", i) }
