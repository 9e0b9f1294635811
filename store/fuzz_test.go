package store_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

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
	for _, e := range []*store.Entry{storetest.Entry(storetest.Key("k"), "body"), {Stored: at}, {Stored: at, Status: 404, Header: slicesOf(3)}} {
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
		replay(e)
	})
}

// replay writes the entry as a server would; net/http must not panic.
func replay(e *store.Entry) {
	w := httptest.NewRecorder()
	for _, field := range e.Header {
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
