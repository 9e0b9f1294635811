// Package redisstore keeps entries and the purge log in Redis 6.2 or newer, alone, as a cluster or behind Sentinel. A
// Redis that is down, hung or slow costs a request at most one short time-out, and soon nothing.
//
//	far, err := redisstore.Open("redis://:password@redis.internal:6379/0", redisstore.Options{Prefix: "shop"})
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
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Options say how a Store uses Redis. The zero Options are ready to use in a program that was built from a module.
type Options struct {
	// Prefix is what all keys begin with, the app's name: 256 letters, digits and "._~+/:@-" at most. Whoever shares a prefix
	// shares entries and purges, so whoever purges must use the app's own, and two apps on one Redis must not have the same.
	// "": the path of the program's main module, as "go version -m" prints it; a Cache tells by an event which that is. Where
	// there is none, in tests, plugins and programs run from single files, the Store is refused.
	Prefix string
	// Build keeps the entries of one build of the app apart from those of others with the same Prefix, where their answers
	// must not mix while one takes the other's place; purges reach all of them. It is made of letters, digits and "._+-",
	// and 64 bytes long at most. "": builds share their entries, and what another layout or format has left is a miss.
	Build string
	// MaxBytes is the size of the largest encoded entry that is written or read; 0 or less: 16 MiB.
	MaxBytes int
	// TLS is for [Open] and URLs with rediss: roots, client certificates and whatever else encrypted connections need. It is
	// cloned; without a ServerName it gets the URL's host; its ClientSessionCache is not used. nil: the system's roots. A
	// client that is given to [New] has its own.
	TLS *tls.Config
}

// layout is the version of what is written under which key; another version's keys are never looked at.
const layoutVersion = "1"

var buildName = regexp.MustCompile(`^[A-Za-z0-9._+-]{0,64}$`)

// A Store keeps entries in Redis, under "<prefix>:1:<key>" or "<prefix>:1:<build>:<key>", the purges of all processes that
// share it in a stream, "<prefix>:1:log", and each hour's hottest keys in a sorted set beside the entries, "…:hot:<hour>".
// Every key has a time to live. A Store is made by [New] or [Open] and is safe for concurrent use.
type Store struct {
	*shared
	codec      store.Codec
	log        *purgeLog
	rankPrefix string // prefix of the rankings
	nodes      *nodes
}

var (
	_ store.Store    = (*Store)(nil)
	_ store.Log      = (*Store)(nil)
	_ store.Poster   = (*Store)(nil)
	_ store.Catcher  = (*Store)(nil)
	_ store.Follower = (*Store)(nil)
	_ store.Sealer   = (*Store)(nil)
	_ store.Ranker   = (*Store)(nil)
	_ store.Reporter = (*Store)(nil)
	_ store.Warner   = (*Store)(nil)
)

// link is what a Store shares with those that Sealed made of it.
type shared struct {
	client        redis.UniversalClient
	prefixOption  string // Options.Prefix
	prefixDerived bool   // it was made up
	prefix        string
	entryPrefix   string // prefix of the entries
	maxBytes      int
	maxBytesArg   any           // maxBytes as an argument
	budget        time.Duration // of one Get, Set or Delete
	reads         *breaker
	writes        *breaker
	circuitEvents listeners
	faultEvents   listeners
	probe         probe
	oversized     oversizedEntries
	detectsDead   bool        // go-redis, which connections of its pool are dead
	leasesOff     atomic.Bool // Redis refuses what leases are made with
	close         func() error
	sentinel      *sentinel       // nil: none, or none that we know of
	ctx           context.Context // ends with Close
	cancel        context.CancelFunc
}

// New returns a Store on the client, which stays the caller's to close. A client that could hold a request up, or
// that reads from replicas, is refused with an error that names every option to change; [Tune], [TuneCluster],
// [TuneFailover] and [TuneUniversal] set them. A UniversalClient that is no *redis.Client, *redis.ClusterClient or
// *redis.Ring is taken on trust. Nothing is dialled.
func New(client redis.UniversalClient, o Options) (*Store, error) {
	budget, err := check(client)
	if err != nil {
		return nil, fmt.Errorf("redisstore: the client's options do not suit a cache; %s\n%w", remedy(client), err)
	}
	return o.newStore(client, budget)
}

// on returns a Store on a client that suits.
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
		client: client, prefixOption: o.Prefix, prefixDerived: derived, prefix: o.Prefix + ":" + layoutVersion + ":", maxBytes: o.MaxBytes, maxBytesArg: o.MaxBytes, budget: budget,
		close: func() error { return nil },
	}
	s.reads = newBreaker(func(err error) { s.notifyCircuit(store.Reads, err) })
	s.writes = newBreaker(func(err error) { s.notifyCircuit(store.Writes, err) })
	s.entryPrefix = s.prefix
	if o.Build != "" {
		s.entryPrefix += o.Build + ":"
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return &Store{shared: s, log: newPurgeLog(s.prefix + "log"), rankPrefix: s.entryPrefix + "hot:", nodes: new(nodes)}, nil
}

// Close ends [Store.Follow], gives up purges that Redis could not be told of, and closes the client if [Open] made it, for this Store and for those that Sealed made of it.
func (s *Store) Close() error {
	s.cancel()
	return s.close()
}

// Sealed returns a Store on the same client whose entries and purge records are authenticated under the secret, which is
// copied. It has a purge log and rankings of its own.
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

func (s *shared) entryName(key keying.Key) string { return s.entryPrefix + key.String() }

// names are those of the keys' entries, one after the other, and how long each is.
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
