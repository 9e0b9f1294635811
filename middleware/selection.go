package middleware

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// What a resource's answers vary by is known only from the answers (RFC 9111 §4.1). So the key of a resource leads either
// to its one answer or to an index: an entry without a status, whose Vary lists the sets of request fields that its answers
// have named, the newest first. Under the key of the resource and the fields' values lies the answer.

// maxSets bounds the sets of an index: each costs a look.
const maxSets = 4

const indexFor = 24 * time.Hour

func isIndex(e *store.Entry) bool { return e.Status == 0 }

// sets are what the index lists.
func sets(index *store.Entry) []string {
	if index == nil {
		return nil
	}
	return fieldOf(index, "Vary")
}

// namesOf are the names in each of the index' sets. They are parsed once.
func namesOf(index *store.Entry) [][]string {
	if known, ok := index.Memo().([][]string); ok {
		return known
	}
	var all [][]string
	size := 0
	for _, set := range sets(index)[:min(len(sets(index)), maxSets)] { // it may come from elsewhere
		names, _ := rfc9111.VaryNames([]string{set})
		all = append(all, names)
		size += 24 + 16*len(names) + len(set)
	}
	index.SetMemo(all, size)
	return all
}

// variant is the key of the answer that the request selects, among answers whose Vary has these lines.
func (rt *Route) variant(p *Passage, r *http.Request, vary []string) keying.Key {
	names, _ := rfc9111.VaryNames(vary)
	return rt.variantOf(p, r, names)
}

func (rt *Route) variantOf(p *Passage, r *http.Request, names []string) keying.Key {
	if len(names) == 0 {
		return p.resource
	}
	return rt.Scheme.Select(p.resource, names, r, rt.Common.selection)
}

// find looks for the answer that the request selects, and makes its key the passage's. What it finds and may not be served
// as it is, is what can be validated.
func (rt *Route) find(call *readthrough.Call, p *Passage, r *http.Request, judge readthrough.Judge) (*store.Entry, readthrough.Use) {
	e, use := call.Look(p.resource, nil)
	if e == nil || !isIndex(e) {
		p.key, p.index = p.resource, nil
		return judged(judge, e, use)
	}
	p.index = e
	var best *store.Entry
	var bestUse readthrough.Use
	for i, names := range namesOf(e) {
		key := rt.variantOf(p, r, names)
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

func judged(judge readthrough.Judge, e *store.Entry, use readthrough.Use) (*store.Entry, readthrough.Use) {
	if e == nil || judge == nil {
		return e, use
	}
	if use = judge(e, use, readthrough.Before); use == readthrough.NoUse {
		return nil, use
	}
	return e, use
}

// choose makes of what memory has for the URL what a standard route may serve to the request, if anything, and its key the
// passage's.
func (rt *Route) choose(p *Passage, r *http.Request, f *readthrough.Found, now time.Time) {
	e, use := f.Entry, f.Use
	if e != nil {
		p.key = e.Key
	}
	p.resource = p.key
	if e != nil && isIndex(e) {
		e, use = rt.peekVariant(p, r, e, now)
	}
	f.Entry, f.Use = nil, readthrough.NoUse
	if e == nil || rt.unanswerable(r, noAsk) != "" {
		return
	}
	ask := noAsk
	if lines := r.Header["Cache-Control"]; lines != nil {
		if ask = rfc9111.ParseAsk(lines); ask.NoStore {
			return
		}
	}
	f.Entry, f.Use, f.Left = e, rt.fitness(p, r, ask, e, use, readthrough.Before), e.Left(now)
}

func (rt *Route) peekVariant(p *Passage, r *http.Request, index *store.Entry, now time.Time) (*store.Entry, readthrough.Use) {
	for _, names := range namesOf(index) {
		key := rt.variantOf(p, r, names)
		if e, use := rt.Through.Peek(key, now); e != nil {
			p.key, p.index = key, index // for a refresh, which must not forget the other sets
			return e, use
		}
	}
	return nil, readthrough.NoUse
}

// place gives the run's entry the key that its Vary calls for, and makes the index that leads there.
func (rt *Route) place(l *leading) {
	if !rt.Standard {
		return
	}
	run, names := l.rec.run, l.rec.law.verdict.Vary
	run.Entry.Key = rt.variantOf(&l.p, l.r, names)
	if run.Entry.Key == l.p.resource {
		return
	}
	set := strings.ToLower(strings.Join(names, ","))
	known := sets(l.p.index)
	if len(known) > 0 && known[0] == set && l.p.index.Left(time.Now()) > indexFor/2 {
		return
	}
	known = slices.DeleteFunc(slices.Clone(known), func(s string) bool { return s == set })
	known = slices.Insert(known, 0, set)
	run.Index = run.Beside(l.p.resource)
	run.Index.Stored, run.Index.Fresh = time.Now(), max(indexFor, run.Entry.Keep(time.Now()))
	run.Index.Header = store.MakeHeader(store.Field{Name: "Vary", Values: known[:min(len(known), maxSets)]})
}
