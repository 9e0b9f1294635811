// Package keying has what users write to say which requests share an answer: [Query] and [User]. It also has what stores see of
// that: [Key] and [Label].
package keying

import (
	"crypto/sha256"
	"encoding/base64"
)

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
