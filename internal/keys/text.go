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
	"errors"
	"hash"
	"hash/maphash"
	"net/http"
	"net/url"
	"slices"
	"strings"
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
	raw := !s.sorted
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

// targetPath is the path of the request line. It differs from the URL's where a prefix was stripped on the way in, and
// a handler can see it: what is mounted under "/a" must not answer for "/b".
func targetPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") {
		return r.URL.EscapedPath() // absolute form, or a request that no server has read
	}
	return path
}

// errQuery marks a query that net/url and other parsers read differently; such a request is never kept.
var errQuery = errors.New("keying: the query cannot be read in one way only")

// effective returns the query that selects the answer: raw itself, or what the rules leave of it, in a fixed order.
func effective(q keying.Query, raw string) (string, error) {
	if err := checkQuery(raw); err != nil || raw == "" || q.Raw() {
		return raw, err
	}
	return canonical(raw, q.Selects), nil
}

// checkQuery refuses what parsers disagree about: ";" as a separator, broken escapes, NUL, too many parameters.
func checkQuery(raw string) error {
	params := 1
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '&':
			params++
		case c == ';' || c < 0x20 || c == 0x7f:
			return errQuery
		case c == '%':
			if i+2 >= len(raw) || !isHex(raw[i+1]) || !isHex(raw[i+2]) || raw[i+1:i+3] == "00" {
				return errQuery
			}
		}
	}
	if params > MaxParams {
		return ErrTooLarge
	}
	return nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// canonical is what appendCanonical makes of the query.
func canonical(raw string, keeps func(name string) bool) string {
	if isCanonical(raw, keeps) { // as most are
		return raw
	}
	return string(appendCanonical(nil, raw, keeps))
}

// parameter is one of a query, as the client wrote it, with its name decoded.
type parameter struct{ name, text string }

// fewParameters is how many of them are put in order without a place on the heap.
const fewParameters = 16

// appendCanonical appends the pairs whose name passes, sorted stably by decoded name. The pairs themselves stay as the
// client wrote them: an app can tell "a" from "a=" and "%41" from "A".
func appendCanonical(to []byte, raw string, keeps func(name string) bool) []byte {
	if isCanonical(raw, keeps) {
		return append(to, raw...)
	}
	var few [fewParameters]parameter
	kept := few[:0]
	for text := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(text, "=")
		name, err := url.QueryUnescape(name)
		if text != "" && err == nil && keeps(name) {
			kept = append(kept, parameter{name, text})
		}
	}
	slices.SortStableFunc(kept, func(a, b parameter) int { return strings.Compare(a.name, b.name) })
	for i, p := range kept {
		if i > 0 {
			to = append(to, '&')
		}
		to = append(to, p.text...)
	}
	return to
}

// isCanonical reports whether the query is what canonical would make of it, as far as that shows without decoding.
func isCanonical(raw string, keeps func(name string) bool) bool {
	for last := ""; raw != ""; {
		text, rest, more := strings.Cut(raw, "&")
		name, _, _ := strings.Cut(text, "=")
		if text == "" || more && rest == "" || name < last || strings.ContainsAny(name, "%+") || !keeps(name) {
			return false
		}
		last, raw = name, rest
	}
	return true
}
