package store_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/storetest"
	"github.com/vmihailenco/msgpack/v5"
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

// The seal is the plain HMAC-SHA256 of what stands before it, each time a codec is used.
func TestSealIsAnHMAC(t *testing.T) {
	for _, body := range []string{"one", "two", "one"} {
		b, err := secret.Encode(storetest.Entry(storetest.Key("k"), body))
		if err != nil {
			t.Fatal(err)
		}
		at := len(b) - sha256.Size
		mac := hmac.New(sha256.New, []byte("secret"))
		mac.Write(b[:at-2])
		if want := mac.Sum([]byte{0xc4, sha256.Size}); !bytes.Equal(b[at-2:], want) {
			t.Errorf("the seal is %x; want %x", b[at-2:], want)
		}
	}
}

func TestCodecKeepsItsSecret(t *testing.T) {
	mine := []byte("secret")
	c := store.NewCodec(mine)
	copy(mine, "public")
	b, err := c.Encode(storetest.Entry(storetest.Key("k"), "body"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := secret.Decode(b); err != nil {
		t.Errorf("after the caller changed his secret: %v", err)
	}
	if store.NewCodec(nil) != (store.Codec{}) {
		t.Error("an empty secret makes no zero Codec")
	}
}

func TestCodecIsForManyGoroutines(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				e := storetest.Entry(storetest.Key("k"), fmt.Sprint(g, i))
				b, err := secret.Encode(e)
				if err != nil {
					t.Error(err)
					return
				}
				if back, err := secret.Decode(b); err != nil || !storetest.Equal(back, e) {
					t.Errorf("%d, %d comes back as %+v, %v", g, i, back, err)
				}
			}
		})
	}
	wg.Wait()
}

// libraryEntry writes the entry's schema with the msgpack library, without its seal, and checks nothing.
func libraryEntry(e *store.Entry) []byte {
	var buf bytes.Buffer
	enc := msgpack.NewEncoder(&buf)
	must(enc.EncodeArrayLen(18), enc.EncodeUint(3), enc.EncodeBytes(e.Key[:]))
	for _, n := range []uint64{
		e.At.Epoch, e.At.Time, e.At.Seq, uint64(e.Status), uint64(e.Stored.UnixMilli()), uint64(e.Fresh),
		uint64(e.WhileRevalidate), uint64(e.IfError), uint64(e.IfValidated), uint64(e.Cost), uint64(e.Aged),
	} {
		must(enc.EncodeUint(n))
	}
	libraryFields(enc, e.Header.Fields())
	libraryFields(enc, e.Added)
	libraryLabels(enc, e.Labels)
	must(enc.EncodeBytes(append([]byte{}, e.Body...)))
	return buf.Bytes()
}

func libraryFields(enc *msgpack.Encoder, fs []store.Field) {
	must(enc.EncodeArrayLen(len(fs)))
	for _, f := range fs {
		must(enc.EncodeArrayLen(1+len(f.Values)), enc.EncodeString(f.Name))
		for _, v := range f.Values {
			must(enc.EncodeString(v))
		}
	}
}

func libraryLabels(enc *msgpack.Encoder, labels []keying.Label) {
	must(enc.EncodeArrayLen(len(labels)))
	for _, l := range labels {
		must(enc.EncodeBytes(l[:]))
	}
}

func must(errs ...error) {
	for _, err := range errs {
		if err != nil {
			panic(err)
		}
	}
}

// boundaries are entries on both sides of every length at which msgpack changes its form, and those that are as large as
// an entry may be.
func boundaries() map[string]*store.Entry {
	at := time.UnixMilli(1)
	entries := map[string]*store.Entry{
		"bare": {Stored: at}, "page": page(1 << 10), "full": storetest.Entry(storetest.Key("k"), "body"),
		"value": storetest.Entry(storetest.Key("v"), strings.Repeat("v", 1<<10)),
		"lines": {Stored: at, Header: store.MakeHeader(store.Field{Name: "X", Values: make([]string, 1024)})},
		"both":  {Stored: at, Header: store.MakeHeader(slicesOf(32)...), Added: slicesOf(32)},
	}
	entries["value"].Status = 0
	for _, n := range []uint64{0, 1, 127, 128, 255, 256, math.MaxUint16, 1 << 16, math.MaxUint32, 1 << 32, math.MaxInt64} {
		e := &store.Entry{At: store.Position{Epoch: n, Time: n, Seq: 2*n + 1}, Stored: time.UnixMilli(int64(n / 2)), Fresh: time.Duration(n / 2)}
		e.IfError, e.WhileRevalidate, e.IfValidated, e.Cost = e.Fresh, e.Fresh, e.Fresh, time.Duration(n)
		entries[fmt.Sprint("number ", n)] = e
	}
	for _, n := range []int{0, 1, 31, 32, 255, 256, store.MaxFieldBytes - 2} {
		entries[fmt.Sprint("text ", n)] = &store.Entry{Stored: at, Added: []store.Field{{Name: "X", Values: []string{strings.Repeat("v", n)}}}}
	}
	for _, n := range []int{14, 15, 16, 63, 64} {
		entries[fmt.Sprint("fields ", n)] = &store.Entry{Stored: at, Header: store.MakeHeader(slicesOf(n)...)}
		lines := make([]string, n)
		entries[fmt.Sprint("lines ", n)] = &store.Entry{Stored: at, Header: store.MakeHeader(store.Field{Name: "X", Values: lines}, store.Field{Name: "Y"})}
	}
	for _, n := range []int{15, 16, store.MaxLabels} {
		entries[fmt.Sprint("labels ", n)] = &store.Entry{Stored: at, Labels: make([]keying.Label, n)}
	}
	for _, n := range []int{255, 256, math.MaxUint16, 1 << 16} {
		entries[fmt.Sprint("body ", n)] = &store.Entry{Stored: at, Body: make([]byte, n)}
	}
	return entries
}

func TestEntryIsWrittenAsTheLibraryWrites(t *testing.T) {
	for name, e := range boundaries() {
		got, err := store.Codec{}.Encode(e)
		if want := sealed(libraryEntry(e)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: Encode = %.200x, %v; want %.200x", name, got, err, want)
		}
		back, err := store.Codec{}.Decode(got)
		if err != nil || !storetest.Equal(back, e) {
			t.Errorf("%s comes back as %.300s, %v", name, fmt.Sprintf("%+v", back), err)
		}
	}
}

func TestTheLibraryReadsEntries(t *testing.T) {
	for name, e := range boundaries() {
		for kind, c := range codecs {
			b, err := c.Encode(e)
			if err != nil {
				t.Fatal(err)
			}
			var list []any
			if err := msgpack.Unmarshal(b, &list); err != nil || len(list) != 18 || !bytes.Equal(list[16].([]byte), e.Body) {
				t.Errorf("%s, %s: the library reads %d elements, %v", kind, name, len(list), err)
			}
		}
	}
}

func TestRecordIsWrittenAsTheLibraryWrites(t *testing.T) {
	for _, n := range []int{0, 15, 16, store.MaxLabels} {
		r := store.Record{At: store.Position{Epoch: 1 << n}, Labels: make([]keying.Label, n), Soft: true}
		var buf bytes.Buffer
		enc := msgpack.NewEncoder(&buf)
		must(enc.EncodeArrayLen(5), enc.EncodeUint(1), enc.EncodeUint(r.At.Epoch), enc.EncodeUint(1))
		libraryLabels(enc, r.Labels)
		if got, err := (store.Codec{}).EncodeRecord(r); err != nil || !bytes.Equal(got, sealed(buf.Bytes())) {
			t.Errorf("EncodeRecord = %x, %v; want %x", got, err, sealed(buf.Bytes()))
		}
	}
}

// A right seal makes nothing true: what an entry must not have is refused though it is sealed.
func TestSealedLiesAreRefused(t *testing.T) {
	at := time.UnixMilli(1)
	lies := map[string]*store.Entry{
		"many lines":        {Stored: at, Header: store.MakeHeader(store.Field{Name: "X", Values: make([]string, 1000)}), Added: []store.Field{{Name: "X", Values: make([]string, 25)}}},
		"many fields":       {Stored: at, Header: store.MakeHeader(slicesOf(65)...)},
		"fields of both":    {Stored: at, Header: store.MakeHeader(slicesOf(40)...), Added: slicesOf(25)},
		"much header":       {Stored: at, Header: store.MakeHeader(store.Field{Name: "X", Values: []string{strings.Repeat("x", store.MaxFieldBytes-1)}})},
		"a long text":       {Stored: at, Header: store.MakeHeader(store.Field{Name: "X", Values: []string{strings.Repeat("x", store.MaxFieldBytes+1)}})},
		"no name":           {Stored: at, Added: []store.Field{{Values: []string{"x"}}}},
		"a line break":      {Stored: at, Added: []store.Field{{Name: "X", Values: []string{"aaaaaaaa\r\nSet-Cookie: x"}}}},
		"a DEL":             {Stored: at, Added: []store.Field{{Name: "X", Values: []string{"aaaaaaaaaaaa\x7f"}}}},
		"a name with space": {Stored: at, Added: []store.Field{{Name: "Content-Type ", Values: []string{"x"}}}},
		"many labels":       {Stored: at, Labels: make([]keying.Label, store.MaxLabels+1)},
		"status 101":        {Stored: at, Status: 101}, "status 2^15": {Stored: at, Status: 1 << 15},
		"negative": {Stored: at, Fresh: -1}, "before 1970": {Stored: time.UnixMilli(-1)}, "overflow": {Stored: at, Fresh: math.MaxInt64, IfError: 1},
		"large body": {Stored: at, Body: make([]byte, store.MaxEncoded+1)},
	}
	for name, e := range lies {
		if _, err := (store.Codec{}).Decode(sealed(libraryEntry(e))); err == nil {
			t.Errorf("an entry with %s is read", name)
		}
	}
	whole := libraryEntry(storetest.Entry(storetest.Key("k"), "body"))
	for n := range whole {
		if _, err := (store.Codec{}).Decode(sealed(whole[:n])); err == nil {
			t.Errorf("an entry cut off after %d bytes is read", n)
		}
	}
	if _, err := (store.Codec{}).Decode(sealed(append(whole, 0))); err == nil {
		t.Error("an entry with a byte behind it is read")
	}
}

// All lines are of one slice, but nobody can write into another's.
func TestAppendingToOneFieldLeavesTheOthers(t *testing.T) {
	header := slicesOf(5)
	header[2].Values = nil
	want := &store.Entry{Stored: time.UnixMilli(1), Header: store.MakeHeader(header...), Added: slicesOf(5)}
	want.Added[0].Values = nil
	b, err := store.Codec{}.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := store.Codec{}.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(got.Header.Fields(), store.Field{Name: "Y"})
	_ = append(got.Added, store.Field{Name: "Y"})
	for _, fs := range [][]store.Field{got.Header.Fields(), got.Added} {
		for i := range fs {
			_ = append(fs[i].Values, "theirs")
		}
	}
	if !storetest.Equal(got, want) {
		t.Errorf("after appending the entry is %+v; want %+v", got, want)
	}
}
