package rfc9111_test

import (
	"bytes"
	"testing"

	"github.com/larder-go/cache/internal/rfc9111"
)

// FuzzParts: see checkSlice and checkJoin; and any part with any body yields what is right in itself.
func FuzzParts(f *testing.F) {
	f.Add("bytes 4-9/10", "bytes 0-4/10", "bytes=6-8,-1,5-", []byte("0123456789"))
	f.Add("bytes 0-1/*", "bytes */10", "bytes=0-", []byte("01234"))
	f.Add("bytes 9223372036854775806-9223372036854775806/9223372036854775807", "bytes 0-0/1", "bytes=-9223372036854775807", []byte("a"))
	f.Fuzz(func(t *testing.T, first, second, ask string, whole []byte) {
		a, ok := rfc9111.ParseContentRange([]string{first})
		b, ok2 := rfc9111.ParseContentRange([]string{second})
		if again, same := rfc9111.ParseContentRange([]string{a.String()}); ok && (again != a || !same) {
			t.Errorf("%q is %v, and again %v", first, a, again)
		}
		ranges, _ := rfc9111.ParseRange(ask)
		for _, r := range ranges {
			if again, ok := rfc9111.ParseRange(r.String()); !ok || again[0] != r {
				t.Errorf("%q is %v, and again %v", ask, r, again)
			}
			size := int64(len(whole))
			all := rfc9111.Part{Last: size - 1, Complete: size}
			sliced, cut, ok := all.Slice(whole, r)
			if p, has := r.Of(size); has != ok || has && (p != sliced || !p.Fits(cut)) {
				t.Errorf("%v of %d bytes is %v, %v; and sliced %v, %v", r, size, p, has, sliced, ok)
			}
			part, cut, ok := a.Slice(whole, r)
			if ok && (!part.Fits(cut) || part.First < a.First || !bytes.Contains(whole, cut)) || !ok && (cut != nil || part != rfc9111.Part{}) {
				t.Errorf("%v of %v with %q: %v, %q, %v", r, a, whole, part, cut, ok)
			}
			if body, ok := of(whole, a); ok {
				checkSlice(t, whole, a, body, r)
			}
		}
		if r, lacks := a.Missing(); lacks && (!ok || a.Whole() || r.Suffix) {
			t.Errorf("%v lacks %v", a, r)
		}
		aBody, ok := of(whole, a)
		if bBody, ok3 := of(whole, b); ok && ok2 && ok3 {
			checkJoin(t, whole, a, aBody, b, bBody)
		}
		if part, body, ok := rfc9111.Join(a, whole, b, whole); ok && !part.Fits(body) {
			t.Errorf("%v and %v with %q: %v, %q", a, b, whole, part, body)
		}
	})
}

// of is the body of a part of this representation.
func of(whole []byte, p rfc9111.Part) ([]byte, bool) {
	if p.Complete != int64(len(whole)) || p.Complete == 0 {
		return nil, false
	}
	return whole[p.First : p.Last+1], true
}

// checkSlice: a range is cut out of a part just when the part has every byte of it, and then it is those bytes.
func checkSlice(t *testing.T, whole []byte, p rfc9111.Part, body []byte, r rfc9111.Range) {
	size := int64(len(whole))
	first, end := r.First, size
	switch {
	case r.Suffix:
		first = max(size-r.Last, 0)
	case r.Last >= 0 && r.Last < size:
		end = r.Last + 1
	}
	satisfiable := first < end
	part, got, ok := p.Slice(body, r)
	if want := satisfiable && p.First <= first && end <= p.Last+1; ok != want {
		t.Errorf("%v of %v: %v, want %v", r, p, ok, want)
	}
	if ok && (!bytes.Equal(got, whole[first:end]) || part != rfc9111.Part{First: first, Last: end - 1, Complete: size}) {
		t.Errorf("%v of %v is %v, %q", r, p, part, got)
	}
}

// checkJoin: two parts of one representation join just when there is no gap between them; a byte that differs in what
// both have prevents it; and nothing that was given is changed.
func checkJoin(t *testing.T, whole []byte, a rfc9111.Part, aBody []byte, b rfc9111.Part, bBody []byte) {
	before := bytes.Clone(whole)
	first, last := min(a.First, b.First), max(a.Last, b.Last)
	part, body, ok := rfc9111.Join(a, aBody, b, bBody)
	if want := a.First <= b.Last+1 && b.First <= a.Last+1; ok != want {
		t.Errorf("%v and %v: %v, want %v", a, b, ok, want)
	}
	if ok && (!bytes.Equal(body, whole[first:last+1]) || part != rfc9111.Part{First: first, Last: last, Complete: a.Complete}) {
		t.Errorf("%v and %v are %v, %q", a, b, part, body)
	}
	_ = append(body, 'x') // where the caller's other bytes must not be
	if !bytes.Equal(before, whole) {
		t.Errorf("%v and %v: %q has become %q", a, b, before, whole)
	}
	if both := max(a.First, b.First); ok && both <= min(a.Last, b.Last) {
		other := bytes.Clone(bBody)
		other[both-b.First] ^= 1
		if _, _, ok := rfc9111.Join(a, aBody, b, other); ok {
			t.Errorf("%v and %v join, although they differ at %d", a, b, both)
		}
	}
}
