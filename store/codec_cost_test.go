package store_test

import (
	"bytes"
	"net/http"
	"runtime"
	"strconv"
	"testing"
	"time"
	"weak"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/storetest"
)

var codecs = map[string]store.Codec{"plain": {}, "sealed": secret}

// Encoding allocates what it returns and nothing else: it asks for enough bytes from the start.
func TestEncodeAllocatesOnce(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for kind, c := range codecs {
		for name, e := range boundaries() {
			n := testing.AllocsPerRun(20, func() {
				if _, err := c.Encode(e); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			})
			if n > 1 {
				t.Errorf("%s, %s: Encode allocates %v times; want once", kind, name, n)
			}
		}
		n := testing.AllocsPerRun(20, func() { _, _ = c.EncodeRecord(record) })
		if n > 1 {
			t.Errorf("%s: EncodeRecord allocates %v times; want once", kind, n)
		}
	}
}

// Decoding allocates the entry, its header's text, lines and fields, and its labels, however many there are.
func TestDecodeAllocatesFiveTimes(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for kind, c := range codecs {
		for name, e := range boundaries() {
			b, err := c.Encode(e)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			n := testing.AllocsPerRun(20, func() { _, _ = c.Decode(b) })
			if n > 5 {
				t.Errorf("%s, %s: Decode allocates %v times; want 5 at most", kind, name, n)
			}
		}
	}
}

// A wrong seal costs the error that says so, whatever it seals.
func TestWrongSealAllocatesNoEntry(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for kind, c := range codecs {
		b, err := c.Encode(page(1 << 20))
		if err != nil {
			t.Fatal(err)
		}
		b[100] ^= 1
		if n := testing.AllocsPerRun(20, func() { _, _ = c.Decode(b) }); n > 6 {
			t.Errorf("%s: Decode allocates %v times before it refuses the seal", kind, n)
		}
	}
}

// The body is part of what was decoded, and the header keeps nothing of it alive.
func TestHeaderDoesNotKeepTheBody(t *testing.T) {
	b, err := store.Codec{}.Encode(page(1 << 20))
	if err != nil {
		t.Fatal(err)
	}
	e, err := store.Codec{}.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-sealSize-1] = 'y'
	if e.Body[len(e.Body)-1] != 'y' {
		t.Error("the body was copied")
	}
	input, header := weak.Make(&b[0]), e.Header
	b, e = nil, nil
	runtime.GC()
	if input.Value() != nil {
		t.Error("the header keeps the body alive")
	}
	runtime.KeepAlive(header)
}

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
