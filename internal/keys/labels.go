package keys

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/larder-go/cache/keying"
	"golang.org/x/net/idna"
)

// A Namer makes the keys of values that are not HTTP responses. It is safe for concurrent use. The zero Namer has no secret.
type Namer struct {
	macs *sync.Pool
	tag  string
}

// NewNamer returns a Namer whose keys are HMACs with the secret, or digests if it is empty. The secret is copied.
func NewNamer(secret []byte) Namer {
	macs := newMACs(secret)
	return Namer{macs, tagOf(macs)}
}

// Text spells out what selects a value: its realm, its name, its id, and the user, "" for everybody. Free it after use.
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

// Key returns the digest of that Text.
func (n Namer) Key(realm, name, id, user string) keying.Key {
	t := n.Text(realm, name, id, user)
	defer t.Free()
	key, _ := t.Key() // only a query can be wrong, and there is none
	return key
}

// A Labeler makes labels: digests of what a purge can name. Labels of different kinds are never equal, even for one name. The zero
// Labeler has no secret. It is safe for concurrent use.
type Labeler struct{ macs *sync.Pool }

// NewLabeler returns a Labeler whose labels are HMACs with the secret, or digests if it is empty. The secret is copied.
func NewLabeler(secret []byte) Labeler { return Labeler{newMACs(secret)} }

// label returns the label of a name of some kind. The name may be given in parts.
func (l Labeler) label(kind string, name ...string) keying.Label {
	d := newDigester("label")
	d.text(kind)
	d.joined(name)
	key := d.key(l.macs)
	return keying.Label(key[:len(keying.Label{})])
}

// Tag returns the label of a tag, also called a surrogate key.
func (l Labeler) Tag(name string) keying.Label { return l.label("tag", name) }

// User returns the label of what was made for the user.
func (l Labeler) User(id string) keying.Label { return l.label("user", id) }

// Route returns the label of all responses of a route pattern. The method is ignored. "/p/{id}", "/p/:id" and "/p/{id:[0-9]+}" are one
// route, so a purge may use the syntax of any router.
func (l Labeler) Route(pattern string) keying.Label {
	return l.label("route", keying.NormalizePattern(pattern))
}

// Group returns the label of a cache group of an origin (RFC 9875 §2). The origin may be in any spelling; see [Origin]. Its length comes
// before it, so that no group's name can look like a part of the origin.
func (l Labeler) Group(scheme, host, name string) keying.Label {
	scheme, host = Origin(scheme, host)
	return l.label("group", strconv.Itoa(len(scheme)+len("://")+len(host)), ":", scheme, "://", host, name)
}

// Value returns the label of the value that has the id, of those with the name.
func (l Labeler) Value(name, id string) keying.Label {
	return l.label("value", strconv.Itoa(len(name)), ":", name, id)
}

// URL returns the label of a URL. With a host ("https://shop.example/p/1?x=2") it means the URL of that origin, and without ("/p/1?x=2")
// that of any host. All spellings of a URL have one label; see [Path] and [Origin]. The order of different parameters does not matter.
// Userinfo and fragment are ignored.
func (l Labeler) URL(u *url.URL) keying.Label {
	_, label := l.URLs(u, u.Scheme, u.Host)
	return label
}

// URLs returns two labels of a URL's path and query: on any host, and on the given one. An entry has both, so either kind of purge hits
// it. Without a host both are the same.
func (l Labeler) URLs(u *url.URL, scheme, host string) (anywhere, there keying.Label) {
	path, query := Path(u), canonical(normalQuery(u.RawQuery), everyName)
	anywhere = l.label("url", path, "?", query)
	if host == "" {
		return anywhere, anywhere
	}
	scheme, host = Origin(scheme, host)
	return anywhere, l.label("url", scheme, "://", host, path, "?", query)
}

// everyName is the rule under which each parameter of a query counts.
func everyName(string) bool { return true }

// Areas is how many areas a path lies in, each within the one before: of its first segment, its first two, and its first three.
const Areas = 3

// An Area is everything below the first Level segments of a path, on all hosts. A ledger cannot remember any number of purges. If there
// are too many in an area, it remembers one purge of the whole area instead.
//
// Labels that have no path, like tags, lie in areas of Level 0, by their digest. There are 65,536 areas of each level, so different paths may
// share one. Then a purge hits too much, which is safe.
type Area struct {
	Level uint8
	id    uint16
}

// A label of a place is not a digest. Its 16 bytes are:
//
//	0–8     zero. A digest begins like this once in 2^72 times
//	9       areaMark, and the level of the area that is meant; 0 if none is
//	10–15   the ids of the path's areas of level 1, 2 and 3
const (
	areaByte  = 9
	areaMark  = 0x40
	areasFrom = len(keying.Label{}) - 2*Areas
)

// Place returns the label of the place where a path lies. The path must be in the spelling of [Path].
func (l Labeler) Place(path string) (label keying.Label) {
	label[areaByte] = areaMark
	path = cmp.Or(path, "/")
	for level, end := 0, 0; level < Areas; level++ {
		at := areasFrom + 2*level
		if level > 0 && end == len(path) { // there are no more segments: the area of all of them
			copy(label[at:], label[at-2:at])
			continue
		}
		end = segmentEnd(path, end)
		binary.BigEndian.PutUint16(label[at:], l.area(path[:end]))
	}
	return label
}

// segmentEnd returns the end of the segment whose slash is at from.
func segmentEnd(path string, from int) int {
	if from < len(path) {
		if more := strings.IndexByte(path[from+1:], '/'); more >= 0 {
			return from + 1 + more
		}
	}
	return len(path)
}

// area returns the id of the area of a path's beginning. With a secret, the id tells nothing about the path to those who do not know the
// secret. Without one, a quick hash is enough.
func (l Labeler) area(prefix string) uint16 {
	if l.macs != nil {
		key := l.label("area", prefix)
		return binary.BigEndian.Uint16(key[:])
	}
	h := uint32(2166136261) // FNV-1a
	for i := range len(prefix) {
		h = (h ^ uint32(prefix[i])) * 16777619
	}
	return uint16(h>>16) ^ uint16(h)
}

// Within returns the label of a place that means its area of the level.
func Within(l keying.Label, level uint8) keying.Label {
	l[areaByte] = areaMark | min(level, Areas)
	return l
}

// Meant returns the area that a label of a place means. It is false for a place that means none, and for any other label.
func Meant(l keying.Label) (Area, bool) {
	level := l[areaByte] &^ areaMark
	return AreaOf(l, level), IsPlace(l) && 0 < level && level <= Areas
}

// IsPlace reports whether the label is one of a place.
func IsPlace(l keying.Label) bool {
	return [areaByte]byte(l[:areaByte]) == [areaByte]byte{} && l[areaByte]&areaMark != 0
}

// AreaOf returns the area of the level that a label lies in: one of its path for a label of a place, and one by its digest at level 0.
func AreaOf(l keying.Label, level uint8) Area {
	at := 0
	if level > 0 {
		at = areasFrom + 2*int(level-1)
	}
	return Area{level, binary.BigEndian.Uint16(l[min(at, len(l)-2):])}
}

// HasParam reports whether the pattern has a parameter of that name.
func HasParam(pattern, name string) (has bool) {
	keying.Expand(pattern, func(got string) string {
		has = has || got == name
		return ""
	})
	return has
}

// Literal returns how many segments of a route pattern's path come before its first parameter: the level of the area that all its URLs
// lie in. It is at least one and at most Areas.
func Literal(pattern string) (level uint8) {
	_, _, path := keying.SplitPattern(keying.NormalizePattern(pattern))
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if level == Areas || segment == "" || strings.HasPrefix(segment, "{") {
			break
		}
		level++
	}
	return max(level, 1)
}

// Spellings of one URL.
//
// A URL can be written in many ways: "/a%2Db", "/a-b" and "/x/../a-b" are one page to most people. Keys treat them as different, because
// an application can tell them apart. Labels treat them as one: a purge must hit the page however the URL was written, and hitting
// another page, too, does no harm. So labels use the normalization of RFC 3986 §6.2.2 and §6.2.3, and also drop escapes that some layer
// on the way (net/http, for example) may have added.

// Path returns the URL's path in the spelling of labels: escaped only where it must be, with upper-case digits, without dot segments, and
// "/" if it is empty.
func Path(u *url.URL) string {
	path := u.RawPath
	if decoded, err := url.PathUnescape(path); path == "" || err != nil || decoded != u.Path {
		path = u.EscapedPath()
	}
	return withoutDots(cmp.Or(respell(path, bareInPath, unescapedInPath), "/"))
}

// Origin returns the scheme and host of an origin in the spelling of labels. That is in lower case, without the default port of the
// scheme (RFC 3986 §6.2.3), without the dot at the end of a name, and without the zone of an IPv6 address. A name with letters beyond
// ASCII gets the form that clients send (RFC 5891 §4.4): "xn--bcher-kva.example".
func Origin(scheme, host string) (string, string) {
	scheme, host = strings.ToLower(scheme), strings.ToLower(host)
	name, port := host, ""
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		name, port = host[:colon], strings.TrimLeft(host[colon+1:], "0")
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) {
		if ascii, err := idna.Lookup.ToASCII(name); err == nil {
			name = ascii
		}
	}
	name = strings.TrimSuffix(name, ".")
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, _, _ = strings.Cut(strings.TrimSuffix(inner, "]"), "%")
		if address, err := netip.ParseAddr(inner); err == nil {
			name = "[" + address.String() + "]"
		}
	}
	if port == "" || scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		return scheme, name
	}
	return scheme, name + ":" + port
}

// normalQuery returns the query in the spelling of labels. The parameters stay in their order.
func normalQuery(raw string) string { return respell(raw, bareInQuery, unescapedInQuery) }

// respell writes a text in its one normal spelling. bare are the bytes that need no escape, and unescaped are those that mean the same
// with and without one: their escapes are removed. All others are escaped.
func respell(text string, bare, unescaped func(c byte) bool) string {
	if wellSpelt(text, bare) { // most are
		return text
	}
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c, escaped := text[i], escapeAt(text, i)
		if escaped {
			c = unhex(text[i+1])<<4 | unhex(text[i+2])
			i += 2
		}
		if escaped && unescaped(c) || !escaped && (bare(c) || c == '%') {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// wellSpelt reports whether the text has only bytes that need no escape, and no escapes.
func wellSpelt(text string, bare func(c byte) bool) bool {
	for i := range len(text) {
		if !bare(text[i]) {
			return false
		}
	}
	return true
}

// escapeAt reports whether a complete escape begins at byte i.
func escapeAt(text string, i int) bool {
	return text[i] == '%' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2])
}

// unhex is the value of a hexadecimal digit.
func unhex(c byte) byte {
	if c >= 'A' {
		return c&7 + 9
	}
	return c - '0'
}

// unescapedInPath are the bytes that a path's segment may have (RFC 3986 §3.3). The delimiters among them could mean something else when
// escaped, but net/http itself escapes some, so labels treat both as one.
func unescapedInPath(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~!$&'()*+,;=:@", c) >= 0
}

// bareInPath are the bytes that a path may have without an escape.
func bareInPath(c byte) bool { return unescapedInPath(c) || c == '/' }

// unescapedInQuery leaves out the bytes that separate parameters or stand for a space: those mean something else with an escape.
func unescapedInQuery(c byte) bool { return bareInQuery(c) && strings.IndexByte("&=+;", c) < 0 }

// bareInQuery are the bytes that a query may have without an escape.
func bareInQuery(c byte) bool { return bareInPath(c) || c == '?' }

// withoutDots removes dot segments (RFC 3986 §5.2.4), as clients do before they send a request, and as some routers do.
func withoutDots(path string) string {
	if !strings.Contains(path, "/.") || path[0] != '/' {
		return path
	}
	segments := strings.Split(path[1:], "/")
	kept := segments[:0]
	for _, segment := range segments {
		switch {
		case segment == "..":
			kept = kept[:max(len(kept)-1, 0)]
		case segment != ".":
			kept = append(kept, segment)
		}
	}
	if last := path[strings.LastIndexByte(path, '/'):]; last == "/." || last == "/.." {
		kept = append(kept, "")
	}
	return "/" + strings.Join(kept, "/")
}
