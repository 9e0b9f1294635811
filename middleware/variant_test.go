package middleware_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/larder-go/cache"
)

// Whoever makes up variants of a URL keeps nobody else's from being kept, of that URL or of another, in memory or in Redis,
// and fills neither: the least used one makes room, also in the store.
func TestMadeUpVariantsKeepNobodyOut(t *testing.T) {
	policies := map[string]cache.Policy{
		"/header": {Vary: []string{"Accept-Language"}}, "/cookie": {Cookies: []string{"theme"}}, "/standard": {RFC9111: true},
	}
	run(t, func(t *testing.T, s *site) {
		for path, p := range policies {
			s.handle("GET "+path, p, func(w http.ResponseWriter, r *http.Request) error {
				if path != "/cookie" {
					w.Header().Set("Vary", "Accept-Language")
				}
				w.Header().Set("Cache-Control", "max-age=1000")
				_, err := fmt.Fprint(w, r.Header.Get("Accept-Language"), r.Header["Cookie"])
				return err
			})
		}
		variant := func(path string, name any) option {
			if path == "/cookie" {
				return cookie(fmt.Sprint("theme=", name))
			}
			return header("Accept-Language", fmt.Sprint(name))
		}
		for path := range policies {
			s.miss(path, variant(path, "en"))
			for n := range 100 {
				s.miss(path, variant(path, n))
				s.hit(path, variant(path, "en"))
			}
			s.missHit(path, variant(path, "fr"))
		}
		if n := s.far.Len(); n > 3*33 {
			t.Errorf("%d entries lie in the store; want 32 of each URL, and what leads there", n)
		}
	})
}
