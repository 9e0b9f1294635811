// Package keying has what users write to say which requests share an answer: [Query] and [User]. It also has what stores see of
// that: [Key] and [Label].
package keying

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/larder-go/cache/internal/user"
)

// Query says which query parameters select an answer. The zero Query takes the raw query as it stands: nothing is
// reordered, decoded or dropped. With [Only] and [Except], parameters are sorted by name (values of one name keep their
// order), and what does not select the answer is hidden from the handler too.
type Query struct {
	mode  queryMode
	names []string
}

type queryMode uint8

const (
	rawQuery queryMode = iota
	onlyNames
	exceptNames
)

// Only returns a Query in which just the named parameters count. A name that ends in "*" stands for every name with
// that prefix. Only() without names ignores the whole query.
func Only(names ...string) Query { return Query{onlyNames, slices.Clone(names)} }

// Except returns a Query in which all parameters but the named ones count. A name that ends in "*" stands for every
// name with that prefix, as in Except("utm_*").
func Except(names ...string) Query { return Query{exceptNames, slices.Clone(names)} }

// Raw reports whether the query counts as it stands.
func (q Query) Raw() bool { return q.mode == rawQuery }

// Names returns the names given to [Only] (only is true) or [Except]. The caller must not change the slice.
func (q Query) Names() (names []string, only bool) { return q.names, q.mode == onlyNames }

// Selects reports whether the parameter of this (decoded) name selects the answer.
func (q Query) Selects(name string) bool {
	return slices.ContainsFunc(q.names, func(pattern string) bool {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			return strings.HasPrefix(name, prefix)
		}
		return name == pattern
	}) == (q.mode == onlyNames)
}

// A User tells who is asking. It returns false, or an empty id, when nobody is known: then nothing is kept and nothing
// is served from a cache. It is called once per request and concurrently, and must rest on what authentication has
// established, never on a header that any client can send.
type User func(r *http.Request) (id string, ok bool)

// FromContext returns a User that reads the id that cache.WithUser put into the request's context.
func FromContext() User {
	return func(r *http.Request) (string, bool) { return user.Of(r.Context()) }
}

// Cookie returns a User that looks up the named cookie's value, in the app's session store for instance. A request with
// no such cookie, or with two of them, has no user. The value is what the client sent: lookup must verify it.
func Cookie(name string, lookup func(ctx context.Context, value string) (id string, ok bool)) User {
	return func(r *http.Request) (string, bool) {
		cookies := r.CookiesNamed(name)
		if len(cookies) != 1 {
			return "", false
		}
		id, ok := lookup(r.Context(), cookies[0].Value)
		return id, ok && id != ""
	}
}

// A Key is the SHA-256 digest of everything that selects an answer, or its HMAC-SHA256 where a secret is set.
// Keys are comparable and may be used as map keys. The zero Key belongs to no request.
type Key [sha256.Size]byte

// String returns the key in unpadded base64url, 43 characters.
func (k Key) String() string { return base64.RawURLEncoding.EncodeToString(k[:]) }

// AppendText appends what String returns, as encoding.TextAppender has it. The error is nil.
func (k Key) AppendText(b []byte) ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(b, k[:]), nil
}

// A Label is the digest of something that a purge can name: a tag, a route, a URL, a user. Entries and purge records
// carry digests, so that no name, URL or user id leaves the process. 128 bits of SHA-256 (HMAC with a secret).
type Label [16]byte
