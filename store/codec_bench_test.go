package store_test

import (
	"bytes"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/storetest"
)

// page is an ordinary answer with a body of size bytes: eight header fields and four labels.
func page(size int) *store.Entry {
	at := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	e := &store.Entry{
		Key: storetest.Key("page"), At: store.Position{Epoch: 1<<63 + 7, Time: uint64(at.UnixMilli()), Seq: 3},
		Status: http.StatusOK, Stored: time.UnixMilli(at.UnixMilli()), Fresh: time.Minute, WhileRevalidate: 10 * time.Second, IfError: time.Hour,
		Cost: 3 * time.Millisecond, Aged: time.Second, Labels: []keying.Label{{1}, {2}, {3}, {4}}, Body: bytes.Repeat([]byte("x"), size),
	}
	var header []store.Field
	for _, f := range [][2]string{
		{"Content-Type", "text/html; charset=utf-8"}, {"Cache-Control", "public, max-age=60, stale-while-revalidate=10"},
		{"Etag", `"5d8c72a5edda8d6a5d8c72a5edda8d6a"`}, {"Last-Modified", "Sun, 01 Mar 2026 11:58:03 GMT"},
		{"Vary", "Accept-Encoding, Accept-Language"}, {"Content-Language", "en"}, {"X-Content-Type-Options", "nosniff"},
		{"Content-Length", strconv.Itoa(size)},
	} {
		header = append(header, store.Field{Name: f[0], Values: []string{f[1]}})
	}
	e.Header = store.MakeHeader(header...)
	return e
}

var sizes = map[string]int{"1KiB": 1 << 10, "64KiB": 64 << 10}

func BenchmarkEncode(b *testing.B) {
	for name, size := range sizes {
		for kind, c := range codecs {
			b.Run(kind+"/"+name, func(b *testing.B) {
				e := page(size)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c.Encode(e); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, size := range sizes {
		for kind, c := range codecs {
			b.Run(kind+"/"+name, func(b *testing.B) {
				encoded, err := c.Encode(page(size))
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c.Decode(encoded); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
