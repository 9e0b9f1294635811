package middleware

import (
	"net/http"
	"slices"

	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/store"
)

// join combines a 206 with the stored part (§3.4): strong validators in common, and bytes that fit.
func (rec *recorder) join(old *store.Entry, body []byte) bool {
	if !rfc9111.StrongMatch(first(rec.fieldOf("Etag")), first(fieldOf(old, "Etag"))) {
		return false
	}
	a, ok := rfc9111.ParseContentRange(fieldOf(old, "Content-Range"))
	b, ok2 := rfc9111.ParseContentRange(rec.fieldOf("Content-Range"))
	part, body, joined := rfc9111.Join(a, old.Body, b, body)
	if !ok || !ok2 || !joined || int64(len(body)) > rec.rt.MaxBody {
		return false
	}
	e := rec.run.Entry
	e.Body, e.Status = body, http.StatusPartialContent
	rec.header = replaceField(rec.header, "Content-Range", part.String())
	if part.Whole() {
		e.Status = http.StatusOK
	}
	return true
}

// extend puts a part that the client has asked for together with the stored one, if they belong together.
func (rec *recorder) extend() {
	old, e := rec.run.Old, rec.run.Entry
	if old == nil || old.Status != http.StatusPartialContent || !rec.join(old, e.Body) {
		return
	}
	e.Labels = slices.Clip(old.Labels) // a purge that names the older part means its bytes
	if e.Status == http.StatusOK {
		rec.header = withoutField(rec.header, "Content-Range")
	}
}
