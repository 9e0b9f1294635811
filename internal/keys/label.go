package keys

import (
	"net/url"
	"strconv"
	"sync"

	"github.com/larder-go/cache/keying"
)

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
