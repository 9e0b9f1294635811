package middleware

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/keying"
)

// What the recorder adds to a handler's answer, or takes from it.

// untarget takes away what tells shared caches to keep one user's answer, past its Cache-Control (RFC 9213 §2.2).
func (rec *recorder) untarget(h http.Header) {
	if rec.rt.Scheme.Private {
		delete(h, "Cdn-Cache-Control")
	}
}

// privatize keeps one user's answers from other caches, whoever set their Cache-Control.
func (rec *recorder) privatize(h http.Header) {
	rec.untarget(h)
	switch {
	case !rec.rt.Scheme.Private:
	case rec.reason == ReasonIdentity:
		h["Cache-Control"] = []string{"private, no-store"}
	default:
		h["Cache-Control"] = rfc9111.MakePrivate(h["Cache-Control"])
	}
}

// tellStatus says what the cache did (RFC 9211).
func (rec *recorder) tellStatus(h http.Header) {
	c := rec.rt.Common
	if c.name == "" {
		return
	}
	how, key, cause := "miss", keying.Key{}, Reason("")
	if rec.run != nil {
		key, cause = rec.run.Entry.Key, Reason(rec.run.Cause)
	}
	switch {
	case rec.run == nil:
		how = fwd(rec.reason)
	case rec.fwd != "":
		how = rec.fwd
	case rec.run.Old != nil:
		how = "stale"
	case cause == CauseVariant:
		how = "vary-miss"
	}
	stored, lines := rec.fate == readthrough.Kept && rec.r.Method != http.MethodHead, c.missed
	if stored {
		lines = c.kept
	}
	if line := lines[cause]; line != nil && how == "miss" && rec.reason == "" && !rec.part && !c.debug {
		c.addStatus(h, line)
		return
	}
	reason := rec.reason
	if reason == ReasonStore && cause == CauseAway { // which says it all
		reason = ""
	}
	if rec.part {
		reason = partReason(rec.r)
	}
	c.addStatus(h, c.forwarded(how, key, cmp.Or(reason, cause), stored))
}

// became notes what has become of the entry that was made of the answer.
func (rec *recorder) became(fate readthrough.Fate) {
	if rec.fate = fate; rec.keeping && rec.reason == "" && !rec.part {
		rec.reason = FateReason(fate)
	}
}

// FateReason says why something is not kept that was for keeping, or "" if it is.
func FateReason(fate readthrough.Fate) Reason {
	switch fate {
	case readthrough.RefusedByStore:
		return ReasonRefused
	case readthrough.StoreFailed:
		return ReasonStore
	case readthrough.Overtaken:
		return ReasonOvertaken
	case readthrough.NotKept:
		return ReasonAge
	}
	return ""
}

// hasTrailers reports whether the handler has set trailers that it had not announced.
func (rec *recorder) hasTrailers() bool {
	for name := range rec.own {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// publishTrailers hands on what the handler set after the head, where that is allowed (RFC 9110 §6.5).
func (rec *recorder) publishTrailers() {
	h := rec.w.Header()
	if rec.trailing {
		for name, values := range rec.own {
			if strings.HasPrefix(name, http.TrailerPrefix) {
				h[name] = values
			}
		}
	}
	for _, line := range h["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if values, ok := rec.own[name]; ok {
				h[name] = values
			}
		}
	}
}
