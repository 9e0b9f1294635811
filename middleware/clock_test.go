package middleware

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestClockIsLateByATickAtMost(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration
		late  time.Duration
	}{
		{"asked rarely it is exact", time.Millisecond, 0},
		{"asked often it ticks", 10 * time.Microsecond, tick},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var most time.Duration
				clock := new(clock)
				for range 20_000 {
					late := time.Since(clock.now())
					if most = max(most, late); late < 0 {
						t.Fatalf("ahead by %v", -late)
					}
					time.Sleep(c.every)
				}
				if most > c.late || most < c.late-c.every {
					t.Errorf("late by %v; want %v", most, c.late)
				}
			})
		})
	}
}

func TestClockThatNobodyAsksStopsAndIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := new(clock)
		for range 2 * busy {
			clock.now()
		}
		if clock.last.Load() == nil {
			t.Error("it does not tick although it is asked")
		}
		time.Sleep(2*tick + time.Microsecond)
		if clock.last.Load() != nil {
			t.Error("it ticks on although nobody asks")
		}
		if late := time.Since(clock.now()); late != 0 {
			t.Errorf("late by %v", late)
		}
	})
}
