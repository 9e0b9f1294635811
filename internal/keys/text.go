// Package keys says which response belongs to which request. It turns a request into a [keying.Key], and into the view of the request
// that the handler gets if the response is shared under that key.
//
//	scheme := (&keys.Scheme{Realm: "shared-global", Headers: []string{"Accept-Language"}}).Compile()
//	key, err := scheme.Key(r, "GET /countries", "", "")
//
// Its rule is "visible ⇒ keyed": what the handler of a shared response can see is part of the key, and it cannot see what is not. So no
// response can depend on something that its key does not have.
//
// The package also makes labels, which purges name, and the keys of values that are not HTTP responses.
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

// version is part of every digest. A response that was stored by a version with another layout of keys is never found.
const version = 1

// A digester collects fields and hashes all of them at once. Each field has its length before it. Without that, "ab" and "c" would have
// the digest of "a" and "bc", and a client could choose values that have another request's key.
type digester struct {
	buf []byte
	sum [sha256.Size]byte
}

var digesters = sync.Pool{New: func() any { return &digester{buf: make([]byte, 0, 1024)} }}

// newDigester returns a digester for one purpose. Digests of different domains are never equal. Call key or free when done.
func newDigester(domain string) *digester {
	d := digesters.Get().(*digester)
	d.buf = append(d.buf[:0], version)
	d.text(domain)
	return d
}

// free gives the digester back to the pool, unless it has become too large to be kept.
func (d *digester) free() {
	if cap(d.buf) <= MaxInput+1024 {
		digesters.Put(d)
	}
}

// text adds a field.
func (d *digester) text(s string) {
	d.count(len(s))
	d.buf = append(d.buf, s...)
}

// joined adds one field that is given in parts.
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

// count adds a length, or a number of fields that follow.
func (d *digester) count(n int) { d.buf = binary.AppendUvarint(d.buf, uint64(n)) }

// flag adds a yes or no.
func (d *digester) flag(on bool) {
	if on {
		d.count(1)
	} else {
		d.count(0)
	}
}

// key returns the digest, and frees the digester.
func (d *digester) key(macs *sync.Pool) keying.Key {
	defer d.free()
	return d.sum256(macs)
}

// sum256 returns the digest: the HMAC-SHA256 if there is a secret, or else the SHA-256.
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

// newMACs returns a pool of HMACs, or nil without a secret. They are pooled because setting one up takes longer than using it.
func newMACs(secret []byte) *sync.Pool {
	if len(secret) == 0 {
		return nil
	}
	secret = append([]byte(nil), secret...)
	return &sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}
}

// A Text is everything that selects a response, spelt out: the fields whose digest is the key.
//
// Two texts are equal if and only if their keys are. So memory that remembers the text of an entry can find the entry by it. Comparing
// two texts is much cheaper than computing a digest, which would take most of the time of a hit.
//
// The text of a request consists of these fields, each with its length before it:
//
//	version, domain, [By], Realm, names of Headers and Cookies, tag of the secret   the same for all texts of a scheme; see constant
//	flags                                                                           one byte
//	route pattern, Host, Path, query
//	[RawPath], [target], [user]                                                     if the flags say so
//	[what the function of By returned]
//	lines of each header, with their number
//	occurrences of each cookie, with their number
//
// [Scheme.Text] and [Namer.Text] make one. It belongs to one goroutine until [Text.Free].
type Text struct {
	digester
	macs  *sync.Pool
	query string // the raw query, if it has not been checked yet; Key does that
	order []byte // the query in a fixed order, if the scheme has rules for it
}

var textPool = sync.Pool{New: func() any { return &Text{digester: digester{buf: make([]byte, 0, 512)}} }}

// newText returns an empty text.
func newText(macs *sync.Pool) *Text {
	t := textPool.Get().(*Text)
	t.buf, t.macs = t.buf[:0], macs
	return t
}

// seed is random in each process, so nobody outside can choose texts whose hashes are equal.
var seed = maphash.MakeSeed()

// The flags of a text say which optional fields it has, and what else about the request is only yes or no.
const (
	secure      byte = 1 << iota // the request came over TLS
	bareQuery                    // the URL ends in "?"
	rawPath                      // the URL has a RawPath
	otherTarget                  // the path of the request line is not the URL's
	hasUser                      // the response is for one user
)

// Text spells out what selects the response to a GET or HEAD request. The request has matched the route pattern; user and by are as in
// [Scheme.Key]. An error means that the request has no key: do not cache the response. The request is not changed, and nothing of it is
// held after Free.
func (s *Scheme) Text(r *http.Request, pattern, user, by string) (*Text, error) {
	u := r.URL
	if u.Opaque != "" {
		return nil, errTarget
	}
	if len(r.RequestURI)+len(u.Path)+len(u.RawPath)+len(u.RawQuery)+len(user)+len(r.Host) > 4*MaxInput || len(by) > MaxBy {
		return nil, ErrTooLarge // so that nothing that large is copied
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
	target, flags := targetPath(r), flagsOf(r, user)
	if target == u.Path { // it mostly is
		flags &^= otherTarget
	}
	if !raw {
		flags &^= bareQuery
	}
	t.buf = append(append(t.buf, s.prefix...), flags)
	t.text(pattern)
	t.text(r.Host)
	t.text(u.Path) // together with RawPath, if there is one, it says as much as EscapedPath
	if raw {
		t.text(u.RawQuery)
	} else {
		t.count(len(t.order))
		t.buf = append(t.buf, t.order...)
	}
	if flags&(rawPath|otherTarget|hasUser) != 0 {
		t.optional(flags, u.RawPath, target, user)
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

// flagsOf returns the request's flags. The caller clears those that do not matter.
func flagsOf(r *http.Request, user string) byte {
	flags := otherTarget
	if r.TLS != nil {
		flags |= secure
	}
	if r.URL.ForceQuery {
		flags |= bareQuery
	}
	if r.URL.RawPath != "" { // a handler sees it even if it is no valid encoding of Path
		flags |= rawPath
	}
	if user != "" {
		flags |= hasUser
	}
	return flags
}

// optional adds the fields that most texts do not have. The flags before them say which ones there are.
func (t *Text) optional(flags byte, raw, target, user string) {
	if flags&rawPath != 0 {
		t.text(raw)
	}
	if flags&otherTarget != 0 {
		t.text(target)
	}
	if flags&hasUser != 0 {
		t.text(user)
	}
}

// constant is what all texts of the scheme begin with: its realm, the names of everything that selects, and a tag of the secret. So a
// changed policy does not find what was stored under the old one. With a selecting function texts have one more field, so their domain
// differs.
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

// tagOf returns a tag of the secret, or "" without one. Texts have it because two caches with different secrets may share one memory,
// which compares texts and not keys.
func tagOf(macs *sync.Pool) string {
	if macs == nil {
		return ""
	}
	mac := newDigester("secret").key(macs)
	return string(mac[:8])
}

// Key returns the digest of the text. An error means that the request has no key, because of its query. Text leaves that check to Key: if
// memory has an entry with this very text, the query was checked when the entry was stored.
func (t *Text) Key() (keying.Key, error) {
	if err := checkQuery(t.query); err != nil {
		return keying.Key{}, err
	}
	return t.sum256(t.macs), nil
}

// Hash returns a hash of the text. It has no meaning in another process.
func (t *Text) Hash() uint64 { return maphash.Bytes(seed, t.buf) }

// Bytes returns the bytes of the text. They must not be changed, nor used after Free.
func (t *Text) Bytes() []byte { return t.buf }

// Free gives the text back to a pool. It must not be used any more.
func (t *Text) Free() {
	t.macs, t.query = nil, "" // or the pool would hold the request in memory
	if cap(t.buf) <= MaxInput+1024 && cap(t.order) <= MaxInput {
		textPool.Put(t)
	}
}

// targetPath is the path of the request line. If a layer before the cache has stripped a prefix, it differs from the URL's. The handler
// can see it, so it selects: what is mounted under "/a" must not serve "/b".
func targetPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") {
		return r.URL.EscapedPath() // an absolute URL, or a request that does not come from a server
	}
	return path
}

// How a query selects a response.
//
// By default the query counts as it stands, byte for byte. With rules (keying.Only, keying.Except) some parameters count, in a fixed
// order, and the handler sees only these. Either way all parsers must read the query alike. If a proxy reads other parameters than the
// handler does, somebody can store one page under the URL of another.

// errQuery is the error of a query that parsers read differently. The response to such a request is not stored.
var errQuery = errors.New("keying: the query cannot be read in one way only")

// checkQuery refuses what parsers disagree about: ";", which some take for a separator; invalid escapes; control characters and NUL. It
// also refuses too many parameters.
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

// isHex reports whether the byte is a hexadecimal digit.
func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// appendCanonical appends the parameters whose name passes, sorted by decoded name. Parameters of one name stay in their order, and each
// stays as the client wrote it, because an app can tell "a" from "a=" and "%41" from "A".
//
//	Except("utm_*"):   b=2&utm_source=x&a=1&b=1   →   a=1&b=2&b=1
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

// isCanonical reports whether the query is already in its canonical form. It decodes nothing: a query with an escape in a name does not
// count as canonical, and takes the slow path.
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

// A parameter is a pair of a query as the client wrote it, "name=value", and its decoded name.
type parameter struct{ name, text string }

// fewParameters is how many parameters are sorted on the stack.
const fewParameters = 16
