package middleware

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/store"
)

// How the fields of two responses become one (RFC 9111 §3.2, §3.4): a 304 updates the stored response, and a 206 adds to a stored part.
//
//	stored                    304 says               afterwards
//	Cache-Control: max-age=1  max-age=60             max-age=60: the new response replaces the field
//	Content-Encoding: gzip    Content-Encoding: br   gzip: what describes the stored body stays
//	Vary: Accept              Vary: Origin           Origin, Accept: a 304 must not serve the body to more requests
//	Etag: "1"                 nothing                "1"

// freshen makes the fields of the run's entry: the new response's fields replace the stored ones of the same name.
func freshen(rec *recorder, old *store.Entry) {
	e := rec.run.Entry
	keepVarying(rec.fields, old.Lines("Vary"))
	keepVarying(rec.added, old.Lines("Vary"))
	header := merge(old.Header.Fields(), rec.fields, rec.added)
	if old.Status == http.StatusPartialContent { // it is whole now
		header = withoutField(header, "Content-Range")
	}
	e.Header = makeHeader(replaceField(header, "Content-Length", strconv.Itoa(len(e.Body))))
	e.Added = merge(old.Added, rec.added, rec.fields)
}

// keepVarying adds to a fresh Vary the fields that the stored response varies by. A handler that returns a 304 early may not have reached
// the line that sets its Vary, while middleware around it names its own fields. If those replaced the stored ones, the stored body would
// go to clients that select another.
func keepVarying(fresh []store.Field, stored []string) {
	for i := range fresh {
		f := &fresh[i]
		if f.Name != "Vary" || len(f.Values) == 0 {
			continue
		}
		for _, line := range stored {
			for name := range strings.SplitSeq(line, ",") {
				if name = strings.Trim(name, " \t"); name != "" && !variesBy(f.Values, name) {
					f.Values = append(f.Values[:len(f.Values):len(f.Values)], name)
				}
			}
		}
	}
}

// merge puts the fresh fields in place of the stored ones. Other has the fresh fields that go into the other list: outer middleware may
// have set other fields this time, so that a field is now set that was added to before, or the other way round. A field without values is
// one that the new response does not have.
func merge(stored, fresh, other []store.Field) []store.Field {
	merged := make([]store.Field, 0, len(stored)+len(fresh))
	for _, f := range stored {
		if !updates(f.Name) || !has(fresh, f.Name) && !has(other, f.Name) {
			merged = append(merged, f)
		}
	}
	for _, f := range fresh {
		if updates(f.Name) && len(f.Values) > 0 {
			merged = append(merged, f)
		}
	}
	return merged
}

// has reports whether one of the fields has the name, in any case, and at least one line.
func has(fields []store.Field, name string) bool {
	return slices.ContainsFunc(fields, func(f store.Field) bool { return len(f.Values) > 0 && strings.EqualFold(f.Name, name) })
}

// updates reports whether a new response may replace the stored field (RFC 9111 §3.2). What describes the stored body stays.
func updates(name string) bool {
	switch name {
	case "Content-Encoding", "Content-Length", "Content-Range":
		return false
	}
	return true
}

// withoutField returns the fields without those of the canonical name.
func withoutField(fields []store.Field, name string) []store.Field {
	kept := make([]store.Field, 0, len(fields))
	for _, f := range fields {
		if http.CanonicalHeaderKey(f.Name) != name {
			kept = append(kept, f)
		}
	}
	return kept
}

// replaceField returns the fields with one line for the name.
func replaceField(fields []store.Field, name, value string) []store.Field {
	return append(withoutField(fields, name), store.Field{Name: name, Values: []string{value}})
}

// join combines a 206 with the stored part (§3.4). They must have the same strong validator, and bytes that fit.
func join(rec *recorder, old *store.Entry, body []byte) bool {
	if !rfc9111.StrongMatch(rfc9111.First(rec.fieldOf("Etag")), rfc9111.First(old.Lines("Etag"))) {
		return false
	}
	a, ok := rfc9111.ParseContentRange(old.Lines("Content-Range"))
	b, ok2 := rfc9111.ParseContentRange(rec.fieldOf("Content-Range"))
	part, body, joined := rfc9111.Join(a, old.Body, b, body)
	if !ok || !ok2 || !joined || int64(len(body)) > rec.rt.maxBody {
		return false
	}
	e := rec.run.Entry
	e.Body, e.Status = body, http.StatusPartialContent
	rec.fields = replaceField(rec.fields, "Content-Range", part.String())
	if part.Whole() {
		e.Status = http.StatusOK
	}
	return true
}

// extend joins a part that the client has requested with the stored one, if they belong together.
func extend(rec *recorder) {
	old, e := rec.run.Old, rec.run.Entry
	if old == nil || old.Status != http.StatusPartialContent || !join(rec, old, e.Body) {
		return
	}
	e.Labels = slices.Clip(old.Labels) // a purge that names the older part means its bytes
	if e.Status == http.StatusOK {
		rec.fields = withoutField(rec.fields, "Content-Range")
	}
}

// slice cuts what the request's range asks for out of a stored part (RFC 9111 §3.3).
func slice(e *store.Entry, r *http.Request) (rfc9111.Part, []byte, bool) {
	lines := r.Header["Range"]
	if len(lines) != 1 || r.Method != http.MethodGet {
		return rfc9111.Part{}, nil, false
	}
	if wanted := r.Header["If-Range"]; wanted != nil && !rfc9111.StrongMatch(rfc9111.First(wanted), rfc9111.First(e.Lines("Etag"))) {
		return rfc9111.Part{}, nil, false
	}
	part, known := rfc9111.ParseContentRange(e.Lines("Content-Range"))
	ranges, ok := rfc9111.ParseRange(lines[0])
	if !known || !ok || len(ranges) != 1 {
		return rfc9111.Part{}, nil, false
	}
	return part.Slice(e.Body, ranges[0])
}
