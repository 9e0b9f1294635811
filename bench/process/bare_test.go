package process

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/jellydator/ttlcache/v3"
)

// bareAssign is the least that an answer can cost: a handler that has everything ready, assigns its header's slices and
// writes.
func bareAssign(_ testing.TB, s *site) func() visitor {
	p := newPage(s.body(uriOf(0)[:pathLen]))
	return agents(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { p.write(w) }))
}

// bareSet is the handler that everybody writes, with its body ready.
func bareSet(_ testing.TB, s *site) func() visitor {
	body := s.body(uriOf(0)[:pathLen])
	return agents(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", fields[0].value)
		h.Set("Content-Length", s.length)
		h.Set("Cache-Control", fields[1].value)
		h.Set("ETag", fields[2].value)
		h.Set("Last-Modified", fields[3].value)
		_, _ = w.Write(body)
	}))
}

// A page is an answer, ready to be written.
type page struct {
	fields [len(fields) + 1]struct {
		name   string
		values []string
	}
	body []byte
}

func newPage(body []byte) *page {
	p := &page{body: body}
	for i, f := range fields {
		p.fields[i].name, p.fields[i].values = http.CanonicalHeaderKey(f.name), []string{f.value}
	}
	p.fields[len(fields)].name, p.fields[len(fields)].values = "Content-Length", []string{strconv.Itoa(len(body))}
	return p
}

func (p *page) write(w http.ResponseWriter) {
	h := w.Header()
	for i := range p.fields {
		h[p.fields[i].name] = p.fields[i].values
	}
	_, _ = w.Write(p.body)
}

// byHand is the least that somebody would write who caches by hand: one look-up in a ttlcache, by path and query, and the
// write of bareAssign. It knows no method, no header, no Vary, no condition and no freshness but its own.
func byHand(tb testing.TB, s *site) func() visitor {
	pages := ttlcache.New(
		ttlcache.WithTTL[string, *page](time.Hour),
		ttlcache.WithDisableTouchOnHit[string, *page](),
		ttlcache.WithCapacity[string, *page](roomFor(s)),
	)
	tb.Cleanup(pages.DeleteAll)
	return agents(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.URL.Path + "?" + r.URL.RawQuery
		if item := pages.Get(key); item != nil {
			item.Value().write(w)
			return
		}
		s.runs.Add(1)
		p := newPage(s.body(r.URL.Path))
		pages.Set(key, p, ttlcache.DefaultTTL)
		p.write(w)
	}))
}

// roomFor is a bound on entries that holds all of the site, divided into shards or not.
func roomFor(s *site) uint64 { return uint64(len(s.uris)+len(s.uris)/8) + 1000 }
