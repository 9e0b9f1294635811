package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/steering"
	"github.com/larder-go/cache/internal/surrogate"
	"github.com/larder-go/cache/internal/trace"
	"github.com/larder-go/cache/internal/user"
	"github.com/larder-go/cache/internal/valuecodec"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store"
)

// ErrLoop is the error of a load that needs its own value, again and again. The error that wraps it names the values of the cycle.
var ErrLoop = errors.New("cache: a load asks for its own value")

// Values caches data other than HTTP responses, with the same classes, tiers and purges, and one load per key. Make it with [NewValues].
// It is safe for concurrent use.
//
// With [SharedGlobal] a value stays in memory as it is, and all callers share it: nobody may change it. With the other classes values are
// encoded as msgpack: a value that was read from Redis has T's exported fields only. Times come back as the same instants in the local
// zone, and a pointer to a nil slice, map or pointer comes back as nil.
type Values[T any] struct {
	cache   *Cache
	name    string
	policy  Policy
	tags    []surrogate.Tag
	namer   keys.Namer
	realm   string
	kept    *valuecodec.Kept[T]
	reads   *readthrough.Cache
	load    func(ctx context.Context, id string) (T, error)
	observe func(middleware.Event) // nil: nobody listens
	alert   func(middleware.Event)
	share   middleware.Share // of the bounds that routes and Values share
}

// NewValues returns Values under a name, which no other Values of the cache may have.
//
// load makes the value of an id. If the caller's context is canceled, the load's context may live on for up to 30 seconds, because others
// may want the value; a deadline of the caller's always ends it. AddTags, SetTTL and NoStore work on the load's context. With PerUser, a
// background refresh has the user of the caller's context, and nothing else of it. With the other classes a load has no user.
//
// Of the policy, Class, TTL, NearTTL, the stale windows, MaxBody, MaxRuns and Tags apply; in a tag, {id} stands for the id. PerUser
// values belong to the user in the context (WithUser). Without a user they are loaded and not stored.
//
// MaxBody bounds the size of a value in bytes: with SharedGlobal its size in memory, with all that it points to; otherwise its size as
// msgpack, which may take sixteen times as much once it is decoded. A larger value is loaded each time. Redis keys depend on the fields
// of T and their types, so a build with other fields finds none of the values.
//
// If a load gets its own value with its context, or a value whose load waits for it, that value is loaded once more instead of waiting.
// If this happens again within that load, Get returns [ErrLoop].
//
// NewValues panics if the policy cannot work, and says what to do. It also panics if the class needs Redis and T could not come back from
// there unchanged, and names the place in T: func, chan, complex and interfaces with methods, structs without exported fields, types with
// only one half of a pair such as MarshalText and UnmarshalText, maps whose keys are pointers, and omitempty where msgpack omits more
// than zero values. An any must contain nil, bool, string, []byte, float32, float64, an int or uint of a given size, time.Time, []any or
// map[string]any; a value with anything else is not stored, and an event says so.
func NewValues[T any](c *Cache, name string, p Policy, load func(ctx context.Context, id string) (T, error)) *Values[T] {
	kept, err := checkValues[T](c, name, p)
	if err != nil {
		panic(fmt.Sprintf("cache: values %q: %v", name, err))
	}
	c.common.Names.RegisterValues(tagsOf(p), p.Class == PerUser)
	return &Values[T]{
		cache: c, name: name, policy: p, tags: tagsOf(p), namer: keys.NewNamer(c.secret), load: load,
		observe: c.observer(p.Class), alert: c.alerter(p.Class),
		realm: c.realm(p) + " " + kept.Type(), kept: kept,
		reads: c.readThrough(p, name, kept.Open),
	}
}

// checkValues checks the policy and the type, and returns what encodes values into entries.
func checkValues[T any](c *Cache, name string, p Policy) (*valuecodec.Kept[T], error) {
	if err := checkValuesPolicy(c, name, p); err != nil {
		return nil, err
	}
	kept, err := valuecodec.NewKept[T](name, p.Class != SharedGlobal, p.maxBody())
	if err != nil {
		return nil, fmt.Errorf("the type would not come back from Redis as it was: %w; or use class shared-global, which keeps it in memory", err)
	}
	return kept, nil
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

// Get returns the value of the id: from memory, from Redis, from another call's load, or from its own. An error is the load's, the
// context's, or [ErrLoop]; a fault of the cache is none. A value from memory is shared with other callers and must only be read, unless T
// has a method Clone() T: then each caller gets its own clone.
func (v *Values[T]) Get(ctx context.Context, id string) (T, error) {
	var who string
	if v.policy.Class == PerUser {
		if who, _ = user.Of(ctx); who == "" {
			v.report(Bypass, middleware.ReasonIdentity, nil)
			return v.load(ctx, id)
		}
	}
	text := v.namer.Text(v.realm, v.name, id, who)
	var f readthrough.Found
	_ = v.reads.Find(text, v.cache.common.Now(), &f) // the text has no query that could be refused
	text.Free()
	e := f.Entry
	if e != nil {
		f.Key = e.Key
	}
	if e != nil && f.Use == readthrough.Fresh && !e.NearingAt(f.Left) {
		if value, ok := v.value(e); ok {
			v.report(Hit, "", nil)
			return value, nil
		}
		e = nil
	}
	return (&valueCall[T]{v: v, ctx: ctx, id: id, user: who, key: f.Key}).get(e, f.Use)
}

// Purge purges the values of the ids, for all users, as [Cache.Purge] does. Without ids it does nothing.
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

// value returns the entry's value. If the entry has none, value reports that.
func (v *Values[T]) value(e *store.Entry) (value T, ok bool) {
	value, err := v.kept.Value(e)
	if err != nil {
		v.alert(middleware.Event{Route: v.name, Outcome: Fault, Reason: ReasonCorrupt, Err: err})
	}
	return value, err == nil
}

func (v *Values[T]) report(outcome Outcome, reason Reason, err error) {
	if v.observe != nil {
		v.observe(middleware.Event{Route: v.name, Outcome: outcome, Reason: reason, Err: err})
	}
}

// A valueCall is one Get that memory cannot serve at once, or one refresh. To the engine it is a [readthrough.Client], like a request for
// a response: the engine decides when to load, to wait, to serve a stale value and to refresh. What remains here is what differs: how a
// value is made, how it gets into an entry and out of it, and which events are emitted.
type valueCall[T any] struct {
	v    *Values[T]
	ctx  context.Context
	key  keying.Key
	id   string
	user string

	refreshes bool        // a background refresh: nobody waits for it
	cause     trace.Cause // why the load had to run

	value T // what the caller gets
	err   error

	loaded bool   // the load has returned a value, or an error
	reason Reason // why the value must not be stored
	fault  error  // the error behind reason, if there is one
}

// get serves the entry that memory has, which is stale or close to expiry, if there is one. Otherwise it goes to the stores.
func (c *valueCall[T]) get(e *store.Entry, use readthrough.Use) (T, error) {
	reads := c.v.reads
	if e != nil && reads.Answer(c, readthrough.Result{Entry: e, Use: use, Source: readthrough.Stored}) {
		return c.value, nil
	}
	call := reads.Call(c.ctx, "")
	if !call.Answer(c.key, c, nil) { // the entry has no value that can be served
		c.report(Miss, ReasonCorrupt, nil)
		return c.v.load(c.ctx, c.id)
	}
	return c.value, c.err
}

// Serve gives the caller the entry's value.
func (c *valueCall[T]) Serve(r readthrough.Result) (ok bool) {
	if c.value, ok = c.v.value(r.Entry); !ok {
		return false
	}
	c.err = nil // the stale value is served instead
	switch {
	case r.Source == readthrough.Shared:
		c.report(Shared, "", nil)
	case r.Use == readthrough.Fresh:
		c.v.report(Hit, "", nil)
	default:
		c.v.report(Stale, "", nil)
	}
	return true
}

// Missed reports a Get without an entry: its own load ran, or nothing did.
func (c *valueCall[T]) Missed(r readthrough.Result) {
	switch r.Source {
	case readthrough.Canceled:
		c.err = c.ctx.Err()
		c.report(Miss, middleware.ReasonCanceled, nil)
	case readthrough.Looped:
		c.err = fmt.Errorf("%w: %s", ErrLoop, readthrough.Cycle(c.ctx, c.key))
		c.report(Miss, middleware.ReasonLoop, c.err)
	default:
		c.reportLoad(r.Fate)
	}
}

// Refresh loads the value again in the background. Of the caller's context, only the user outlives the call: routers reuse what they put
// into it.
func (c *valueCall[T]) Refresh() {
	ctx := context.Background()
	if c.user != "" {
		ctx = user.With(ctx, c.user)
	}
	again := &valueCall[T]{v: c.v, ctx: ctx, key: c.key, id: c.id, user: c.user, refreshes: true}
	c.v.cache.common.Background(&c.v.share, c.key, again.refresh)
}

func (c *valueCall[T]) refresh(timeout context.Context) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	defer context.AfterFunc(timeout, cancel)()
	c.ctx = ctx
	defer func() {
		if p := recover(); p != nil {
			c.v.alert(middleware.Event{Route: c.v.name, Outcome: Refresh, Reason: middleware.ReasonPanic,
				Err: fmt.Errorf("cache: values %q: the load panicked: %v", c.v.name, p)})
		}
	}()
	call := c.v.reads.Call(c.ctx, "")
	c.reportLoad(call.Refresh(c.key, c))
}

// Load runs the load for the engine. Its context may outlast the caller's for a while, because others may wait for the value. What
// happens with each result:
//
//	a value             stored and shared, unless the load said NoStore or it is too large
//	an error            returned to the caller alone. If a stale value may be served in its place (StaleIfError), everybody
//	                    gets that, and an event reports the error
//	canceled            nothing is known of the value: one of the waiters loads it
func (c *valueCall[T]) Load(run *readthrough.Run) readthrough.Verdict {
	ctx, end := c.v.cache.common.Detach(c.ctx, &c.v.share)
	defer end()
	c.cause = run.Cause
	ctx, said := steering.Start(ctx, run, c.v.name, c.id, c.v.policy.Class != PerUser)
	returned := false
	defer func() {
		if !returned && !c.refreshes { // a refresh has another event for the panic
			c.report(Miss, middleware.ReasonPanic, nil)
		}
	}()
	c.value, c.err = c.v.load(ctx, c.id)
	returned = true
	if said.AskedWho() {
		c.v.cache.warnOnce(middleware.ReasonUserInShared, c.v.name, "values %q: %s", c.v.name, steering.AskedWho)
	}
	canceled := ctx.Err() != nil
	if c.err == nil && !canceled {
		c.loaded = true
		if c.reason, c.fault = c.fill(run.Entry, said); c.reason != "" {
			return readthrough.Uncacheable
		}
		return readthrough.Cacheable
	}
	if c.err != nil && run.Fallback() {
		c.reportHidden(c.err)
		return readthrough.ServeOld
	}
	c.loaded, c.reason, c.fault = true, middleware.ReasonError, c.err
	if canceled {
		c.reason = middleware.ReasonCanceled
		return readthrough.Aborted
	}
	return readthrough.Uncacheable
}

// fill fills the entry, or says why the value cannot be stored.
func (c *valueCall[T]) fill(e *store.Entry, said *steering.Steering) (Reason, error) {
	tags, ttl, noStore := said.Said()
	if noStore {
		return middleware.ReasonHandler, nil
	}
	p := c.v.policy
	if e.Labels = c.labels(tags); len(e.Labels) > store.MaxLabels {
		return middleware.ReasonLabels, nil
	}
	e.Stored, e.Fresh = time.Now(), readthrough.Spread(p.ttl(), c.key)
	if ttl > 0 {
		e.Fresh = min(e.Fresh, ttl)
	}
	e.WhileRevalidate, e.IfError = p.StaleWhileRevalidate, p.ifError()
	switch err := c.v.kept.Put(e, c.value); {
	case errors.Is(err, valuecodec.ErrTooLarge):
		return middleware.ReasonSize, nil
	case err != nil:
		return ReasonValue, fmt.Errorf("cache: values %q: a value cannot be kept in Redis: %w", c.v.name, err)
	}
	return "", nil
}

func (c *valueCall[T]) labels(added []string) []keying.Label {
	l := c.v.cache.labeler
	labels := []keying.Label{l.Value(c.v.name, c.id)}
	if c.user != "" {
		labels = append(labels, l.User(c.user))
	}
	for _, tag := range c.v.tags {
		if text, ok := tag.Fill(func(string) string { return c.id }); ok {
			labels = append(labels, l.Tag(text))
		}
	}
	c.v.cache.common.Names.AddTags(added...)
	for _, text := range added {
		labels = append(labels, l.Tag(text))
	}
	return labels
}

// reportLoad reports the outcome of the load, once it is known whether the value was stored.
func (c *valueCall[T]) reportLoad(fate readthrough.Fate) {
	if c.loaded {
		c.report(Miss, cmp.Or(c.reason, middleware.FateReason(fate)), c.fault)
	}
}

// report emits the outcome of a run. If it is a refresh, the outcome is Refresh.
func (c *valueCall[T]) report(outcome Outcome, reason Reason, err error) {
	switch {
	case c.refreshes && err != nil:
		c.v.alert(middleware.Event{Route: c.v.name, Outcome: Refresh, Reason: reason, Err: err})
	case c.refreshes:
		c.v.report(Refresh, reason, nil)
	case c.v.observe != nil:
		c.v.observe(middleware.Event{Route: c.v.name, Outcome: outcome, Reason: reason, Cause: Reason(c.cause), Err: err})
	}
}

// reportHidden reports the error of a load, if a stale value is served instead: no caller gets the error.
func (c *valueCall[T]) reportHidden(err error) {
	outcome := Fault
	if c.refreshes {
		outcome = Refresh
	}
	c.v.alert(middleware.Event{Route: c.v.name, Outcome: outcome, Reason: middleware.ReasonError, Err: err})
}
