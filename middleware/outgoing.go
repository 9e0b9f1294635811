package middleware

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// What the cache adds to a response on its way out, whether it comes from the handler or from an entry:
//
//   - Vary names what the policy selects by, so that caches in front select by it, too.
//   - Cache-Control is the policy's (Client) where it has one, or becomes private where a function selects.
//   - Cache-Status and Age say what the cache did.
//
// The entry stores the handler's own fields, and is judged by those, also after a validation.

// outgoing are the fields that the policy changes; nil lines are left as they are.
type outgoing struct {
	vary, control []string
	// The handler's Cache-Control, by the policy's.
	replaced bool
}

// speaks reports whether the policy changes any field. Most do not, and then a hit need not look.
func (rt *Route) speaks() bool { return rt.vary != nil || rt.client != nil || rt.varyBy != nil }

// speak changes the header of a response that is replayed, and reports whether its Cache-Control is the policy's. If outer middleware has
// set neither field, the result depends on the entry alone: it is made once, and kept with the entry, so that a hit allocates nothing.
func (rt *Route) speak(h http.Header, e *store.Entry, outer bool) (replaced bool) {
	if outer {
		return rt.outgoing(h, true).put(rt, h)
	}
	made, known := e.Memo().(*outgoing)
	if !known {
		made = rt.outgoing(h, true)
		e.SetMemo(made, made.size())
	}
	return made.put(rt, h)
}

// outgoing computes the fields. The policy's Client counts for responses that are stored and that the handler did not forbid to
// store. No field can tell a proxy in front what a function (VaryBy) selects by. So such a response leaves as private, unless it
// says itself whom it is for.
func (rt *Route) outgoing(h http.Header, kept bool) *outgoing {
	o, control := &outgoing{vary: rt.varying(h["Vary"])}, h["Cache-Control"]
	o.replaced = kept && rt.client != nil && !forbidding(control, rt.scheme.Private)
	switch {
	case o.replaced:
		o.control = rt.client
	case rt.varyBy != nil && !rfc9111.SaysForWhom(control):
		o.control = rfc9111.MakePrivate(control)
	}
	return o
}

// size is about how many bytes it takes in memory, besides those of the entry and of the policy.
func (o *outgoing) size() int {
	n := 64
	for _, lines := range [...][]string{o.vary, o.control} {
		for _, line := range lines {
			n += len(line) + 16
		}
	}
	return n
}

// put sets the fields. With the policy's max-age there is no Age, and no Date of the past: a minute is then a minute from when the client
// gets the response, not from when the response was made.
func (o *outgoing) put(rt *Route, h http.Header) (replaced bool) {
	if o.vary != nil {
		h["Vary"] = o.vary
	}
	if o.control != nil {
		h["Cache-Control"] = o.control
	}
	if !o.replaced {
		return false
	}
	delete(h, "Age")
	if rt.keepsDate {
		delete(h, "Date")
	}
	return true
}

// varying returns the lines of a Vary with what the policy selects by, each name once.
func (rt *Route) varying(lines []string) []string {
	switch {
	case rt.vary == nil, len(lines) == 1 && lines[0] == rt.vary[0]:
		return lines
	case len(lines) == 0:
		return rt.vary
	}
	var missing []string
	for name := range strings.SplitSeq(rt.vary[0], ", ") {
		if !variesBy(lines, name) {
			missing = append(missing, name)
		}
	}
	if missing == nil {
		return lines
	}
	return slices.Concat(lines, []string{strings.Join(missing, ", ")}) // without spare capacity: appending a line makes a copy
}

// variesBy reports whether the lines of a Vary name the field.
func variesBy(lines []string, name string) bool {
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			if member = strings.Trim(member, " \t"); member == "*" || strings.EqualFold(member, name) {
				return true
			}
		}
	}
	return false
}

// forbidding reports whether a Cache-Control, whoever set it, forbids what a policy must not permit: that clients store the
// response, that they share it, or that they use it without validation.
func forbidding(lines []string, private bool) bool {
	if len(lines) == 0 {
		return false
	}
	c := rfc9111.ParseControl(lines)
	return c.Malformed || c.BadTime || c.NoStore || c.NoCache || len(c.NoCacheFields) > 0 || c.MaxAge == 0 ||
		!private && (c.Private || len(c.PrivateFields) > 0)
}

// addPolicy changes the header of the handler's response. The policy's Client counts for responses that are stored, and for those
// to HEAD or a range that would be stored if the request were for the whole.
func (rec *recorder) addPolicy(h http.Header) {
	rt := rec.rt
	if !rt.speaks() {
		return
	}
	rt.outgoing(h, !rec.said.Refuses() && (rec.keeps() || rec.partly(h))).put(rt, h)
}

// partly reports whether the response is to HEAD, or to a range, and would be stored if the request were for the whole.
func (rec *recorder) partly(h http.Header) bool {
	if rec.head == noHead || rec.reason != ReasonHead && rec.reason != ReasonRange || h["Set-Cookie"] != nil {
		return false
	}
	switch rec.status {
	case http.StatusOK, http.StatusPartialContent, http.StatusNotModified:
		return true
	}
	return rec.rt.statusTTL[rec.status] > 0
}

// untarget removes the field that tells shared caches to store one user's response, whatever its Cache-Control says (RFC 9213
// §2.2).
func (rec *recorder) untarget(h http.Header) {
	if rec.rt.scheme.Private {
		delete(h, "Cdn-Cache-Control")
	}
}

// privatize keeps one user's responses from other caches, whoever has set their Cache-Control.
func (rec *recorder) privatize(h http.Header) {
	rec.untarget(h)
	switch {
	case !rec.rt.scheme.Private:
	case rec.reason == ReasonIdentity:
		h["Cache-Control"] = []string{"private, no-store"}
	default:
		h["Cache-Control"] = rfc9111.MakePrivate(h["Cache-Control"])
	}
}

// forClient prepares a header for the client if it has not been judged.
func (rec *recorder) forClient(h http.Header) {
	rec.privatize(h)
	rec.addPolicy(h)
}

// MarkPrivate makes the Cache-Control of a response private, as all responses of the cache are on per-user routes. It is for
// responses that a framework's error handler makes in the handler's place. On other routes it does nothing.
func (rt *Route) MarkPrivate(h http.Header) {
	if rt.scheme.Private {
		h["Cache-Control"] = rfc9111.MakePrivate(h["Cache-Control"])
	}
}

// addCacheStatus says what the cache did (RFC 9211).
func (rec *recorder) addCacheStatus(h http.Header) {
	c := rec.rt.common
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
	if line := lines[cause]; line != nil && how == "miss" && rec.reason == "" && rec.purpose != toShare && !c.debug {
		c.addStatus(h, line)
		return
	}
	reason := rec.reason
	if reason == ReasonStore && cause == CauseAway { // the cause says it all
		reason = ""
	}
	if rec.purpose == toShare {
		reason = partReason(rec.r)
	}
	c.addStatus(h, c.forwarded(how, key, cmp.Or(reason, cause), stored))
}

// fwd is why a request went to the handler, in RFC 9211's words (§2.2).
func fwd(reason Reason) string {
	switch reason {
	case ReasonMethod:
		return "method"
	case ReasonHead, ReasonRange:
		return "miss"
	case ReasonRequest:
		return "request"
	}
	return "bypass"
}

// tabled is the number of seconds whose header lines are made once and reused, so that a hit allocates nothing.
const tabled = 3600

// Cache-Status (RFC 9211), as this cache says it:
//
//	larder; hit; ttl=52; detail=near            from memory
//	larder; hit; ttl=52; detail=far             from the store that processes share
//	larder; hit; ttl=-3; detail=near            from memory, stale
//	larder; fwd=miss; stored; detail=cold       the handler; the store has the response
//	larder; fwd=miss; detail=set-cookie         the handler; the response is not stored, for the reason
//	larder; fwd=miss; collapsed                 the response of another request's run
//	larder; fwd=stale; fwd-status=304           the handler has confirmed what is stored
//	larder; fwd=bypass; detail=authorization    the handler, past the cache
//
// The lines of most hits and misses are made once, so that none of them costs an allocation.

// statusLines are the values of hits, by the seconds that are left.
type statusLines struct {
	format string
	lines  [tabled]atomic.Pointer[[]string]
}

// of returns the line for a lifetime in seconds. Those of the first hour are made once.
func (s *statusLines) of(ttl int64) []string {
	if ttl < 0 || ttl >= tabled {
		return []string{fmt.Sprintf(s.format, ttl)}
	}
	return cached(&s.lines[ttl], func() string { return fmt.Sprintf(s.format, ttl) })
}

// ageLines are the Age of young responses, made once.
var ageLines [tabled]atomic.Pointer[[]string]

// ageLine is the value of the Age field (RFC 9111 §5.1).
func ageLine(seconds int64) []string {
	if seconds < 0 || seconds >= tabled {
		return []string{strconv.FormatInt(seconds, 10)}
	}
	return cached(&ageLines[seconds], func() string { return strconv.FormatInt(seconds, 10) })
}

// cached returns the slot's line, clipped: whoever appends to it gets a copy.
func cached(slot *atomic.Pointer[[]string], text func() string) []string {
	if line := slot.Load(); line != nil {
		return *line
	}
	line := []string{text()}
	slot.Store(&line)
	return line
}

// addStatus appends this cache's member to Cache-Status, after those of caches nearer to the origin (RFC 9211 §2).
func (c *Common) addStatus(h http.Header, line []string) {
	if c.name == "" {
		return
	}
	if before := h["Cache-Status"]; len(before) > 0 {
		line = append(before[:len(before):len(before)], line...)
	}
	h["Cache-Status"] = line
}

// answered is the member for a response from the cache (RFC 9211 §2.1 to §2.7).
func (c *Common) answered(e *store.Entry, from *source, ttl int64) []string {
	lines := &c.near
	if from.tier == far {
		lines = &c.far
	}
	switch {
	case from.outcome == Shared:
		return c.member("; fwd="+cmp.Or(from.fwd, "miss")+"; collapsed", e.Key, "")
	case from.fwd != "":
		line := "; fwd=" + from.fwd
		if from.status != 0 { // the handler panicked, or returned an error
			line += "; fwd-status=" + strconv.Itoa(from.status)
		}
		if from.stored {
			line += "; stored"
		}
		return c.member(line+"; ttl="+strconv.FormatInt(ttl, 10), e.Key, from.reason)
	case c.debug:
		return c.member(strings.TrimPrefix(lines.of(ttl)[0], c.name), e.Key, "")
	}
	return lines.of(ttl)
}

// forwarded is the member for a response of the handler. Its fwd-status is the status that is sent (§2.3).
func (c *Common) forwarded(fwd string, key keying.Key, reason Reason, stored bool) []string {
	line := "; fwd=" + fwd
	if stored {
		line += "; stored"
	}
	return c.member(line, key, reason)
}

// member makes this cache's member of Cache-Status: its name, parameters, and what debugging adds.
func (c *Common) member(parameters string, key keying.Key, reason Reason) []string {
	line := c.name + parameters
	if c.debug && key != (keying.Key{}) {
		line += `; key="` + key.String() + `"`
	}
	if reason != "" {
		line += "; detail=" + string(reason)
	}
	return []string{line}
}

// tier is where the store's responses come from.
func (s *settings) tier() string {
	if s.cache.Remote() {
		return far
	}
	return near
}

// Tiers, as events and Cache-Status name them.
const (
	near = "near"
	far  = "far"
)
