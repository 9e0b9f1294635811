package cache

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"golang.org/x/net/http/httpguts"
)

// Options say what a Cache is made of. The zero Options make a cache in memory alone.
type Options struct {
	// Near is the memory of the process. nil: a memstore with its defaults, 64 MiB and 5,000 entries, which Close closes.
	// Caches may share one: then they share its size. Each finds what it has stored there itself, and what has come from a Far
	// store that they share, too.
	Near store.Store
	// Far is what processes share: a redisstore. nil: only SharedGlobal routes can be registered. The caller closes it, after the
	// Cache.
	//
	// If Far is a store.Log, purges reach every process that shares it. If it is not, or wraps a store and hides that it is one, its
	// entries are good for this process alone, and a Warning says so. If it is a store.Follower, copies in memory learn of purges
	// elsewhere at once, SharedGlobal ones too: from the first copy on one goroutine follows the log, until Close.
	Far store.Store
	// FarBudget is how long one request waits for Far, all its operations together. Then the handler runs. 0: 50 ms.
	// New refuses negative ones and more than a second.
	FarBudget time.Duration
	// User says whose request it is, for PerUser routes whose policy has no User.
	User keying.User
	// Skips are functions that policies name in SkipName, tables as skip=NAME; see Policy.Skip. The map is copied.
	Skips map[string]func(*http.Request) bool
	// By are functions that policies name in VaryByName, tables as by=NAME; see Policy.VaryBy. The map is copied.
	By map[string]func(*http.Request) string
	// Name is this cache's name in Cache-Status (RFC 9211). "": "larder"; "-": the header is not sent.
	Name string
	// Debug adds each response's key to Cache-Status. Keys name nobody, but show which responses are the same: not for production.
	Debug bool
	// Observe is called with every event. How a request was answered is an event on its goroutine, before it ends, so Observe must be
	// quick, and safe for concurrent use. It may call the Cache; a Close within it does not wait. If it panics, the request goes on,
	// and another event reports the panic.
	//
	// nil: faults, warnings, recoveries, refreshes that failed and purges that did not reach Redis go to [slog.Default], as
	// [LogTo] writes them. How requests are answered is not reported then, and costs nothing. A function that does nothing silences
	// everything.
	Observe func(Event)
	// Secret authenticates what is stored in Redis, and makes keys there HMACs, so that nobody can guess what is stored or plant
	// an entry. Use 32 random bytes, the same in every process. Empty: keys are plain digests, and entries carry a checksum.
	Secret []byte
	// TrustProxy says that a proxy in front sets X-Forwarded-Proto and X-Forwarded-Host. They then select the response, and the
	// handlers of shared classes see them. Use it only with a proxy that sets or removes both on every request.
	//
	// false: those handlers do not see them. Nor do handlers, with RFC9111 too, see other fields that name another URL (Forwarded,
	// X-Forwarded-Ssl, X-Original-Url and the like), unless the policy's Vary names them.
	TrustProxy bool
}

// DefaultFarBudget is what Options.FarBudget is if it is 0.
const DefaultFarBudget = 50 * time.Millisecond

// maxFarBudget keeps a Redis that hangs from making every request slow.
const maxFarBudget = time.Second

// memberName checks the name under which the cache appears in Cache-Status: a token (RFC 9211 §2, RFC 8941 §3.3.4).
func memberName(name string) (string, error) {
	switch {
	case name == "":
		return "larder", nil
	case name == "-":
		return "", nil
	case !httpguts.ValidHeaderFieldName(name) || !isLetter(name[0]):
		return "", fmt.Errorf(`cache: Options.Name is %q, which Cache-Status cannot carry; use letters, digits and "-", a letter first`, name)
	}
	return name, nil
}

// checkNamed refuses functions that no policy could name, or call.
func checkNamed[F func(*http.Request) bool | func(*http.Request) string](option string, functions map[string]F) error {
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		switch {
		case name == "":
			return fmt.Errorf("cache: Options.%s has a function without a name; name it as tables shall, or leave it out", option)
		case functions[name] == nil:
			return fmt.Errorf("cache: Options.%s[%q] is nil; set a function, or leave it out", option, name)
		}
	}
	return nil
}

func isLetter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }
