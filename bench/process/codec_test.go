package process

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/storetest"
)

// anEntry has 1 KiB of body and eight header fields.
func anEntry() *store.Entry {
	e := &store.Entry{
		Key: storetest.Key("entry"), Status: 200, Stored: time.Now(), Fresh: time.Hour, IfError: time.Minute,
		Body: bytes.Repeat([]byte("x"), kib),
	}
	var header []store.Field
	for _, f := range fields {
		header = append(header, store.Field{Name: f.name, Values: []string{f.value}})
	}
	for i := range 8 - len(fields) {
		header = append(header, store.Field{Name: fmt.Sprintf("X-Field-%d", i), Values: []string{"some value of it"}})
	}
	e.Header = store.MakeHeader(header...)
	return e
}

// BenchmarkCodec is what it costs to write an entry for Redis, and to read one from it.
func BenchmarkCodec(b *testing.B) {
	e := anEntry()
	encoded, err := store.Codec{}.Encode(e)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := (store.Codec{}).Encode(e); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := (store.Codec{}).Decode(encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
}
