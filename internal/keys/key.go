// Package keys says which answer belongs to which request: it turns a request into a [keying.Key] and makes the view
// of the request that a handler may see when its answer is shared under that key.
//
//	scheme := &keys.Scheme{Realm: "shared-global", Headers: []string{"Accept-Language"}}
//	key, err := scheme.Key(r, "GET /countries", "", "")
//
// The rule behind it is "visible ⇒ keyed": what the handler of a shared answer can see is in the key, and what is
// not in the key it cannot see.
package keys

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"

	"github.com/larder-go/cache/keying"
)

// version is part of every digest: an answer kept under another layout of the key is never found.
const version = 1

// digester collects length-prefixed fields and hashes them at once. Length prefixes make the encoding of a list of
// fields unambiguous, whatever bytes are in them.
type digester struct {
	buf []byte
	sum [sha256.Size]byte
}

var digesters = sync.Pool{New: func() any { return &digester{buf: make([]byte, 0, 1024)} }}

func newDigester(domain string) *digester {
	d := digesters.Get().(*digester)
	d.buf = append(d.buf[:0], version)
	d.text(domain)
	return d
}

func (d *digester) free() {
	if cap(d.buf) <= MaxInput+1024 {
		digesters.Put(d)
	}
}

func (d *digester) text(s string) {
	d.count(len(s))
	d.buf = append(d.buf, s...)
}

// joined adds one text that is given in parts.
func (d *digester) joined(parts []string) {
	n := 0
	for _, s := range parts {
		n += len(s)
	}
	d.count(n)
	for _, s := range parts {
		d.buf = append(d.buf, s...)
	}
}

func (d *digester) count(n int) { d.buf = binary.AppendUvarint(d.buf, uint64(n)) }

func (d *digester) flag(on bool) {
	if on {
		d.count(1)
	} else {
		d.count(0)
	}
}

// key hashes what was collected, with the secret's HMAC where there is one, and gives the digester back.
func (d *digester) key(macs *sync.Pool) keying.Key {
	defer d.free()
	return d.sum256(macs)
}

func (d *digester) sum256(macs *sync.Pool) keying.Key {
	if macs == nil {
		return sha256.Sum256(d.buf)
	}
	mac := macs.Get().(hash.Hash)
	mac.Reset()
	mac.Write(d.buf)
	mac.Sum(d.sum[:0])
	macs.Put(mac)
	return d.sum
}

// newMACs returns a pool of HMAC states, or nil without a secret: setting one up costs more than using it.
func newMACs(secret []byte) *sync.Pool {
	if len(secret) == 0 {
		return nil
	}
	secret = append([]byte(nil), secret...)
	return &sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}
}

// A Namer makes the keys of values that are no HTTP answers. It is safe for concurrent use; the zero Namer has no secret.
type Namer struct {
	macs *sync.Pool
	tag  string
}

// NewNamer returns a Namer whose keys are HMACs under the secret, or plain digests if it is empty. The secret is copied.
func NewNamer(secret []byte) Namer {
	macs := newMACs(secret)
	return Namer{macs, tagOf(macs)}
}

// Text spells out what selects an id's value: a realm, a name, and one user if one is given.
func (n Namer) Text(realm, name, id, user string) *Text {
	t := newText(n.macs)
	t.buf = append(t.buf, version)
	t.text("value 2")
	t.text(realm)
	t.text(name)
	t.text(id)
	t.text(user)
	t.text(n.tag)
	return t
}

// Key returns the key of an id's value: in a realm, under a name, and for one user if one is given.
func (n Namer) Key(realm, name, id, user string) keying.Key {
	t := n.Text(realm, name, id, user)
	defer t.Free()
	key, _ := t.Key() // without a query there is nothing to refuse
	return key
}
