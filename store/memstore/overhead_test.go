package memstore_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
)

// BenchmarkOverhead reports what an answer takes beyond its bytes: in all, and of that in the store.
func BenchmarkOverhead(b *testing.B) {
	const n = 100_000
	keys := keysOf(n)
	entries := make([]*store.Entry, n)
	for range b.N {
		clear(entries)
		before := heap()
		for i, key := range keys {
			entries[i] = answer(key)
		}
		made := heap()
		s := memstore.New(memstore.Options{MaxEntries: n, MaxBytes: 4 << 30})
		for i, key := range keys {
			_ = s.Set(b.Context(), key, entries[i], time.Hour)
		}
		e, after := entries[0], heap()
		bytes := len(e.Body) + len(e.Key) + len(e.Labels)*len(e.Labels[0])
		for _, f := range e.Header.Fields() {
			bytes += len(f.Name) + len(f.Values[0])
		}
		b.ReportMetric(float64(after-before)/n-float64(bytes), "B/beyond")
		b.ReportMetric(float64(after-made)/n, "B/in-store")
		b.ReportMetric(float64(s.Bytes())/n-float64(bytes), "B/counted-beyond")
		_ = s.Close()
		runtime.KeepAlive(entries)
	}
}
