package process

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

// fields are the header fields of every answer beside its Content-Length, spelt as people spell them.
var fields = [...]struct{ name, value string }{
	{"Content-Type", "application/json; charset=utf-8"},
	{"Cache-Control", "public, max-age=3600"},
	{"ETag", `"5f2c-61a8"`},
	{"Last-Modified", "Mon, 02 Nov 2026 08:00:00 GMT"},
}

const (
	kib     = 1 << 10
	prefix  = "/items/"
	pathLen = len(prefix) + 7
	query   = "?page=2&sort=price"
)

// uriOf is a page's request target; its first pathLen bytes are the path.
func uriOf(id int) string { return fmt.Sprintf("%s%07d%s", prefix, id, query) }

// A site is what every contestant serves: pages of one size, each with a body of its own.
type site struct {
	uris   []string // in the order in which they are visited
	size   int
	length string       // the same, as a field's value
	runs   atomic.Int64 // of the handler
}

// newSite returns a site of so many pages of so many bytes. The order of visits is shuffled, the same for all
// contestants, and the targets lie in memory in that order: a server has just parsed its request, too, while what it
// looks for may be anywhere.
func newSite(pages, size int) *site {
	s := &site{size: size, length: strconv.Itoa(size)}
	for _, id := range rand.New(rand.NewPCG(1, 2)).Perm(pages) {
		s.uris = append(s.uris, uriOf(id))
	}
	return s
}

// body makes the page's body, which begins with its path.
func (s *site) body(path string) []byte {
	return []byte(path + strings.Repeat("x", max(0, s.size-len(path))))
}

// ServeHTTP is the handler behind every cache. It is safe for concurrent use.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.runs.Add(1)
	s.setFields(w.Header())
	_, _ = w.Write(s.body(r.URL.Path))
}

// setFields sets all five.
func (s *site) setFields(h http.Header) {
	h.Set("Content-Length", s.length)
	for _, f := range fields {
		h.Set(f.name, f.value)
	}
}
