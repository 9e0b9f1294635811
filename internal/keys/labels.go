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

// A Labeler makes labels. The zero Labeler has no secret and is ready to use; it is safe for concurrent use.
type Labeler struct{ macs *sync.Pool }

// NewLabeler returns a Labeler whose labels are HMACs under the secret; with an empty secret they are plain digests.
// The secret is copied.
func NewLabeler(secret []byte) Labeler { return Labeler{newMACs(secret)} }

// label is the label of a name, which may be given in parts.
func (l Labeler) label(kind string, name ...string) keying.Label {
	d := newDigester("label")
	d.text(kind)
	d.joined(name)
	key := d.key(l.macs)
	return keying.Label(key[:len(keying.Label{})])
}

// Tag labels what carries the tag, a surrogate key.
func (l Labeler) Tag(name string) keying.Label { return l.label("tag", name) }

// User labels what was made for the user.
func (l Labeler) User(id string) keying.Label { return l.label("user", id) }

// Route labels every answer of a route pattern. The method is ignored (only GET is kept), and "/p/{id}", "/p/:id" and
// "/p/{id:[0-9]+}" are one route, so that a purge reads the same for every router.
func (l Labeler) Route(pattern string) keying.Label {
	return l.label("route", keying.NormalizePattern(pattern))
}

// Group labels the members of a cache group of an origin (RFC 9875 §2), in whatever spelling; see [Origin].
func (l Labeler) Group(scheme, host, name string) keying.Label {
	scheme, host = Origin(scheme, host)
	return l.label("group", strconv.Itoa(len(scheme)+len("://")+len(host)), ":", scheme, "://", host, name)
}

// Value labels the value of an id among those of a name.
func (l Labeler) Value(name, id string) keying.Label {
	return l.label("value", strconv.Itoa(len(name)), ":", name, id)
}

// URL labels a URL. With a host ("https://shop.example/p/1?x=2") it means that origin's; without ("/p/1?x=2") any
// host's. Spellings of one URL have one label, see [Path] and [Origin]; the order of different parameters does not matter;
// who asks, and a fragment, are ignored.
func (l Labeler) URL(u *url.URL) keying.Label {
	_, label := l.URLs(u, u.Scheme, u.Host)
	return label
}

// URLs labels the path and query of a URL twice: on any host, and on that of an origin, as [Labeler.URL] does. Without a
// host the two are the same.
func (l Labeler) URLs(u *url.URL, scheme, host string) (anywhere, there keying.Label) {
	path, query := Path(u), canonical(normalQuery(u.RawQuery), everyName)
	anywhere = l.label("url", path, "?", query)
	if host == "" {
		return anywhere, anywhere
	}
	scheme, host = Origin(scheme, host)
	return anywhere, l.label("url", scheme, "://", host, path, "?", query)
}

func everyName(string) bool { return true }

// Areas is how many areas a path lies in, each within the one before.
const Areas = 3

// An Area is what lies below the first Level segments of a path, on whatever host: purges that are too many to be
// remembered one by one are remembered as one of their area. Level 0 is no part of a path: labels fall into its areas by
// chance. Areas are few, so that some have things in common that do not belong together.
type Area struct {
	Level uint8
	id    uint16
}

// A label of areas begins with zeros, as no other does but by a chance of 2 to the 72nd, and a byte that says of how many
// segments the area is that is meant; 0 if all are. Their digests follow.
const (
	areaByte  = 9
	areaMark  = 0x40
	areasFrom = len(keying.Label{}) - 2*Areas
)

// Place labels where a path lies: in its areas of one, two and three segments. The path is one of [Path].
func (l Labeler) Place(path string) (label keying.Label) {
	label[areaByte] = areaMark
	path = cmp.Or(path, "/")
	for level, end := 0, 0; level < Areas; level++ {
		at := areasFrom + 2*level
		if level > 0 && end == len(path) { // there are no more segments
			copy(label[at:], label[at-2:at])
			continue
		}
		end = segmentEnd(path, end)
		binary.BigEndian.PutUint16(label[at:], l.area(path[:end]))
	}
	return label
}

// segmentEnd is where the segment ends that begins with the slash at from.
func segmentEnd(path string, from int) int {
	if from < len(path) {
		if more := strings.IndexByte(path[from+1:], '/'); more >= 0 {
			return from + 1 + more
		}
	}
	return len(path)
}

// area is a digest of the beginning of a path, which tells nothing of it to whoever does not know the secret, if there is
// one.
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

// Within returns the label of a place with the level of the area that is meant.
func Within(l keying.Label, level uint8) keying.Label {
	l[areaByte] = areaMark | min(level, Areas)
	return l
}

// Meant returns the area that a label of a place means; of one that means none, and of any other label, it is false.
func Meant(l keying.Label) (Area, bool) {
	level := l[areaByte] &^ areaMark
	return AreaOf(l, level), IsPlace(l) && 0 < level && level <= Areas
}

// IsPlace reports whether the label is one of a place.
func IsPlace(l keying.Label) bool {
	return [areaByte]byte(l[:areaByte]) == [areaByte]byte{} && l[areaByte]&areaMark != 0
}

// AreaOf returns the area of the level: of a label of a place its own, at level 0 any label's by chance.
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

// Literal returns how many segments of a route pattern's path stand before its first parameter, at least one: the level of
// an area that all its URLs lie in, if it has a literal one.
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

// One URL has many spellings. Keys take each for itself, for an app can tell them apart. What is to be forgotten must be
// found however it is written, and to forget more than that does no harm: so labels take for one what RFC 3986 §6.2.2 and
// §6.2.3 do, and escapes that some layer on the way may have written or not, net/http among them.

// Path returns the URL's path in the spelling that labels have: escaped where it must be and nowhere else, with upper-case
// digits, without dots, "/" if it is empty.
func Path(u *url.URL) string {
	path := u.RawPath
	if plain, err := url.PathUnescape(path); path == "" || err != nil || plain != u.Path {
		path = u.EscapedPath()
	}
	return withoutDots(cmp.Or(respell(path, bareInPath, unescapedInPath), "/"))
}

// Origin returns the scheme and host of an origin in the spelling that labels have: in lower case, without the scheme's own
// port (RFC 3986 §6.2.3), the dot of the root of names, and the zone of an address, which is for its host alone. Names of
// other letters than ASCII's are as clients send them (RFC 5891 §4.4): "xn--bcher-kva.example".
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

// normalQuery returns the query in the spelling that labels have. Parameters stay as many as they were, and in their order.
func normalQuery(raw string) string { return respell(raw, bareInQuery, unescapedInQuery) }

// respell writes bytes bare that may stand so, and takes the escapes off those that mean the same without; all others are
// escaped.
func respell(text string, bare, unescaped func(c byte) bool) string {
	if wellSpelt(text, bare) { // as most are
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

func wellSpelt(text string, bare func(c byte) bool) bool {
	for i := range len(text) {
		if !bare(text[i]) {
			return false
		}
	}
	return true
}

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

// What may stand in a segment of a path (RFC 3986 §3.3) means the same with an escape: also the delimiters among it, which
// net/http escapes where it has no spelling of the path.
func unescapedInPath(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~!$&'()*+,;=:@", c) >= 0
}

func bareInPath(c byte) bool { return unescapedInPath(c) || c == '/' }

// In a query some of it separates parameters, or is a space.
func unescapedInQuery(c byte) bool { return bareInQuery(c) && strings.IndexByte("&=+;", c) < 0 }

func bareInQuery(c byte) bool { return bareInPath(c) || c == '?' }

// withoutDots removes dot segments (RFC 3986 §5.2.4): clients do so before they ask, and some routers.
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
