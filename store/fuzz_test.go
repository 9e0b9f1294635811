package store_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/storetest"
)

// sealed appends the checksum that belongs to b, so that what a fuzzer makes gets past it.
func sealed(b []byte) []byte {
	sum := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return binary.BigEndian.AppendUint32(append(bytes.Clone(b), 0xc4, 4), sum)
}

const sealSize = 6

func FuzzDecode(f *testing.F) {
	at := time.UnixMilli(1)
	for _, e := range []*store.Entry{storetest.Entry(storetest.Key("k"), "body"), {Stored: at}, {Stored: at, Status: 404, Header: store.MakeHeader(slicesOf(3)...)}} {
		if b, err := (store.Codec{}).Encode(e); err == nil {
			f.Add(b[:len(b)-sealSize])
		}
	}
	f.Add(bytes.Repeat([]byte{0x91}, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = store.Codec{}.Decode(bytes.Clone(b))
		e, err := store.Codec{}.Decode(sealed(b))
		if err != nil {
			return
		}
		if e.Size() > 50*int64(len(b))+1<<10 {
			t.Errorf("%d bytes become %d", len(b), e.Size())
		}
		again, err := store.Codec{}.Encode(e)
		if err != nil {
			t.Fatalf("an entry that was read cannot be written: %v", err)
		}
		if e2, err := (store.Codec{}).Decode(again); err != nil || !storetest.Equal(e, e2) {
			t.Errorf("%+v comes back as %+v, %v", e, e2, err)
		}
		if want := sealed(libraryEntry(e)); !bytes.Equal(again, want) {
			t.Errorf("written %x; the library writes %x", again, want)
		}
		replay(e)
	})
}

// Whatever entry is accepted is written as the library writes it, and comes back; what comes back is written the same.
func FuzzEncode(f *testing.F) {
	f.Add(200, uint64(1), int64(1), int64(60e9), "Content-Type", "text/html", "Vary", "a\nb\nc", uint16(3), []byte("body"))
	f.Add(0, uint64(1)<<63, int64(1)<<40, int64(0), "X", "", "Y", "\n\t", uint16(256), []byte{})
	f.Fuzz(func(t *testing.T, status int, n uint64, stored, d int64, name, value, name2, lines string, labels uint16, body []byte) {
		e := &store.Entry{
			Key: storetest.Key(name), At: store.Position{Epoch: n, Time: n >> 17, Seq: n >> 40}, Status: status, Stored: time.UnixMilli(stored),
			Fresh: time.Duration(d), IfError: time.Duration(d >> 20), Cost: time.Duration(d >> 9), Aged: time.Duration(d >> 7),
			Header: store.MakeHeader(store.Field{Name: name, Values: []string{value}}, store.Field{Name: name2, Values: strings.Split(lines, "\n")}),
			Added:  []store.Field{{Name: name2}, {Name: name, Values: []string{value, lines}}},
			Labels: make([]keying.Label, labels), Body: body,
		}
		for _, c := range codecs {
			b, err := c.Encode(e)
			if (err == nil) != (e.Validate() == nil) {
				t.Fatalf("Encode: %v; Validate: %v", err, e.Validate())
			}
			if err != nil {
				continue
			}
			if !bytes.HasPrefix(b, libraryEntry(e)) {
				t.Errorf("written %x; the library writes %x", b, libraryEntry(e))
			}
			back, err := c.Decode(b)
			if err != nil || !storetest.Equal(back, e) {
				t.Fatalf("%+v comes back as %+v, %v", e, back, err)
			}
			if again, err := c.Encode(back); err != nil || !bytes.Equal(again, b) {
				t.Errorf("written %x, then %x, %v", b, again, err)
			}
		}
	})
}

// replay writes the entry as a server would; net/http must not panic.
func replay(e *store.Entry) {
	w := httptest.NewRecorder()
	for _, field := range e.Header.Fields() {
		w.Header()[http.CanonicalHeaderKey(field.Name)] = field.Values
	}
	if e.Status != 0 {
		w.WriteHeader(e.Status)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range []store.Record{{}, record} {
		if b, err := (store.Codec{}).EncodeRecord(r); err == nil {
			f.Add(b[:len(b)-sealSize])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = store.Codec{}.DecodeRecord(b)
		r, err := store.Codec{}.DecodeRecord(sealed(b))
		if err != nil {
			return
		}
		again, err := store.Codec{}.EncodeRecord(r)
		if err != nil {
			t.Fatalf("a record that was read cannot be written: %v", err)
		}
		if r2, err := (store.Codec{}).DecodeRecord(again); err != nil || len(r2.Labels) != len(r.Labels) || r2.At != r.At {
			t.Errorf("%+v comes back as %+v, %v", r, r2, err)
		}
	})
}
