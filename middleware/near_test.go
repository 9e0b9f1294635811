package middleware_test

import (
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/store/otterstore"
)

// onOtter gives the site another memory than the default one.
func onOtter(s *site) *otterstore.Store {
	near := otterstore.New(otterstore.Options{})
	s.t.Cleanup(func() { _ = near.Close() })
	s.options.Near = near
	return near
}

func TestAnotherNearStoreServesHits(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		near := onOtter(s)
		s.handle("GET /p/{id}", cache.Policy{TTL: 10 * time.Second}, s.mirror)
		for _, target := range []string{"/p/7", "/p/8", "/p/7?a=b"} {
			again := s.missHit(target)
			if got := again.header.Get("Cache-Status"); !strings.HasSuffix(got, "detail=near") {
				t.Errorf("GET %s: Cache-Status is %q; want a near hit", target, got)
			}
		}
		if near.Len() != 3 {
			t.Errorf("the store has %d entries; want 3", near.Len())
		}
		time.Sleep(10 * time.Second)
		s.missHit("/p/7")
	}, cache.SharedGlobal, cache.HotShared)
}

func TestAnotherNearStoreIsPurged(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		onOtter(s)
		s.handle("GET /p/{id}", cache.Policy{Tags: []string{"p:{id}"}}, s.mirror)
		s.missHit("/p/7")
		s.missHit("/p/8")
		s.purge(cache.Tag("p:7"))
		s.hit("/p/8")
		s.missHit("/p/7")
		s.purge(cache.Everything())
		s.missHit("/p/7")
		s.missHit("/p/8")
	}, cache.SharedGlobal, cache.HotShared)
}
