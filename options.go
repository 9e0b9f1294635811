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

// Options configure a Cache. The zero Options make a cache in memory only.
type Options struct {
	// Near is the store in the memory of the process. nil: a memstore with its defaults, 64 MiB and 5,000 entries, which Close closes.
	// Several Caches may share one store, and then share its size. Each finds what it has stored there itself and, if they share a Far
	// store, what came from there.
	Near store.Store
	// Far is the store that processes share: a redisstore. nil: only SharedGlobal routes can be registered. The caller closes it, after
	// the Cache.
	//
	// If Far is a store.Log, purges reach every process that shares it. If it is not, or if it wraps a store and hides that the inner one
	// is, its entries are valid for this process only, and a Warning says so. If it is a store.Follower, copies in memory, SharedGlobal
	// ones too, learn of other processes' purges at once: from the first copy on, one goroutine follows the log, until Close.
	Far store.Store
	// FarBudget is how long one request may wait for Far, all its operations together. After that the handler runs. 0: 50 ms. New refuses
	// negative values, and values above one second.
	FarBudget time.Duration
	// User says who makes a request, for PerUser routes whose policy has no User.
	User keying.User
	// Skips are functions that policies name in SkipName, and tables as skip=NAME; see Policy.Skip. The map is copied.
	Skips map[string]func(*http.Request) bool
	// By are functions that policies name in VaryByName, and tables as by=NAME; see Policy.VaryBy. The map is copied.
	By map[string]func(*http.Request) string
	// Name is the cache's name in Cache-Status (RFC 9211). "": "larder"; "-": the header is not sent.
	Name string
	// Debug adds each response's key to Cache-Status. Keys identify nobody, but show which responses are the same: do not use it in
	// production.
	Debug bool
	// Observe is called with every event. The event about how a request was served comes on the request's goroutine, before the request
	// ends; other events may come on goroutines of the cache or of a store. So Observe must be quick, and safe for concurrent use. It may
	// call the Cache; a Close within it does not wait. If it panics, the request goes on, and another event reports the panic.
	//
	// nil: faults, warnings, recoveries, failed refreshes and purges that did not reach Redis go to [slog.Default], as [LogTo] writes
	// them. How requests are served is then not reported, and costs nothing. A function that does nothing silences everything.
	Observe func(Event)
	// Secret authenticates what is stored in Redis, and turns the keys there into HMACs, so that nobody can guess what is stored or plant
	// an entry. Use 32 random bytes, the same in every process. Empty: keys are plain digests, and entries have a checksum. It is copied.
	Secret []byte
	// TrustProxy says that a proxy in front sets X-Forwarded-Proto and X-Forwarded-Host. They then select the response, and the handlers
	// of shared classes see them. Use it only behind a proxy that sets or removes both on every request.
	//
	// false: the handlers of shared classes, even with RFC9111, do not see these two, nor other fields that name another URL (Forwarded,
	// X-Forwarded-Ssl, X-Original-Url and the like), unless the policy's Vary names them (without RFC9111, Vary or Pass).
	TrustProxy bool
}

// DefaultFarBudget is what an Options.FarBudget of 0 means.
const DefaultFarBudget = 50 * time.Millisecond

// maxFarBudget bounds how slow a Redis that hangs can make every request.
const maxFarBudget = time.Second

// memberName checks the cache's name in Cache-Status, which must be a token (RFC 9211 §2, RFC 8941 §3.3.4).
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

// checkNamed refuses functions that no policy could name or call.
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
