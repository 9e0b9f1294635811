package middleware

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/larder-go/cache/keying"
)

// Outer code may choose between handlers, by role or by header, that have equal policies and serve one pattern. Nothing in a key would
// tell their responses apart: an admin's page would be served to everyone. So the cache remembers which handlers serve a pattern:
//
//   - In memory the second handler, and each one after it, has keys of its own: its number is part of them.
//   - In Redis numbers would not do, because in another process another handler may come first. There the name of the handler's code is
//     part of the key, and only the handler that came first uses the cache; the others bypass it.
//
// Handlers of one piece of code, such as those that a function returns, have one name in every process. If different ones come
// first in different processes, nothing tells them apart: the documentation says so.

// maxHandlers bounds the handlers of one pattern that are told apart, since code that wraps a new one for each request would fill
// any table. Beyond the bound a handler bypasses the cache. It is different if no router gives a pattern: then each path may have a
// handler of its own, perhaps wrapped anew for each request, and handlers beyond the bound count as the first one of the same code.
const maxHandlers = 8

// A Handler identifies one handler among others. ID and Code must be comparable. ID is different for each handler; Code is the same
// for handlers that one piece of code has made. Name is what that code is called in every process. If Name is "", it is the name of
// the function with the code pointer Func. If Func is 0 too, the same handler must come first in all processes.
type Handler struct {
	ID, Code any
	Name     string
	Func     uintptr
}

// name is what the handler's code is called in every process, or "".
func (h Handler) name() string {
	if h.Name == "" && h.Func != 0 {
		return nameOf(h.Func)
	}
	return h.Name
}

// nameOf is the name of a function's code.
func nameOf(code uintptr) string {
	if f := runtime.FuncForPC(code); f != nil {
		return f.Name()
	}
	return ""
}

// handlers are those that serve each pattern, in the order of their first requests. It is safe for concurrent use.
type handlers struct {
	mu sync.RWMutex
	of map[servedBy][]Handler

	// Which handler uses a key, for keys that do not say it: see claim.
	claims [1 << 13]atomic.Uint64
}

// servedBy is what handlers have in common whose responses could otherwise have the same key.
type servedBy struct{ selects, host, pattern string }

// Stand returns the handler's standing on the route, for requests that matched the pattern, and the host if the router chooses by
// it. Adapters keep it: it is the same for all requests of the handler. A Warning event reports, once, a handler that is not the
// first. Some routers register HEAD by themselves; then its handler is usually another closure of GET's code, and counts as GET's.
func (rt *Route) Stand(method, host, pattern string, h Handler) *Standing {
	at := servedBy{rt.scheme.Selects(), host, pattern}
	rt.common.Names.Meet(pattern)
	n, first, added := rt.common.handlers.place(at, h, method == http.MethodHead)
	s := &Standing{pattern: pattern, keyed: pattern, n: n, first: first}
	switch inRedis := rt.cache.Remote(); {
	case inRedis:
		s.claims, s.refused = pattern == "", pattern != "" && n > 0
		if name := h.name(); name != "" {
			s.keyed = pattern + "\x00" + name
		}
	case n > 0:
		s.refused = pattern != "" && n >= maxHandlers
		s.keyed = fmt.Sprintf("%s\x00%d", pattern, n)
	}
	if added && n > 0 && pattern != "" {
		rt.alert(Event{Route: pattern, Outcome: Warning, Reason: ReasonHandlers, Err: fmt.Errorf(
			"route %q: several handlers serve it under equal policies: in memory each has answers of its own, in Redis all but the first run without the cache; give each a pattern or a policy of its own (vary=, cookies=, by=)", pattern)})
	}
	return s
}

// claim reports whether the handler may use the key: no other handler has used it, as far as that is remembered. Handlers that
// count as the first one of their code may use what any of them has used. Otherwise a site that wraps its handlers anew for each
// request would never get a hit for its first pages.
//
// Hits pass here, so a claim is one word, without a lock. The low half of the key's digest chooses the slot, and a key that finds
// another one in its slot replaces it:
//
//	bits 63 … 32              31 … 16                          15 … 0
//	high half of the digest   first handler of the same code   handler
func (hs *handlers) claim(key *keying.Key, by *Standing) bool {
	digest := binary.LittleEndian.Uint64(key[:8])
	slot, n, first := &hs.claims[digest%uint64(len(hs.claims))], uint16(by.n), uint16(by.first)
	claimed := slot.Load()
	if claimed>>32 == digest>>32 && claimed != 0 {
		return uint16(claimed) == n || uint16(claimed>>16) == n
	}
	slot.Store(digest>>32<<32 | uint64(first)<<16 | uint64(n))
	return true
}

// place returns how many other handlers came before this one, how many before the first one of its code, and whether this one is
// new. HEAD alone does not register a handler.
func (hs *handlers) place(at servedBy, h Handler, head bool) (n, first int, added bool) {
	most := math.MaxInt // of one code, before they count as one
	switch {
	case head:
		most = 1
	case at.pattern == "":
		most = maxHandlers
	}
	hs.mu.RLock()
	n, first, known := find(hs.of[at], h, most)
	hs.mu.RUnlock()
	if known || head {
		return n, first, false
	}
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if n, first, known = find(hs.of[at], h, most); known {
		return n, first, false
	}
	if len(hs.of[at]) > maxHandlers && at.pattern != "" {
		return n, first, false
	}
	if hs.of == nil {
		hs.of = map[servedBy][]Handler{}
	}
	hs.of[at] = append(hs.of[at], h)
	return n, first, true
}

// find returns the handler's place, and that of the first handler of its code. If there are already most handlers of that code,
// this one counts as the first one, and as known.
func find(all []Handler, h Handler, most int) (n, first int, known bool) {
	first, same := len(all), 0
	for i, other := range all {
		if other.Code == h.Code {
			if same++; same == 1 {
				first = i
			}
		}
		if other == h {
			return i, first, true
		}
	}
	if same >= most {
		return first, first, true
	}
	return len(all), first, false
}
