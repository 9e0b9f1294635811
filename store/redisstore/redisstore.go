// Package redisstore is a store that many processes share: entries, leases and the purge log live in Redis 6.2 or newer,
// on one server, on a cluster or behind Sentinel. A Redis that is down, hung or slow costs a request at most one
// short time-out. After a few of those a circuit breaker opens, and requests do not call Redis for a while.
//
//	far, err := redisstore.Open("redis://:password@redis.internal:6379/0", redisstore.Options{Prefix: "shop"})
//
// Where things are: entries.go and batch.go read and write entries, lease.go decides which process runs a handler,
// log.go, catchup.go, pending.go and follow.go are the purge log, and roundtrip.go and breaker.go stand between all of
// them and Redis.
package redisstore

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A Store implements everything that a cache can use of a shared store.
var (
	_ store.Store    = (*Store)(nil)
	_ store.Follower = (*Store)(nil)
	_ store.Sealer   = (*Store)(nil)
	_ store.Reporter = (*Store)(nil)
)

// Options say how a Store uses Redis. In a program that was built from a module, the zero value is ready to use.
type Options struct {
	// Prefix begins the name of every key: the name of the app, up to 256 letters, digits and "._~+/:@-". Processes with
	// the same prefix share entries and purges. So a program that purges an app's responses must use the app's prefix,
	// and two apps on one Redis must have different ones.
	//
	// "" means the path of the program's main module, as "go version -m" prints it; a Cache reports it in an event.
	// Tests, plugins and programs run from single files have none: they need a Prefix.
	Prefix string
	// Build separates the entries of incompatible builds of the app, for example during a rolling deploy. A process finds
	// only entries, leases and rankings of its own build. The purge log has no build: a purge by one build reaches the entries
	// of all. It is up to 64 letters, digits and "._+-".
	//
	//	process of build v1          process of build v2
	//	stores /p as v1 renders it   misses /p, and stores it as v2 renders it
	//	                             purges /p: both entries are gone
	//	misses /p, stores it again
	//
	// "" means that all builds share their entries. An entry whose format this version of Larder does not know is a
	// miss in any case; Build is for responses that changed while the format did not.
	Build string
	// MaxBytes is the size, in bytes, of the largest encoded entry that is written or read. 0 or less means 16 MiB.
	MaxBytes int
	// TLS configures the encrypted connections of [Open]: roots, client certificates, ServerName. It needs a URL that
	// begins with rediss. With any other URL it is an error rather than ignored, as it is with [New], whose client has its own
	// configuration. It is cloned. Without a ServerName the URL's host is used, and ClientSessionCache is not used. Nil means the
	// system's roots.
	TLS *tls.Config
}

// layoutVersion is part of every key name. It changes when the layout of stored data changes: then old and new
// processes share nothing, and the old keys end with their time to live.
const layoutVersion = "1"

// A Store uses these keys in Redis, each with a time to live:
//
//	PREFIX:1:KEY                   an entry; with a build PREFIX:1:BUILD:KEY
//	PREFIX:1:lease:{ENTRY'S NAME}  a lease: who runs the handler for this entry
//	PREFIX:1:log                   the purge log, a stream that all builds share
//	PREFIX:1:hot:HOUR              the most requested keys of an hour; with a build PREFIX:1:BUILD:hot:HOUR
//
// A Store is created by [New] or [Open] and is safe for concurrent use. It never holds an entry in the memory of the process.
type Store struct {
	*shared
	codec      store.Codec
	log        *purgeLog
	rankPrefix string // of the rankings
	nodes      *nodes // not shared: their batches read this Store's log
}

// shared is what a Store has in common with the Stores that Sealed derives from it: one client, one set of circuit
// breakers, one probe. They differ in codec, purge log and rankings.
type shared struct {
	client        redis.UniversalClient
	prefixOption  string // Options.Prefix, or what was derived instead
	prefixDerived bool
	prefix        string // of every key: PREFIX:1:
	entryPrefix   string // of the entries: PREFIX:1: or PREFIX:1:BUILD:
	maxBytes      int
	maxBytesArg   any           // maxBytes as a command argument: as an int, it would be allocated for each read
	budget        time.Duration // the longest that one operation may take
	circuits                    // of Redis as a whole
	events
	probe       probe
	oversized   oversizedEntries
	detectsDead bool        // go-redis notices which idle connections are dead
	leasesOff   atomic.Bool // Redis refuses a command that leases need
	close       func() error
	sentinel    *sentinel       // nil: there is none, or the client is the caller's
	ctx         context.Context // ends with Close
	cancel      context.CancelFunc
}

// New returns a Store on a client of the caller's, which remains the caller's to close. Nothing is dialled.
//
// New refuses a client if one of its options could hold up a request, or if it reads from replicas. The error names every
// option to change; [Tune], [TuneCluster], [TuneFailover] and [TuneUniversal] set them. Options can only be read from a
// *redis.Client, *redis.ClusterClient or *redis.Ring: any other UniversalClient is taken on trust.
func New(client redis.UniversalClient, o Options) (*Store, error) {
	budget, err := check(client)
	if err != nil {
		return nil, fmt.Errorf("redisstore: the client's options do not suit a cache; %s\n%w", remedy(client), err)
	}
	return o.newStore(client, budget)
}

// newStore returns a Store on a client whose options have been checked. One operation may take as long as the budget.
func (o Options) newStore(client redis.UniversalClient, budget time.Duration) (*Store, error) {
	if !buildName.MatchString(o.Build) {
		return nil, fmt.Errorf(`redisstore: Options.Build is %q; use at most 64 letters, digits and "._+-"`, o.Build)
	}
	if o.TLS != nil {
		return nil, errors.New("redisstore: Options.TLS is for Open; set TLSConfig in the options of your client")
	}
	derived, err := o.fillPrefix()
	if err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 16 << 20
	}
	s := &shared{
		client: client, budget: budget, close: func() error { return nil },
		prefixOption: o.Prefix, prefixDerived: derived, prefix: o.Prefix + ":" + layoutVersion + ":",
		maxBytes: o.MaxBytes, maxBytesArg: o.MaxBytes,
	}
	s.circuits = newCircuits(&s.events)
	s.entryPrefix = s.prefix
	if o.Build != "" {
		s.entryPrefix += o.Build + ":"
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return &Store{shared: s, log: newPurgeLog(s.prefix + "log"), rankPrefix: s.entryPrefix + "hot:", nodes: new(nodes)}, nil
}

// Close ends [Store.Follow] and the timers of this Store and of those that Sealed derived from it. Purges that Redis has
// not received yet are given up. The client is closed if [Open] made it.
func (s *Store) Close() error {
	s.cancel()
	return s.close()
}

// Sealed returns a Store on the same client whose entries and purge records are authenticated under the secret, which
// is copied. It has a purge log and rankings of its own, because it cannot trust the records of others. Closing either
// Store closes both.
func (s *Store) Sealed(secret []byte) store.Store {
	secret = slices.Clone(secret)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("log"))
	id := hex.EncodeToString(mac.Sum(nil)[:4])
	return &Store{
		shared: s.shared, codec: store.NewCodec(secret), log: newPurgeLog(s.prefix + "log:" + id),
		rankPrefix: s.entryPrefix + "hot:" + id + ":", nodes: new(nodes),
	}
}

// withBudget bounds ctx by the budget, unless its deadline comes sooner.
func (s *shared) withBudget(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= s.budget {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.budget)
}

// entryName is the name of the key's entry in Redis.
func (s *shared) entryName(key keying.Key) string { return s.entryPrefix + key.String() }

// entryNames returns the names of the keys' entries, concatenated, and the length of each. A batch needs up to 64
// names: one string for all of them is one allocation.
func (s *shared) entryNames(keys []keying.Key) (all string, each int) {
	each = len(s.entryPrefix) + base64.RawURLEncoding.EncodedLen(len(keying.Key{}))
	var b strings.Builder
	var text []byte
	b.Grow(len(keys) * each)
	for i := range keys {
		text, _ = keys[i].AppendText(text[:0])
		b.WriteString(s.entryPrefix)
		b.Write(text)
	}
	return b.String(), each
}

// The prefix separates apps that share one Redis.

// maxPrefix is long enough for the path of any module.
const maxPrefix = 256

// buildName allows no colon: with one, a build could be named like the end of another build's keys.
var buildName = regexp.MustCompile(`^[A-Za-z0-9._+-]{0,64}$`)

// prefixName allows no braces, which on a cluster say which keys live together, and no character with a meaning in the
// key patterns of an access list.
var prefixName = regexp.MustCompile(`^[A-Za-z0-9._~+/:@-]+$`)

// errNoPrefix requires a prefix if none can be derived.
var errNoPrefix = errors.New("Options.Prefix is empty and none can be made of the app's module, because this binary has no " +
	"module path of its own (a test, a plugin, a program run from single files); set Prefix to the app's name, the same in every " +
	"process that shares or purges its answers")

// fillPrefix checks the prefix, or derives one from the path of the main module. Otherwise, two apps on one Redis that
// both leave it empty would read each other's responses.
func (o *Options) fillPrefix() (derived bool, err error) {
	switch {
	case o.Prefix == "":
		info, _ := debug.ReadBuildInfo()
		o.Prefix, derived = modulePath(info), true
		if o.Prefix == "" {
			return true, errNoPrefix
		}
	case len(o.Prefix) > maxPrefix || !prefixName.MatchString(o.Prefix):
		return false, fmt.Errorf(`Options.Prefix is %.300q; use at most %d letters, digits and "._~+/:@-"`, o.Prefix, maxPrefix)
	}
	return derived, nil
}

// modulePath returns the path of the module that the running program was built from, or "". A test binary has one, too,
// but it is the app's: a test must not read or purge what the app has in Redis.
func modulePath(info *debug.BuildInfo) string {
	if info == nil || strings.HasSuffix(info.Path, ".test") || !prefixName.MatchString(info.Main.Path) || len(info.Main.Path) > maxPrefix {
		return ""
	}
	return info.Main.Path
}

// Warning returns an error that names the derived prefix, or nil if Options have a prefix.
func (s *Store) Warning() error {
	if !s.prefixDerived {
		return nil
	}
	return fmt.Errorf("redisstore: Options.Prefix is empty, so keys begin with %q, the main module's path; whoever shares or "+
		"purges these answers must use the same Prefix, and another app of this module one of its own", s.prefixOption)
}
