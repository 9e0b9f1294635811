package memstore_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
)

// keyOf returns a key whose bytes are as random as a digest's.
func keyOf(i int) (key keying.Key) {
	r := rand.New(rand.NewPCG(uint64(i), 1))
	for at := 0; at < len(key); at += 8 {
		binary.LittleEndian.PutUint64(key[at:], r.Uint64())
	}
	return key
}

func keysOf(n int) []keying.Key {
	keys := make([]keying.Key, n)
	for i := range keys {
		keys[i] = keyOf(i)
	}
	return keys
}

// answer returns an entry as the middleware makes one of a page with a body of 1 KiB, five header fields and four labels.
func answer(key keying.Key) *store.Entry {
	e := &store.Entry{Key: key, Status: http.StatusOK, Stored: time.Now(), Fresh: time.Minute}
	var header []store.Field
	for _, f := range [...][2]string{
		{"Content-Type", "text/html; charset=utf-8"}, {"Cache-Control", "public, max-age=60"}, {"Date", "Thu, 01 Jan 2026 00:00:00 GMT"},
		{"Etag", `"0123456789abcdef"`}, {"Content-Length", "1024"},
	} {
		header = append(header, store.Field{Name: f[0], Values: []string{strings.Clone(f[1])}})
	}
	e.Header = store.MakeHeader(header...)
	e.Labels, e.Body = make([]keying.Label, 4), make([]byte, 1024)
	return e
}

// filled returns a store that holds so many small entries.
func filled(b *testing.B, keys []keying.Key, o memstore.Options) *memstore.Store {
	s := memstore.New(o)
	b.Cleanup(func() { _ = s.Close() })
	for _, key := range keys {
		_ = s.Set(b.Context(), key, &store.Entry{Key: key}, time.Hour)
	}
	return s
}

func BenchmarkPeek(b *testing.B) {
	for _, n := range []int{1, 1000, 10_000, 100_000, 1_000_000} {
		keys := keysOf(n)
		s := filled(b, keys, memstore.Options{MaxEntries: 2 * max(n, 5000), MaxBytes: 4 << 30})
		order := rand.Perm(n)
		b.Run(fmt.Sprintf("%d/serial", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s.Peek(keys[order[i%n]])
			}
		})
		b.Run(fmt.Sprintf("%d/parallel", n), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(n); pb.Next(); i++ {
					s.Peek(keys[order[i%n]])
				}
			})
		})
	}
}

func BenchmarkPeekAbsent(b *testing.B) {
	keys := keysOf(200_000)
	s := filled(b, keys[:100_000], memstore.Options{MaxEntries: 200_000, MaxBytes: 4 << 30})
	for i := 0; b.Loop(); i++ {
		s.Peek(keys[100_000+i%100_000])
	}
}

// BenchmarkSet sets new keys in a store with room, in a full one, and keys that are there.
func BenchmarkSet(b *testing.B) {
	const n = 1 << 17
	keys := keysOf(n)
	entries := make([]*store.Entry, n)
	for i, key := range keys {
		entries[i] = &store.Entry{Key: key}
	}
	for _, test := range []struct {
		name string
		max  int
		warm []keying.Key
	}{{"empty", n + n/8, nil}, {"full", n / 8, keys[:n/4]}, {"again", n + n/8, keys}} {
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			for done := 0; done < b.N; done += n {
				b.StopTimer()
				s := filled(b, test.warm, memstore.Options{MaxEntries: test.max, MaxBytes: 4 << 30})
				b.StartTimer()
				for i := range min(n, b.N-done) {
					e := entries[(i+n/4)%n]
					_ = s.Set(b.Context(), e.Key, e, time.Hour)
				}
			}
		})
	}
}

// BenchmarkExpiry reports how long a reader and a writer waited at most, but for one in a thousand, while 100,000 entries
// that have expired are dropped, and while nothing is, which is what the machine adds.
func BenchmarkExpiry(b *testing.B) {
	const n = 100_000
	keys := keysOf(2 * n)
	for name, keep := range map[string]time.Duration{"expiring": 200 * time.Millisecond, "quiet": time.Hour} {
		b.Run(name, func(b *testing.B) {
			var read, write []time.Duration
			for range b.N {
				s := memstore.New(memstore.Options{MaxEntries: 2 * n, MaxBytes: 4 << 30})
				for _, key := range keys[:n] {
					_ = s.Set(b.Context(), key, &store.Entry{Key: key}, keep)
				}
				time.Sleep(keep % time.Second)
				var wg sync.WaitGroup
				var done atomic.Bool
				wg.Go(func() {
					for began := time.Now(); keep == time.Hour && time.Since(began) < 50*time.Millisecond; {
						runtime.Gosched() // as a sweep does
					}
					s.Len() // drops what has expired
					done.Store(true)
				})
				e := &store.Entry{}
				for i := n; !done.Load(); i++ {
					began := time.Now()
					s.Peek(keys[i%n])
					between := time.Now()
					e = &store.Entry{Key: keys[i%(2*n)]}
					_ = s.Set(b.Context(), e.Key, e, time.Hour)
					read, write = append(read, between.Sub(began)), append(write, time.Since(between))
				}
				wg.Wait()
				_ = s.Close()
			}
			for what, took := range map[string][]time.Duration{"read": read, "write": write} {
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)-1-len(took)/1000].Nanoseconds())/1e3, "µs/999th-"+what)
				b.ReportMetric(float64(took[len(took)-1].Nanoseconds())/1e3, "µs/longest-"+what)
			}
		})
	}
}
