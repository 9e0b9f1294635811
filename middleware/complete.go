package middleware

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// complete judges a whole answer and fills the run's entry with it.
func (rt *Route) complete(l *leading, said *Steering) Reason {
	rec, h := l.rec, l.rec.Header()
	switch {
	case !rec.wrote:
		return EmptyReason
	case rec.declared >= 0 && rec.declared != rec.written:
		return LengthReason
	}
	for name := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return TrailerReason
		}
	}
	e := rec.run.Entry
	e.Status, e.Header, e.Added, e.Body = rec.status, rec.header, rec.added, compact(rec.body)
	if e.Status == http.StatusPartialContent {
		rec.extend()
	}
	rec.describe(e)
	return rt.settle(l, said)
}

// describe adds the fields that tell of the body: its length, and a validator where nobody has set one (RFC 9110 §8.8.3).
func (rec *recorder) describe(e *store.Entry) {
	if bodyAllowed(e.Status) {
		e.Header = append(e.Header, store.Field{Name: "Content-Length", Values: []string{strconv.Itoa(len(e.Body))}})
	}
	if !rec.rt.Standard && e.Status == http.StatusOK && rec.outer["Etag"] == nil && fieldOf(e, "Etag") == nil {
		e.Header = append(e.Header, store.Field{Name: "Etag", Values: []string{entityTag(e.Body)}})
	}
}

// entityTag is a strong validator for the bytes.
func entityTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// settle gives an entry whose fields and body are there its life, key and labels, or says why it must not be kept.
func (rt *Route) settle(l *leading, said *Steering) Reason {
	e := l.rec.run.Entry
	tags, ttl, noStore := said.Said()
	rt.times(e, l.rec, ttl)
	rt.place(l, l.rec.verdict.Vary)
	if noStore {
		return HandlerReason
	}
	if reason := rt.labels(l, e, tags); reason != "" {
		return reason
	}
	if e.Validate() != nil {
		return HeaderReason
	}
	varies := rt.Scheme.Varies() || rt.Standard && e.Key != l.p.resource
	now, counts := time.Now(), e.Fresh
	if rt.Standard {
		counts = max(e.Left(now), counted)
	}
	counts = min(counts, time.Hour) // or who has filled the bound once keeps everyone out for as long as an answer says
	if varies && !rt.Common.variants.admit(rt.resource(l), e.Key, now, counts) {
		return VariantsReason
	}
	if e.Keep(now) <= 0 {
		return AgeReason
	}
	return ""
}

// compact returns the body without much spare room behind it: an entry must not cost more than it counts.
func compact(body []byte) []byte {
	if cap(body) > len(body)+len(body)/8 {
		return append(make([]byte, 0, len(body)), body...)
	}
	return body
}

// Spread shortens a lifetime by up to a tenth, by the key, so that answers made together do not expire together.
func Spread(ttl time.Duration, key keying.Key) time.Duration {
	return ttl - ttl/10*time.Duration(key[0])/256
}

// canceled reports whether the context ended, whoever ended it.
func canceled(ctx context.Context) bool { return ctx.Err() != nil }
