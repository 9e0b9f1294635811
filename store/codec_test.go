package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/storetest"
)

var secret = store.NewCodec([]byte("secret"))

func TestEntryRoundTrip(t *testing.T) {
	key := storetest.Key("k")
	entries := map[string]*store.Entry{
		"full":   storetest.Entry(key, "body"),
		"bare":   {Key: key, Stored: time.UnixMilli(0)},
		"binary": storetest.Entry(key, "\x00\xff"),
		"labels": {Stored: time.UnixMilli(1), Labels: make([]keying.Label, store.MaxLabels)},
		"fields": {Stored: time.UnixMilli(1), Header: store.MakeHeader(slicesOf(store.MaxFields)...)},
		"long":   {Stored: time.UnixMilli(math.MaxInt64 / 2), Fresh: math.MaxInt64, At: store.Position{Epoch: math.MaxUint64, Time: math.MaxUint64, Seq: 1 << 8}},
		"large":  storetest.Entry(key, strings.Repeat("x", 1<<20)),
	}
	for name, e := range entries {
		for _, c := range []store.Codec{{}, secret} {
			b, err := c.Encode(e)
			if err != nil {
				t.Errorf("Encode %s: %v", name, err)
				continue
			}
			got, err := c.Decode(b)
			if err != nil || !storetest.Equal(got, e) {
				t.Errorf("%s comes back as %.300v, %v", name, fmt.Sprintf("%+v", got), err)
			}
		}
	}
}

func slicesOf(n int) []store.Field {
	fs := make([]store.Field, n)
	for i := range fs {
		fs[i] = store.Field{Name: fmt.Sprintf("X-%d", i), Values: []string{"a", "", "c"}}
	}
	return fs
}

func TestWhatCannotBeSentIsNotEncoded(t *testing.T) {
	field := func(name string, values ...string) *store.Entry {
		return &store.Entry{Stored: time.UnixMilli(1), Added: []store.Field{{Name: name, Values: values}}}
	}
	at := time.UnixMilli(1)
	for name, e := range map[string]*store.Entry{
		"status 101": {Stored: at, Status: 101}, "status 600": {Stored: at, Status: 600}, "status -1": {Stored: at, Status: -1},
		"no name": field(""), "a name with a space": field("A B"), "a line break": field("X", "a\r\nSet-Cookie: x"),
		"NUL": field("X", "\x00"), "a long header": field("X", strings.Repeat("x", store.MaxFieldBytes)), "many lines": field("X", make([]string, 1025)...),
		"many fields": {Stored: at, Header: store.MakeHeader(slicesOf(40)...), Added: slicesOf(25)}, "many labels": {Stored: at, Labels: make([]keying.Label, store.MaxLabels+1)},
		"negative time": {Stored: at, Fresh: -1}, "before 1970": {Stored: time.UnixMilli(-1)}, "overflow": {Stored: at, Fresh: math.MaxInt64, IfError: 1},
		"large body": {Stored: at, Body: make([]byte, store.MaxEncoded+1)},
	} {
		if _, err := (store.Codec{}).Encode(e); err == nil {
			t.Errorf("an entry with %s is encoded", name)
		}
	}
}

// eachDamage calls f with every single-bit flip and every truncation of b, and with b and a byte more.
func eachDamage(b []byte, f func(damaged []byte)) {
	for bit := range len(b) * 8 {
		flipped := bytes.Clone(b)
		flipped[bit/8] ^= 1 << (bit % 8)
		f(flipped)
	}
	for n := range b {
		f(bytes.Clone(b[:n]))
	}
	f(append(bytes.Clone(b), 0))
}

func TestDamageIsNoticed(t *testing.T) {
	for name, c := range map[string]store.Codec{"checksum": {}, "secret": secret} {
		t.Run(name, func(t *testing.T) {
			b, err := c.Encode(storetest.Entry(storetest.Key("k"), strings.Repeat("body", 150)))
			if err != nil {
				t.Fatal(err)
			}
			eachDamage(b, func(damaged []byte) {
				if e, err := c.Decode(damaged); e != nil || !errors.Is(err, store.ErrCorrupt) {
					t.Errorf("damage is read as %v, %v; want ErrCorrupt", e, err)
				}
			})
			b, err = c.EncodeRecord(record)
			if err != nil {
				t.Fatal(err)
			}
			eachDamage(b, func(damaged []byte) {
				if _, err := c.DecodeRecord(damaged); !errors.Is(err, store.ErrCorrupt) {
					t.Errorf("a damaged record is read: %v; want ErrCorrupt", err)
				}
			})
		})
	}
}

func TestSecretsDoNotMix(t *testing.T) {
	codecs := []store.Codec{{}, secret, store.NewCodec([]byte("other"))}
	for i, writer := range codecs {
		e, err := writer.Encode(storetest.Entry(storetest.Key("k"), "body"))
		if err != nil {
			t.Fatal(err)
		}
		r, err := writer.EncodeRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		for j, reader := range codecs {
			if _, err := reader.Decode(bytes.Clone(e)); (err == nil) != (i == j) {
				t.Errorf("codec %d reads an entry of %d: %v", j, i, err)
			}
			if _, err := reader.DecodeRecord(r); (err == nil) != (i == j) {
				t.Errorf("codec %d reads a record of %d: %v", j, i, err)
			}
		}
		if _, err := writer.Decode(r); err == nil {
			t.Error("a record is read as an entry")
		}
		if _, err := writer.DecodeRecord(e); err == nil {
			t.Error("an entry is read as a record")
		}
	}
}

var record = store.Record{At: store.Position{Epoch: 1<<63 + 1}, Labels: []keying.Label{{1}, {2}}, Soft: true, All: true}

func TestRecordRoundTrip(t *testing.T) {
	for _, r := range []store.Record{{}, record, {Soft: true}, {All: true}, {Labels: make([]keying.Label, store.MaxLabels)}} {
		b, err := secret.EncodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := secret.DecodeRecord(b)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(r) {
			t.Errorf("%v comes back as %v, %v", r, got, err)
		}
	}
	if _, err := secret.EncodeRecord(store.Record{Labels: make([]keying.Label, store.MaxLabels+1)}); err == nil {
		t.Error("a record of too many labels is encoded")
	}
}

// A few bytes that claim to be gigabytes, or nested without end, cost nothing.
func TestLyingLengthsAreCheap(t *testing.T) {
	bombs := map[string][]byte{"depth": bytes.Repeat([]byte{0x91}, 12<<20)}
	for _, head := range []string{"\xdd\xff\xff\xff\xff", "\x9f\x01\xc6\xff\xff\xff\xff", "\x9f\x01\xdf\xff\xff\xff\xff", "\x95\x01\x00\x00\xdd\x7f\xff\xff\xff"} {
		bombs[fmt.Sprintf("%x", head)] = sealed([]byte(head))
	}
	for name, b := range bombs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := store.Codec{}.Decode(b)
		_, err2 := store.Codec{}.DecodeRecord(b)
		runtime.ReadMemStats(&after)
		if err == nil || err2 == nil {
			t.Errorf("%s is read", name)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
			t.Errorf("%s costs %d bytes", name, n)
		}
	}
}
