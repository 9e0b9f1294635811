package otterstore_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
	"github.com/larder-go/cache/store/otterstore"
	"github.com/larder-go/cache/store/storetest"
)

// stores are what is compared: this one, and the default beside it.
var stores = []struct {
	name string
	open func(maxEntries int) storetest.NearStore
}{
	{"memstore", func(n int) storetest.NearStore {
		return memstore.New(memstore.Options{MaxBytes: 4 << 30, MaxEntries: n})
	}},
	{"otterstore", func(n int) storetest.NearStore {
		return otterstore.New(otterstore.Options{MaxBytes: 4 << 30, MaxEntries: n})
	}},
}

// BenchmarkPeek finds what is there, keys in random order.
func BenchmarkPeek(b *testing.B) {
	for _, n := range []int{1, 10_000, 1_000_000} {
		keys := keysOf(n)
		for _, of := range stores {
			s := of.open(2 * n)
			for _, key := range keys {
				_ = s.Set(b.Context(), key, &store.Entry{Key: key, Stored: time.Now()}, time.Hour)
			}
			b.Run(fmt.Sprintf("keys=%d/%s/serial", n, of.name), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					s.Peek(keys[i%n])
				}
			})
			b.Run(fmt.Sprintf("keys=%d/%s/parallel", n, of.name), func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for i := rand.IntN(n); pb.Next(); i++ {
						s.Peek(keys[i%n])
					}
				})
			})
			_ = s.Close()
		}
	}
}

// BenchmarkSet sets new keys in a full store.
func BenchmarkSet(b *testing.B) {
	keys := keysOf(100_000)
	for _, of := range stores {
		b.Run(of.name, func(b *testing.B) {
			s := of.open(10_000)
			defer s.Close()
			e := storetest.Entry(keys[0], strings.Repeat("x", 1000))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				_ = s.Set(b.Context(), keys[i%len(keys)], e, time.Hour)
			}
		})
	}
}

// keysOf returns n keys in random order.
func keysOf(n int) []keying.Key {
	keys := make([]keying.Key, n)
	for i, at := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		keys[at] = storetest.Key(fmt.Sprint(i))
	}
	return keys
}
