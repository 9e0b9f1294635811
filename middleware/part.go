package middleware

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"strconv"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// An answer to HEAD, or to a range, is not the whole that a key stands for. Where the store has nothing to make it of, the
// handler makes it: once for all who want just the same at the same time, under a key of its own that nothing is ever stored
// under. What may be shared so is what may be kept.

// isPart reports whether the request is for less than a whole answer.
func isPart(r *http.Request) bool { return r.Method == http.MethodHead || r.Header["Range"] != nil }

func partReason(r *http.Request) Reason {
	if r.Method == http.MethodHead {
		return ReasonHead
	}
	return ReasonRange
}

// partKey is what those share under who want the same of the answer that the key stands for. The handler of a HEAD does not
// see ranges, and no handler sees conditions: they are judged for each.
func partKey(key keying.Key, r *http.Request) keying.Key {
	text := append(make([]byte, 0, 128), key[:]...)
	text = append(text, r.Method...)
	if r.Method != http.MethodHead {
		for _, lines := range [...][]string{r.Header["Range"], r.Header["If-Range"]} {
			text = binary.AppendUvarint(text, uint64(len(lines)))
			for _, line := range lines {
				text = append(binary.AppendUvarint(text, uint64(len(line))), line...)
			}
		}
	}
	return sha256.Sum256(text)
}

// selects reports whether the entry, which another request's run has made, is the answer that the request selects.
func (rt *Route) selects(p *Passage, r *http.Request, e *store.Entry) bool {
	key := rt.variant(p, r, linesOf(e, p.outer, "Vary"))
	return key == e.Key || isPart(r) && partKey(key, r) == e.Key
}

// pass makes the run's entry of an answer that is not whole, for those who wait for it.
func (rt *Route) pass(l *leading) readthrough.Verdict {
	rec, e := l.rec, l.rec.run.Entry
	l.p.reason, rec.part = cmp.Or(l.p.reason, partReason(l.r)), true
	if rec.reason = rt.passable(l); rec.reason != "" {
		rec.keeping = false
		return readthrough.Uncacheable
	}
	key := l.p.key
	if rt.Standard {
		key = rt.variantOf(&l.p, l.r, rec.law.verdict.Vary)
	}
	e.Key, e.Status, e.Added, e.Body = partKey(key, l.r), rec.status, rec.added, rec.compact()
	e.Stored, e.Fresh = time.Now(), time.Minute // for those who wait: any time will do
	if e.Validate() != nil {
		rec.keeping, rec.reason = false, ReasonHeader
		return readthrough.Uncacheable
	}
	if length := max(rec.declared, int64(len(e.Body))); length > 0 && bodyAllowed(e.Status) {
		rec.set("Content-Length", strconv.FormatInt(length, 10)) // for HEAD not that of this body
		e.Header = makeHeader(rec.header)
	}
	return readthrough.ShareOnly
}

// passable says why the answer must not be passed on, or "".
func (rt *Route) passable(l *leading) Reason {
	rec := l.rec
	if reason := rec.incomplete(); reason != "" {
		return reason
	}
	tags, _, noStore := rec.said.Said()
	switch {
	case noStore:
		return ReasonHandler
	case rt.Standard && rec.law.verdict.Fresh <= rec.law.verdict.Age:
		return ReasonAge
	}
	e := rec.run.Entry
	// What an attempt to update a stored answer has left there is not this one's.
	e.Header, e.Added, e.Labels, rec.run.Index = makeHeader(rec.header), rec.added, nil, nil
	e.WhileRevalidate, e.IfError, e.IfValidated = 0, 0, 0
	return rt.labels(l, e, tags) // a purge may come before those who wait
}
