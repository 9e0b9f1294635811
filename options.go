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
	// Caches may share one: its room is then common, while each reads what it has put there itself, or what a Far store that
	// is common, too, stands behind.
	Near store.Store
	// Far is what processes share: a redisstore. nil: only SharedGlobal routes can be registered. It stays the caller's to
	// close, after the Cache. If it is a store.Log, purges reach every process that shares it. If not, its entries are good
	// for this process alone, and a Warning says so; also where Far wraps a store and hides that this is a store.Log. If it is
	// a store.Follower, too, copies in memory, SharedGlobal ones among them, learn of
	// purges elsewhere at once: from the first copy on one goroutine follows the log, until Close.
	Far store.Store
	// FarBudget is how long one request waits for Far, all its operations together; then the handler answers. 0: 50 ms;
	// negative or more than a second is refused.
	FarBudget time.Duration
	// User is the identity for PerUser routes whose policy has none.
	User keying.User
	// Skips are functions that policies name in SkipName, tables as skip=NAME; see Policy.Skip. The map is copied.
	Skips map[string]func(*http.Request) bool
	// By are functions that policies name in VaryByName, tables as by=NAME; see Policy.VaryBy. The map is copied.
	By map[string]func(*http.Request) string
	// Name is this cache's name in Cache-Status (RFC 9211). "": "larder"; "-": the header is not sent.
	Name string
	// Debug adds each answer's key to Cache-Status. Keys name nobody, but tell which answers are the same: not for production.
	Debug bool
	// Observe is told every outcome, how a request was answered on its goroutine and before it ends: it must be quick and safe
	// for concurrent use. It may call the Cache; a Close in it waits for nothing. If it panics, the request goes on and it is
	// told of that. nil: faults, warnings, recoveries, refreshes that failed and
	// purges that Redis was not told of go to [slog.Default], as [LogTo]
	// writes them, and how requests are answered is told to nobody, which costs nothing. A function that does nothing silences
	// all of it.
	Observe func(Event)
	// Secret authenticates what is kept in Redis, and makes keys there HMACs, so that nobody can guess what is kept or plant
	// an entry. Use 32 random bytes, the same in every process. Empty: keys are plain digests, entries carry a checksum.
	Secret []byte
	// TrustProxy says that a proxy in front sets X-Forwarded-Proto and X-Forwarded-Host: they then select the answer and the
	// handlers of shared classes see them. false: those handlers do not, nor, with RFC9111 too, others that tell of another URL
	// (Forwarded, X-Forwarded-Ssl, X-Original-Url and the like) unless the policy's Vary names them. Only for a proxy that sets or
	// removes both on every request.
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
