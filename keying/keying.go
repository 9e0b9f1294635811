// Package keying says which requests share a response.
//
// A policy has a [Query], which says which parameters select the response, and for per-user routes a [User], which says whose it is. Stores
// see only digests of that: a [Key] for each response, and a [Label] for everything that a purge can name.
//
// [SplitPattern], [NormalizePattern] and [Expand] are for adapters of routers. They read route patterns in the spelling of any router.
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

// A Query says which query parameters select the response. The zero Query uses the raw query as it is: nothing is reordered, decoded or
// dropped. With [Only] and [Except] parameters are sorted by name, those with the same name stay in their order, and the handler does not
// see those that do not select. A Query is immutable, and safe for concurrent use.
type Query struct {
	mode  queryMode
	names []string
}

// A queryMode says what the names of a Query mean.
type queryMode uint8

const (
	rawQuery queryMode = iota
	onlyNames
	exceptNames
)

// Only returns a Query in which only the named parameters select. A name that ends in "*" stands for all names with that prefix. Only()
// ignores the whole query. Names are compared decoded, and are case-sensitive. The slice is copied.
func Only(names ...string) Query { return Query{onlyNames, slices.Clone(names)} }

// Except returns a Query in which all parameters but the named ones select. A name that ends in "*" stands for all names with that
// prefix, as in Except("utm_*"). The slice is copied.
func Except(names ...string) Query { return Query{exceptNames, slices.Clone(names)} }

// Raw reports whether the raw query selects, as it does with the zero Query.
func (q Query) Raw() bool { return q.mode == rawQuery }

// Names returns the names given to [Only] (only is true) or [Except]. The caller must not change the slice.
func (q Query) Names() (names []string, only bool) { return q.names, q.mode == onlyNames }

// Selects reports whether the parameter with this decoded name selects. If the Query is Raw, each does.
func (q Query) Selects(name string) bool {
	return slices.ContainsFunc(q.names, func(pattern string) bool {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			return strings.HasPrefix(name, prefix)
		}
		return name == pattern
	}) == (q.mode == onlyNames)
}

// A User says who makes a request. If it returns false, or an empty id, the user is unknown: then nothing is stored, and nothing is served
// from the cache. It is called once for each request, by many goroutines at once, and must not change the request.
//
// The id must come from authentication. Never take it from a header that any client can send.
type User func(r *http.Request) (id string, ok bool)

// FromContext returns a User that reads the id which cache.WithUser put into the request's context.
func FromContext() User {
	return func(r *http.Request) (string, bool) { return user.Of(r.Context()) }
}

// Cookie returns a User that passes the named cookie's value to lookup, which finds the user, in a session store for example. The client
// can send any value, so lookup must verify it. It is called by many goroutines at once. A request without the cookie, or with two of
// them, has no user.
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

// A Key is the SHA-256 digest of everything that selects a response, or its HMAC-SHA256 if the cache has a secret. Keys are comparable, and
// can be keys of a map. The zero Key belongs to no request.
type Key [sha256.Size]byte

// String returns the key in base64url without padding: 43 characters.
func (k Key) String() string { return base64.RawURLEncoding.EncodeToString(k[:]) }

// AppendText appends what String returns, and implements encoding.TextAppender. The error is always nil.
func (k Key) AppendText(b []byte) ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(b, k[:]), nil
}

// A Label is the digest of something that a purge can name: a tag, a route, a URL or a user. Entries and purge records have digests only,
// so that no name, URL or user id leaves the process. It is the first 128 bits of an SHA-256, or of an HMAC-SHA256 if the cache has a
// secret.
type Label [16]byte
