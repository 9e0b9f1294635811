package store_test

import (
	"runtime"
	"testing"
	"weak"

	"github.com/larder-go/cache/store"
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
