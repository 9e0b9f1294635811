package keys

import (
	"errors"
	"net/http"
	"net/textproto"
	"strings"
	"sync"

	"github.com/larder-go/cache/keying"
)

// Limits on what may enter a key. Beyond them a request has no key and goes to its handler.
const (
	MaxInput  = 16 << 10 // bytes of everything that is hashed
	MaxParams = 128      // query parameters
	MaxBy     = 1 << 10  // bytes of what a function selects by
)

// ErrTooLarge is returned for a request whose key would be made of more than [MaxInput] bytes, [MaxParams] parameters
// or [MaxBy] bytes of a function's text.
var ErrTooLarge = errors.New("keying: the request exceeds the limits of a key")

// errTarget marks a target without a path, as in "GET mailto:x HTTP/1.1"; such a request is never kept.
var errTarget = errors.New("keying: the request's target is no path")

// A Scheme says what selects an answer. It is read-only after the first use and safe for concurrent use; [Scheme.Compile]
// must have been called.
type Scheme struct {
	Realm      string       // what must never mix: the class
	Headers    []string     // canonical names of the headers that select
	Cookies    []string     // names of the cookies that select
	Query      keying.Query // zero: the raw query
	Pass       []string     // canonical names of headers that are visible although they select nothing
	TrustProxy bool         // X-Forwarded-Proto and -Host select, and are visible
	Private    bool         // the answer is for one user, whose handler sees the whole request
	Open       bool         // the handler sees the whole request, and says itself what its answer varies by
	By         string       // what the function is called whose text selects, too; "": there is none
	Secret     []byte       // not empty: keys are HMACs

	macs   *sync.Pool
	prefix []byte // of every text: what is the same in all of them
}

// Compile prepares the scheme for use and returns it.
func (s *Scheme) Compile() *Scheme {
	if s.TrustProxy {
		s.Headers = append(s.Headers[:len(s.Headers):len(s.Headers)], "X-Forwarded-Proto", "X-Forwarded-Host")
	}
	s.macs = newMACs(s.Secret)
	s.prefix = s.constant()
	return s
}

// Key returns the key of a GET or HEAD request that matched the route pattern, for the user if one is given, and by what the
// function of By says of it. Both methods have the same key. The fields are hashed as they are, length-prefixed and counted: nothing is folded, cleaned
// or reordered that an app could tell apart. What selects is named too, so that a policy that was changed does not find
// what was kept under the old one. An error means that the request cannot be keyed and must not be cached. The request is
// not changed.
func (s *Scheme) Key(r *http.Request, pattern, user, by string) (keying.Key, error) {
	t, err := s.Text(r, pattern, user, by)
	if err != nil {
		return keying.Key{}, err
	}
	defer t.Free()
	return t.Key()
}

// Selects returns what all keys of the scheme have in common, and keys of schemes with another one never.
func (s *Scheme) Selects() string { return string(s.prefix) }

func (d *digester) values(values []string) {
	d.count(len(values))
	for _, v := range values {
		d.text(v)
	}
}

// cookies adds the selecting cookies. Every occurrence counts, in the order sent.
func (s *Scheme) cookies(d *digester, lines []string) {
	for _, name := range s.Cookies {
		n := 0
		eachCookie(lines, func(got, _ string) {
			if got == name {
				n++
			}
		})
		d.count(n)
		eachCookie(lines, func(got, text string) {
			if got == name {
				d.text(text)
			}
		})
	}
}

// eachCookie calls f with every cookie of the lines and its text as sent, "name=value".
func eachCookie(lines []string, f func(name, text string)) {
	for _, line := range lines {
		for text := range strings.SplitSeq(line, ";") {
			text = textproto.TrimString(text)
			name, _, _ := strings.Cut(text, "=")
			if name = textproto.TrimString(name); name != "" {
				f(name, text)
			}
		}
	}
}

// Protocol returns "https" or "http", as the connection says.
func Protocol(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
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
