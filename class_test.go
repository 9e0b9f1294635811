package cache_test

import (
	"testing"

	"github.com/larder-go/cache"
)

func TestTheTwoQuestionsDecide(t *testing.T) {
	for _, tt := range []struct {
		mustAgree, onHotPath bool
		want                 cache.Class
	}{
		{false, false, cache.SharedGlobal},
		{false, true, cache.SharedGlobal},
		{true, false, cache.FleetShared},
		{true, true, cache.HotShared},
	} {
		if got := cache.Classify(tt.mustAgree, tt.onHotPath); got != tt.want {
			t.Errorf("Classify(%v, %v) = %v, want %v", tt.mustAgree, tt.onHotPath, got, tt.want)
		}
	}
}

func TestClassNames(t *testing.T) {
	for class, want := range map[cache.Class]string{
		0: "class(0)", cache.SharedGlobal: "shared-global", cache.PerUser: "per-user", cache.HotShared: "hot-shared",
		cache.FleetShared: "fleet-shared", cache.FleetShared + 1: "class(5)", 255: "class(255)",
	} {
		if got := class.String(); got != want {
			t.Errorf("String = %q, want %q", got, want)
		}
	}
}
