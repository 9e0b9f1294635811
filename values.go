package cache

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/user"
	"github.com/larder-go/cache/internal/valuecodec"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store"
)

// ErrLoop is a load that asks for its own value within itself, again and again. What wraps it says how it came to that.
var ErrLoop = errors.New("cache: a load asks for its own value")

// Values reads data through the cache: the same classes, tiers, purges and one load per key as for answers, for what is
// no HTTP answer. In memory alone ([SharedGlobal]) a value is kept as it is. Of the other classes values leave the process
// as msgpack, and T's exported fields are what a process that reads them from Redis gets; times are the same instants in the
// local zone, and a pointer to a nil slice, map or pointer is nil. Make it with [NewValues]; it is safe for concurrent use.
type Values[T any] struct {
	cache   *Cache
	name    string
	policy  Policy
	tags    []middleware.Tag
	namer   keys.Namer
	realm   string
	clone   func(T) T         // nil: it cannot be cloned
	codec   *valuecodec.Codec // nil: values stay in the process, as they are
	through *readthrough.Cache
	load    func(ctx context.Context, id string) (T, error)
	observe func(middleware.Event) // nil: nobody listens
	tell    func(middleware.Event)
	share   middleware.Share // of what routes and Values have in common
}

// NewValues returns read-through values under a name, which must be one T's alone within the cache. Load
// makes the value of an id; its context ends with the caller's, unless others are waiting for the value, and AddTags, SetTTL
// and NoStore work on it. A refresh in the background has the user of the caller's context, if the class is PerUser,
// and nothing else; the loads of other classes know no user. Of the policy,
// Class, TTL, NearTTL, the stale windows, MaxBody, MaxRuns and Tags count, in which {id} stands for the id. PerUser values belong to
// the user of the context (WithUser); without one they are loaded and not kept.
//
// MaxBody bounds what a value takes: in memory alone its own bytes and those of all it leads to, and otherwise its msgpack,
// which may take sixteen times as much decoded. What is larger is loaded each time. Values in Redis belong to the fields of T
// and their types: a build with others finds none of them.
//
// A load that asks for its own value with its context, or for one whose load waits for it, has it loaded once more instead
// of waiting; beyond that it gets [ErrLoop].
//
// NewValues panics if the policy cannot work, and says what to do; so it does if the class needs Redis and T could not come
// back from there as it was, with the place in T: func, chan, complex and interfaces with methods, structs without exported
// fields, types with only one half of a pair like MarshalText and UnmarshalText, keys of maps that are pointers, omitempty
// where msgpack leaves out more than zero values. What an any holds must be nil, bool, string, []byte, float32, float64, an
// int or uint of a given size, time.Time, []any or map[string]any; other values are not kept, and an event says so.
func NewValues[T any](c *Cache, name string, p Policy, load func(ctx context.Context, id string) (T, error)) *Values[T] {
	codec, err := checkValues(c, name, p, reflect.TypeFor[T]())
	if err != nil {
		panic(fmt.Sprintf("cache: values %q: %v", name, err))
	}
	c.common.Names.RegisterValues(tagsOf(p), p.Class == PerUser)
	v := &Values[T]{
		cache: c, name: name, policy: p, tags: tagsOf(p), namer: keys.NewNamer(c.secret), load: load,
		observe: c.observer(p.Class), tell: c.teller(p.Class),
		realm: valuesRealm(c.realm(p), reflect.TypeFor[T](), codec), clone: cloner[T](), codec: codec,
	}
	v.through = readthrough.New(c.storeOf(p, v.arrived), c.log, c.farBudget, c.reporter(p.Class, name)).LimitRuns(p.maxRuns()).Trace(&c.traces)
	return v
}

// valuesRealm is what values of other types never mix with. In memory a type is known by its address: types of two functions,
// or of two packages of one name, may have the same text.
func valuesRealm(of string, t reflect.Type, codec *valuecodec.Codec) string {
	if codec == nil {
		return fmt.Sprintf("%s %x", of, reflect.ValueOf(t).Pointer())
	}
	return of + " " + codec.Digest()
}

// checkValues returns the codec of values that leave the process.
func checkValues(c *Cache, name string, p Policy, t reflect.Type) (*valuecodec.Codec, error) {
	if err := checkValuesPolicy(c, name, p); err != nil || p.Class == SharedGlobal {
		return nil, err
	}
	codec, err := valuecodec.New(t, p.maxBody())
	if err != nil {
		return nil, fmt.Errorf("the type would not come back from Redis as it was: %w; or use class shared-global, which keeps it in memory", err)
	}
	return codec, nil
}

func checkValuesPolicy(c *Cache, name string, p Policy) error {
	if name == "" {
		return fmt.Errorf("the name is empty; name what is loaded, \"product\" for example")
	}
	if len(p.Vary)+len(p.Cookies)+len(p.Pass)+len(p.StatusTTL) > 0 || !p.Query.Raw() || p.User != nil || p.IgnoreAuthorization || p.RFC9111 || p.Client != "" || p.Skip != nil || p.SkipName != "" || p.varies() {
		return fmt.Errorf("its Vary, Cookies, Query, User, Pass, StatusTTL, IgnoreAuthorization, RFC9111, Client, Skip and VaryBy are about requests; leave them out")
	}
	if p.Class == PerUser {
		p.User = keying.FromContext() // what Get reads
	}
	if err := c.check(p); err != nil {
		return err
	}
	return checkParams(p, "/{id}")
}

// Get returns the value of the id: from memory, from Redis, from another call's load, or from its own. An error is the
// load's, or the context's; a fault of the cache is none. A value found in memory is shared with other callers and must
// only be read, unless T has a method Clone() T, which then makes each caller's own.
func (v *Values[T]) Get(ctx context.Context, id string) (T, error) {
	var who string
	if v.policy.Class == PerUser {
		if who, _ = user.Of(ctx); who == "" {
			v.report(Bypass, middleware.ReasonIdentity, nil)
			return v.load(ctx, id)
		}
	}
	now := v.cache.common.Now()
	text := v.namer.Text(v.realm, v.name, id, who)
	var f readthrough.Found
	_ = v.through.Find(text, now, &f) // the text has no query that could be refused
	text.Free()
	if e := f.Entry; e != nil {
		if value, ok := v.open(e); ok {
			if f.Use == readthrough.Fresh && !e.NearingAt(f.Left) {
				v.report(Hit, "", nil)
			} else {
				(&call[T]{v: v, ctx: ctx, id: id, user: who, key: e.Key}).found(e, f.Use)
			}
			return value, nil
		}
		f.Key = e.Key
	}
	return (&call[T]{v: v, ctx: ctx, id: id, user: who, key: f.Key}).get()
}

// Purge makes the values of the ids gone, as [Cache.Purge] does, for all users. Without ids it does nothing.
func (v *Values[T]) Purge(ctx context.Context, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	var r store.Record
	for _, id := range ids {
		r.Labels = append(r.Labels, v.cache.labeler.Value(v.name, id))
	}
	return v.cache.append(ctx, r)
}

func (v *Values[T]) report(outcome Outcome, reason Reason, err error) {
	if v.observe != nil {
		v.observe(middleware.Event{Route: v.name, Outcome: outcome, Reason: reason, Err: err})
	}
}
