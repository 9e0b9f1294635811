package middleware

import (
	"hash/maphash"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// What a URL's responses vary by is known only from the responses (RFC 9111 §4.1). So the key of the URL, the resource, leads
// either to its only response or to an index. An index is an entry without a status. Its Vary lists sets of request fields
// that responses have named, the newest set first. The key of a response is made of the resource and of the values that its
// request has for the fields of one set:
//
//	resource                          -> index: "accept-language", "accept, accept-language"
//	resource + Accept-Language: de    -> response
//	resource + Accept-Language: fr    -> response
//
// A request is looked up under each set of the index until a stored response may be served.

// maxSets bounds the sets of an index: each costs a lookup.
const maxSets = 4

// indexFor is how long an index lives at least. It is renewed when half of that is over.
const indexFor = 24 * time.Hour

// selected is what a request's passage knows about stored responses in RFC 9111 mode.
type selected struct {
	// The key of the URL, whatever its responses vary by.
	resource keying.Key
	// The index that is stored there, or nil.
	index *store.Entry
	// A stored response is fresh, but not fresh enough for the request.
	fresh bool
	// A stored response that other requests may be served with, but not this one.
	whole *store.Entry
	// Why the handler must run, in RFC 9211's words.
	fwd string
}

// isIndex reports whether the entry is an index rather than a response.
func isIndex(e *store.Entry) bool { return e.Status == 0 }

// sets are what the index lists.
func sets(index *store.Entry) []string {
	if index == nil {
		return nil
	}
	return index.Lines("Vary")
}

// namesOf returns the names in each of the index's sets. They are parsed once.
func namesOf(index *store.Entry) [][]string {
	if known, ok := index.Memo().([][]string); ok {
		return known
	}
	var all [][]string
	size := 0
	for _, set := range sets(index)[:min(len(sets(index)), maxSets)] { // another process may have made it
		names, _ := rfc9111.VaryNames([]string{set})
		all = append(all, names)
		size += 24 + 16*len(names) + len(set)
	}
	index.SetMemo(all, size)
	return all
}

// variantOf is the key of the response that the request selects, among responses that vary by these fields.
func (hr *httpRules) variantOf(p *Passage, r *http.Request, names []string) keying.Key {
	if len(names) == 0 {
		return p.resource
	}
	return hr.rt.scheme.Select(p.resource, names, r, hr.rt.common.selection)
}

// selects reports whether the entry, which another request's run has made, is the response that the request selects.
func (hr *httpRules) selects(p *Passage, r *http.Request, e *store.Entry) bool {
	names, _ := rfc9111.VaryNames(linesOf(e, p.outer, "Vary"))
	key := hr.variantOf(p, r, names)
	return key == e.Key || isPart(r) && partKey(key, r) == e.Key
}

// locate finds the key of the variant. It uses a call of its own, because the fetch's call has its load still ahead.
func (hr *httpRules) locate(f *fetch) {
	call := hr.rt.cache.Call(f.r.Context(), f.p.pattern)
	hr.find(&call, &f.p, f.r, nil)
}

// find looks for the response that the request selects, and makes its key the passage's. A response that it finds but that
// may not be served as it is can be validated.
func (hr *httpRules) find(call *readthrough.Call, p *Passage, r *http.Request, judge readthrough.Judge) (*store.Entry, readthrough.Use) {
	e, use := call.Look(p.resource, nil)
	if e == nil || !isIndex(e) {
		p.key, p.index = p.resource, nil
		return judged(judge, e, use)
	}
	p.index = e
	var best *store.Entry
	var bestUse readthrough.Use
	for i, names := range namesOf(e) {
		key := hr.variantOf(p, r, names)
		found, use := call.Look(key, judge)
		if i == 0 || use > bestUse {
			p.key, best, bestUse = key, found, use
		}
		if use >= readthrough.WhileRefreshed {
			break
		}
	}
	return best, bestUse
}

// judged applies the judge, if there is one, to an entry that was looked up.
func judged(judge readthrough.Judge, e *store.Entry, use readthrough.Use) (*store.Entry, readthrough.Use) {
	if e == nil || judge == nil {
		return e, use
	}
	if use = judge(e, use, readthrough.Before); use == readthrough.NoUse {
		return nil, use
	}
	return e, use
}

// choose replaces what memory has under the resource by the response that may be served to the request, if any. It is the
// part of [httpRules.answer] that needs no I/O and no allocation.
func (hr *httpRules) choose(p *Passage, r *http.Request, f *readthrough.Found, now time.Time) {
	e, use := f.Entry, f.Use
	if e != nil {
		p.key = e.Key
	}
	p.resource = p.key
	if e != nil && isIndex(e) {
		e, use = hr.peekVariant(p, r, e, now)
	}
	f.Entry, f.Use = nil, readthrough.NoUse
	if e == nil || unanswerable(r, noAsk) != "" {
		return
	}
	ask := noAsk
	if lines := r.Header["Cache-Control"]; lines != nil {
		if ask = rfc9111.ParseAsk(lines); ask.NoStore {
			return
		}
	}
	f.Entry, f.Use, f.Left = e, hr.fitness(p, r, ask, e, use, readthrough.Before), e.Left(now)
}

// peekVariant looks in memory for the variant that the request selects, set by set.
func (hr *httpRules) peekVariant(p *Passage, r *http.Request, index *store.Entry, now time.Time) (*store.Entry, readthrough.Use) {
	for _, names := range namesOf(index) {
		key := hr.variantOf(p, r, names)
		if e, use := hr.rt.cache.Peek(key, now); e != nil {
			p.key, p.index = key, index // for a refresh, which must not forget the other sets
			return e, use
		}
	}
	return nil, readthrough.NoUse
}

// otherVariants looks at the index. A response that is fresh, but not enough for the request, is no other variant.
func (hr *httpRules) otherVariants(f *fetch) bool { return f.p.index != nil && !f.p.fresh }

// place gives the run's entry the key that its Vary calls for, and makes the index that leads there.
//
// The index is written before the entry, so that no response is stored that no request can find. Two processes may write
// different indexes at once. Then one set is lost until the next response names it again; until then its requests are misses.
func (hr *httpRules) place(f *fetch) {
	run, names := f.rec.run, f.rec.http.verdict.Vary
	run.Entry.Key = hr.variantOf(&f.p, f.r, names)
	if run.Entry.Key == f.p.resource {
		return
	}
	set := strings.ToLower(strings.Join(names, ","))
	known := sets(f.p.index)
	if len(known) > 0 && known[0] == set && f.p.index.Left(time.Now()) > indexFor/2 {
		return
	}
	known = slices.DeleteFunc(slices.Clone(known), func(s string) bool { return s == set })
	known = slices.Insert(known, 0, set)
	run.Index = run.Beside(f.p.resource)
	run.Index.Stored, run.Index.Fresh = time.Now(), max(indexFor, run.Entry.Keep(time.Now()))
	run.Index.Header = store.MakeHeader(store.Field{Name: "Vary", Values: known[:min(len(known), maxSets)]})
}

const (
	normalSlots = 256
	maxNormal   = 512 // bytes of a line; no browser sends longer ones
)

// normalForms remembers what [rfc9111.Selection] makes of the lines that many requests have: those of content negotiation.
// There are few of them, and they do not identify a client. Its size is small and fixed: lines that meet in a slot replace
// each other. The zero normalForms is ready to use, and safe for concurrent use.
type normalForms struct {
	slots [normalSlots]atomic.Pointer[normal]
}

// A normal is a field's line and the text that selects by it.
type normal struct{ name, line, text string }

var lineSeed = maphash.MakeSeed()

// selection is rfc9111.Selection.
func (n *normalForms) selection(name string, lines []string) (text string, present bool) {
	if !negotiates(name) || len(lines) != 1 || len(lines[0]) > maxNormal {
		return rfc9111.Selection(name, lines)
	}
	slot := &n.slots[maphash.String(lineSeed, lines[0])%normalSlots]
	if known := slot.Load(); known != nil && known.line == lines[0] && known.name == name {
		return known.text, true
	}
	text, present = rfc9111.Selection(name, lines)
	slot.Store(&normal{name, strings.Clone(lines[0]), strings.Clone(text)}) // clones, or the slot would hold the request's memory
	return text, present
}

// negotiates reports whether equal values of the field may be spelled in several ways, so that it has a normal form.
func negotiates(name string) bool {
	switch name {
	case "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language":
		return true
	}
	return false
}
