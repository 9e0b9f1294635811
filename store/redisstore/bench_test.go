//go:build unix

package redisstore_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/store/redisstore"
)

// round is how many reads one way of reading does before the next has its turn: so all meet the same machine.
const round = 4096

// BenchmarkGet reads entries of 1 KiB on a real Redis, with 1 caller, with 8 and with 64, and holds Get against what an
// app would do by hand: go-redis' Get, and its AutoPipeline. Get reads the purge log's head as well, and decodes and checks
// the entry. Compared are the reads in a second ("x-get" and "x-auto": the higher, the faster is Get), and the median of one
// read and this process' time for it ("p50/…" and "cpu/…": the lower, the better). What one read of each allocates is told
// as it is, for the whole process.
func BenchmarkGet(b *testing.B) {
	server := redistest.NewProcess(b)
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) { benchmarkGet(b, server.Addr(), callers) })
	}
}

func benchmarkGet(b *testing.B, addr string, callers int) {
	client := dial(b, addr)
	s := on(b, client, redisstore.Options{})
	key := keep(b, s, "k")
	e := stamped(s, "k")
	e.Body = make([]byte, 1<<10)
	if err := s.Set(b.Context(), key, e, time.Hour); err != nil {
		b.Fatal(err)
	}
	name, plain := "larder:1:"+key.String(), dial(b, addr)
	auto, err := dial(b, addr).AutoPipeline()
	if err != nil {
		b.Fatal(err)
	}
	ways := []*reading{
		{get: func(ctx context.Context) error { _, _, err := s.Get(ctx, key); return err }},
		{get: func(ctx context.Context) error { return plain.Get(ctx, name).Err() }},
		{get: func(ctx context.Context) error { return auto.Get(ctx, name).Err() }},
	}
	for b.Loop() {
		for _, w := range ways {
			w.run(b, callers)
		}
	}
	store, get, piped := ways[0], ways[1], ways[2]
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(store.rate(), "reads/s")
	b.ReportMetric(store.rate()/get.rate(), "x-get")
	b.ReportMetric(store.rate()/piped.rate(), "x-auto")
	b.ReportMetric(store.cost()/get.cost(), "cpu/get")
	b.ReportMetric(store.cost()/piped.cost(), "cpu/auto")
	b.ReportMetric(store.allocs(), "allocs/read")
	b.ReportMetric(get.allocs(), "allocs/get")
	b.ReportMetric(piped.allocs(), "allocs/auto")
	b.ReportMetric(float64(store.bytes)/float64(store.reads), "B/read")
	b.ReportMetric(float64(store.median())/float64(get.median()), "p50/get")
	b.ReportMetric(float64(store.median())/float64(piped.median()), "p50/auto")
}

// reading is one way of reading, and what it took.
type reading struct {
	get   func(ctx context.Context) error
	reads int
	took  time.Duration
	cpu   time.Duration   // of this process
	each  []time.Duration // a sample
	heap  uint64          // objects allocated
	bytes uint64          // in them
}

func (r *reading) rate() float64 { return float64(r.reads) / r.took.Seconds() }

func (r *reading) cost() float64 { return r.cpu.Seconds() / float64(r.reads) }

func (r *reading) allocs() float64 { return float64(r.heap) / float64(r.reads) }

func (r *reading) median() time.Duration {
	slices.Sort(r.each)
	return r.each[len(r.each)/2]
}

// processTime is the time that this process has kept a processor busy.
func processTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (r *reading) run(b *testing.B, callers int) {
	each := make([][]time.Duration, callers)
	for i := range each {
		each[i] = make([]time.Duration, 0, round/callers)
	}
	var all sync.WaitGroup
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began, busy := time.Now(), processTime()
	for i := range callers {
		all.Go(func() {
			for range round / callers {
				began := time.Now()
				if err := r.get(b.Context()); err != nil {
					b.Error(err)
				}
				each[i] = append(each[i], time.Since(began))
			}
		})
	}
	all.Wait()
	r.took += time.Since(began)
	r.cpu += processTime() - busy
	runtime.ReadMemStats(&after)
	r.heap += after.Mallocs - before.Mallocs
	r.bytes += after.TotalAlloc - before.TotalAlloc
	r.reads += round / callers * callers
	r.each = append(r.each, slices.Concat(each...)...)
}
