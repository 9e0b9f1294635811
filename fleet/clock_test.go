package main

import (
	"reflect"
	"slices"
	"testing"

	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
)

// Whatever takes or returns entries must be skewed's own: what it inherits from redisstore knows of no other clock.
func TestEveryEntryIsSkewed(t *testing.T) {
	redis, entry := reflect.TypeFor[*redisstore.Store](), reflect.TypeFor[*store.Entry]()
	var names []string
	for m := range redis.Methods() {
		for in := range m.Type.Ins() {
			if in == entry {
				names = append(names, m.Name)
			}
		}
		for out := range m.Type.Outs() {
			if out == entry {
				names = append(names, m.Name)
			}
		}
	}
	if want := []string{"Get", "Lease", "Set", "SetAndRelease"}; !slices.Equal(names, want) {
		t.Errorf("%v have to do with entries, skewed has %v", names, want)
	}
}
