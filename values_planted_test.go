package cache_test

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
)

// A value that is none is a miss like any other: one load for all, and then it is one.
func TestAValueThatDoesNotDecodeIsLoadedOnceAndHeals(t *testing.T) {
	bodies := map[string][]byte{"another type": {0xa1, 'x'}, "nothing": {}, "cut off": {0x91}, "another's": {0x93, 1, 2, 3}}
	for name, body := range bodies {
		for _, class := range inRedis {
			t.Run(class.String()+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					far := fartest.New()
					load := func(string) int { time.Sleep(time.Second); return 7 }
					first, _, _ := newValues(t, far, class, load)
					_, _ = first.Get(alice(t), "x")
					far.Overwrite(t, body)
					second, o, loads := newValues(t, far, class, load)
					var all sync.WaitGroup
					for range 500 {
						all.Go(func() {
							if got, err := second.Get(alice(t), "x"); got != 7 || err != nil {
								t.Errorf("Get = %v, %v; want 7", got, err)
							}
						})
					}
					all.Wait()
					if n := o.has(cache.Fault, cache.ReasonCorrupt, "int"); loads.Load() != 1 || n == 0 {
						t.Errorf("%d loads and %d events; want one load, and told", loads.Load(), n)
					}
					third, _, loads := newValues(t, far, class, load)
					if got, err := third.Get(alice(t), "x"); got != 7 || err != nil || loads.Load() != 0 {
						t.Errorf("Get = %v, %v after %d loads; want 7 from Redis", got, err, loads.Load())
					}
				})
			})
		}
	}
}

// What is in Redis may be anybody's: a byte of it must not take a kilobyte here.
func TestPlantedValuesTakeLittleMemory(t *testing.T) {
	type large struct{ A [3500]byte }
	lists := []byte{0xdd, 0, 1, 0x80, 0} // 98,304 of something
	for name, body := range map[string][]byte{
		"structs":        append(lists, make([]byte, 98304)...),
		"liar":           {0xdd, 0xff, 0xff, 0xff, 0xff},
		"beyond MaxBody": append([]byte{0xc6, 0, 0x20, 0, 0}, make([]byte, 2<<20)...),
	} {
		if name == "structs" {
			for i := range body[5:] {
				body[5+i] = 0xc0
			}
		}
		for _, class := range inRedis {
			far := fartest.New()
			load := func(string) []large { return []large{{}} }
			first, _, _ := newValues(t, far, class, load)
			_, _ = first.Get(alice(t), "x")
			far.Overwrite(t, body)
			second, o, loads := newValues(t, far, class, load)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, err := second.Get(alice(t), "x")
			runtime.ReadMemStats(&after)
			if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 40 || len(got) != 1 || err != nil || loads.Load() != 1 {
				t.Errorf("%s, %s: Get = %d, %v after %d loads and %d MiB; want a load of its own", name, class, len(got), err, loads.Load(), took)
			}
			if o.has(cache.Fault, cache.ReasonCorrupt, "") == 0 {
				t.Errorf("%s, %s: nothing is told", name, class)
			}
		}
	}
}
