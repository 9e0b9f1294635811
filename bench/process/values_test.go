package process

import (
	"context"
	"fmt"
	"testing"
	"time"

	rediscache "github.com/go-redis/cache/v9"
	"github.com/viccon/sturdyc"

	"github.com/larder-go/cache"
)

// A product is a value of some size.
type product struct {
	ID, Name, Text string
	Cents          int
	Tags           []string
}

var loads int

func load(id string) product {
	loads++
	return product{ID: id, Name: "Lamp " + id, Text: fmt.Sprintf("%0200d", 7), Cents: 1999, Tags: []string{"light", "home"}}
}

// BenchmarkValue is what reading a value through memory costs, when it is there.
func BenchmarkValue(b *testing.B) {
	for _, keys := range []int{1, 10_000} {
		ids := make([]string, keys)
		for i, uri := range newSite(keys, 0).uris {
			ids[i] = uri[len(prefix):pathLen]
		}
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			for _, c := range []struct {
				name string
				open func(b *testing.B, entries int) func(id string) (product, error)
			}{
				{"larder", larderValues}, {"sturdyc", sturdyValues}, {"go-redis-cache", redisCacheValues},
			} {
				b.Run(c.name, func(b *testing.B) { getAll(b, ids, c.open(b, 2*keys+1000)) })
			}
		})
	}
}

func getAll(b *testing.B, ids []string, get func(id string) (product, error)) {
	loads = 0
	for _, id := range ids {
		if p, err := get(id); err != nil || p.ID != id {
			b.Fatalf("%s is %v, %v", id, p, err)
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := get(ids[i]); err != nil {
			b.Fatal(err)
		}
		if i++; i == len(ids) {
			i = 0
		}
	}
	if loads != len(ids) {
		b.Fatalf("%d values were loaded %d times; these are no hits", len(ids), loads)
	}
}

func larderValues(b *testing.B, entries int) func(string) (product, error) {
	c := newLarder(b, cache.Options{Near: openMemstore(b, entries)})
	products := cache.NewValues(c, "product", hour, func(_ context.Context, id string) (product, error) { return load(id), nil })
	return func(id string) (product, error) { return products.Get(context.Background(), id) }
}

func sturdyValues(_ *testing.B, entries int) func(string) (product, error) {
	client := sturdyc.New[product](entries, 10, time.Hour, 10)
	return func(id string) (product, error) {
		return client.GetOrFetch(context.Background(), id, func(context.Context) (product, error) { return load(id), nil })
	}
}

// redisCacheValues is its local cache alone: no Redis behind it.
func redisCacheValues(_ *testing.B, entries int) func(string) (product, error) {
	c := rediscache.New(&rediscache.Options{LocalCache: rediscache.NewTinyLFU(entries, time.Hour)})
	return func(id string) (p product, err error) {
		do := func(*rediscache.Item) (any, error) { return load(id), nil }
		err = c.Once(&rediscache.Item{Key: id, Value: &p, TTL: time.Hour, Do: do})
		return p, err
	}
}
