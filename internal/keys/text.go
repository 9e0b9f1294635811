package keys

import (
	"hash/maphash"
	"net/http"
	"slices"
	"sync"

	"github.com/larder-go/cache/keying"
)

// A Text is what selects an answer, spelt out: the length-prefixed fields whose digest is the [Key]. Equal texts of one
// process have equal keys and different texts different ones, so memory that has kept the text of an answer knows it again
// without a digest. It is made by [Scheme.Text] or [Namer.Text], for one goroutine, until [Text.Free].
type Text struct {
	digester
	macs  *sync.Pool
	query string // as it came, where nobody has looked yet whether it can be read in one way only
	order []byte // the query in a fixed order, where it does not count as it stands
}

var textPool = sync.Pool{New: func() any { return &Text{digester: digester{buf: make([]byte, 0, 512)}} }}

func newText(macs *sync.Pool) *Text {
	t := textPool.Get().(*Text)
	t.buf, t.macs = t.buf[:0], macs
	return t
}

// seed is this process' own: nobody outside can make texts whose hashes meet.
var seed = maphash.MakeSeed()

// What a text has beside the fields that every one has.
const (
	secure byte = 1 << iota // over TLS
	bareQuery
	rawPath
	otherTarget
	hasUser
)

// Text spells out what selects the answer to a GET or HEAD request that matched the route pattern, for the user if one is
// given, and by what the function of By says of it; see [Scheme.Key]. An error means that the request cannot be keyed and must not be cached. The request is not
// changed, and what is made of it holds nothing of it after Free.
func (s *Scheme) Text(r *http.Request, pattern, user, by string) (*Text, error) {
	u := r.URL
	if u.Opaque != "" {
		return nil, errTarget
	}
	if len(r.RequestURI)+len(u.Path)+len(u.RawPath)+len(u.RawQuery)+len(user)+len(r.Host) > 4*MaxInput || len(by) > MaxBy {
		return nil, ErrTooLarge // before it is copied
	}
	t := newText(s.macs)
	raw := s.Query.Raw()
	if raw {
		t.query = u.RawQuery
	} else if err := checkQuery(u.RawQuery); err == nil {
		t.order = appendCanonical(t.order[:0], u.RawQuery, s.Query.Selects)
	} else {
		t.Free()
		return nil, err
	}
	target, marks := targetPath(r), marksOf(r, user)
	if target == u.Path { // as it mostly is
		marks &^= otherTarget
	}
	if !raw {
		marks &^= bareQuery
	}
	t.buf = append(append(t.buf, s.prefix...), marks)
	t.text(pattern)
	t.text(r.Host)
	t.text(u.Path) // with RawPath it tells apart what EscapedPath would
	if raw {
		t.text(u.RawQuery)
	} else {
		t.count(len(t.order))
		t.buf = append(t.buf, t.order...)
	}
	if marks&(rawPath|otherTarget|hasUser) != 0 {
		t.optional(marks, u.RawPath, target, user)
	}
	if s.By != "" {
		t.text(by)
	}
	for _, name := range s.Headers {
		t.values(r.Header[name])
	}
	if len(s.Cookies) > 0 {
		s.cookies(&t.digester, r.Header["Cookie"])
	}
	if len(t.buf) > MaxInput {
		t.Free()
		return nil, ErrTooLarge
	}
	return t, nil
}

func marksOf(r *http.Request, user string) byte {
	marks := otherTarget
	if r.TLS != nil {
		marks |= secure
	}
	if r.URL.ForceQuery {
		marks |= bareQuery
	}
	if r.URL.RawPath != "" { // to be seen even where it is no encoding of the path
		marks |= rawPath
	}
	if user != "" {
		marks |= hasUser
	}
	return marks
}

func (t *Text) optional(marks byte, raw, target, user string) {
	if marks&rawPath != 0 {
		t.text(raw)
	}
	if marks&otherTarget != 0 {
		t.text(target)
	}
	if marks&hasUser != 0 {
		t.text(user)
	}
}

// constant is what all texts of the scheme begin with: its realm, the names of what selects and, where keys are HMACs, what
// tells the secret from others. Where a function selects, texts have a field more, so they begin in another way.
func (s *Scheme) constant() []byte {
	domain := "request 2"
	if s.By != "" {
		domain = "request 2 by"
	}
	d := newDigester(domain)
	defer d.free()
	if s.By != "" {
		d.text(s.By)
	}
	d.text(s.Realm)
	for _, names := range [...][]string{s.Headers, s.Cookies} {
		d.count(len(names))
		for _, name := range names {
			d.text(name)
		}
	}
	d.text(tagOf(s.macs))
	return slices.Clone(d.buf)
}

// tagOf tells texts that are hashed under one secret from those of others; it is empty without a secret.
func tagOf(macs *sync.Pool) string {
	if macs == nil {
		return ""
	}
	mac := newDigester("secret").key(macs)
	return string(mac[:8])
}

// Key returns the digest of the text. An error means that the request cannot be keyed.
func (t *Text) Key() (keying.Key, error) {
	if err := checkQuery(t.query); err != nil {
		return keying.Key{}, err
	}
	return t.sum256(t.macs), nil
}

// Hash returns a hash of the text, good for this process alone.
func (t *Text) Hash() uint64 { return maphash.Bytes(seed, t.buf) }

// Bytes returns the text itself. It is the Text's own and must not be changed; it is good until Free.
func (t *Text) Bytes() []byte { return t.buf }

// Free gives the text's memory back. The text must not be used any more.
func (t *Text) Free() {
	t.macs, t.query = nil, "" // a pool must not keep a request's memory
	if cap(t.buf) <= MaxInput+1024 && cap(t.order) <= MaxInput {
		textPool.Put(t)
	}
}
