package middleware_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/larder-go/cache/middleware"
)

var ages = []int64{-1 << 62, -3600, -1, 0, 1, 59, 3599, 3600, 3601, 1 << 31}

func TestStatusLinesSayTheSeconds(t *testing.T) {
	c := middleware.NewCommon("edge", false)
	for range 2 { // made, and made before
		for _, n := range ages {
			if got, want := c.HitLine(n), fmt.Sprintf("edge; hit; ttl=%d; detail=near", n); !slices.Equal(got, []string{want}) {
				t.Errorf("line of %d is %q, want %q", n, got, want)
			}
			if got, want := middleware.AgeLine(n), fmt.Sprint(n); !slices.Equal(got, []string{want}) {
				t.Errorf("age of %d is %q, want %q", n, got, want)
			}
		}
	}
}

// TestALineIsClipped: an append to a shared line makes a copy.
func TestALineIsClipped(t *testing.T) {
	c := middleware.NewCommon("edge", false)
	for _, n := range ages {
		for _, line := range [][]string{c.HitLine(n), middleware.AgeLine(n)} {
			if len(line) != 1 || cap(line) != 1 {
				t.Errorf("the line of %d has room for %d", n, cap(line))
			}
		}
	}
}

func TestLinesAreMadeOnce(t *testing.T) {
	c := middleware.NewCommon("edge", false)
	c.HitLine(60)
	if n := testing.AllocsPerRun(100, func() { c.HitLine(60) }); n != 0 {
		t.Errorf("%v allocations for a line that is there", n)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range int64(100) {
				if got := c.HitLine(n)[0]; got != fmt.Sprintf("edge; hit; ttl=%d; detail=near", n) {
					t.Errorf("line of %d is %q", n, got)
				}
			}
		})
	}
	wg.Wait()
}
