package cache

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store"
)

// Values reads data through the cache: the same classes, tiers, purges and one load per key as for answers, for what is
// no HTTP answer. Values leave the process as msgpack, so that T's exported fields are what a process that reads them from
// Redis gets. Make it with [NewValues]; it is safe for concurrent use.
type Values[T any] struct {
	cache   *Cache
	name    string
	policy  Policy
	tags    []middleware.Tag
	namer   keying.Namer
	realm   string
	clone   func(T) T // nil: it cannot be cloned
	through *store.Through
	load    func(ctx context.Context, id string) (T, error)
	observe func(middleware.Event)
}

// NewValues returns read-through values under a name, which must be one T's alone within the cache and in Redis. Load
// makes the value of an id; its context ends with the caller's, unless others are waiting for the value, and AddTags, SetTTL
// and NoStore work on it. A refresh in the background has the user of the caller's context and nothing else. Of the policy,
// Class, TTL, NearTTL, the stale windows, MaxBody, MaxRuns and Tags count, in which {id} stands for the id. PerUser values belong to
// the user of the context (WithUser); without one they are loaded and not kept. NewValues panics if the policy cannot work,
// and says what to do.
func NewValues[T any](c *Cache, name string, p Policy, load func(ctx context.Context, id string) (T, error)) *Values[T] {
	if err := checkValues(c, name, p); err != nil {
		panic(fmt.Sprintf("cache: values %q: %v", name, err))
	}
	observe := c.observer(p.Class)
	return &Values[T]{
		cache: c, name: name, policy: p, tags: tagsOf(p), namer: keying.NewNamer(c.secret), load: load, observe: observe,
		realm: c.realm(p), clone: cloner[T](),
		through: store.NewThrough(c.storeOf(p), c.log, c.farBudget, c.faults(name, observe)).Limit(p.maxRuns()),
	}
}

func checkValues(c *Cache, name string, p Policy) error {
	if name == "" {
		return fmt.Errorf("the name is empty; name what is loaded, \"product\" for example")
	}
	if len(p.Vary)+len(p.Cookies)+len(p.Pass)+len(p.StatusTTL) > 0 || !p.Query.Raw() || p.User != nil || p.IgnoreAuthorization || p.RFC9111 {
		return fmt.Errorf("its Vary, Cookies, Query, User, Pass, StatusTTL, IgnoreAuthorization and RFC9111 are about requests; leave them out")
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
	user, _ := keying.UserOf(ctx)
	if v.policy.Class == PerUser && user == "" {
		v.report(Bypass, middleware.IdentityReason, nil)
		return v.load(ctx, id)
	}
	if v.policy.Class != PerUser {
		user = ""
	}
	now := v.cache.common.Now()
	text := v.namer.Text(v.realm, v.name, id, user)
	var f store.Found
	_ = v.through.Find(text, now, &f) // the text has no query that could be refused
	text.Free()
	if e := f.Entry; e != nil {
		if value, ok := v.open(e); ok {
			if f.Use == store.Fresh && !e.NearingAt(f.Left) {
				v.report(Hit, "", nil)
			} else {
				(&call[T]{v: v, ctx: ctx, id: id, user: user, key: e.Key}).found(e, f.Use)
			}
			return value, nil
		}
		f.Key = e.Key
	}
	return (&call[T]{v: v, ctx: ctx, id: id, user: user, key: f.Key}).get()
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

// open returns the entry's value.
func (v *Values[T]) open(e *store.Entry) (value T, ok bool) {
	if value, ok = e.Memo().(T); !ok {
		decoded := v.decode(e)
		if decoded == nil {
			return value, false
		}
		value = *decoded
	}
	if v.clone != nil {
		value = v.clone(value)
	}
	return value, true
}

// decode reads the value from the entry's body and leaves it with the entry; nil is a body that is of no use.
func (v *Values[T]) decode(e *store.Entry) *T {
	err := store.CheckMsgpack(e.Body)
	value := new(T)
	if err == nil {
		if err = msgpack.Unmarshal(e.Body, value); err != nil {
			err = fmt.Errorf("cache: values %q: the kept value is no %T: %w", v.name, *value, err)
		}
	}
	if err != nil {
		v.report(Fault, CorruptReason, err)
		return nil
	}
	e.SetMemo(*value)
	return value
}

// cloner returns what makes a caller's own copy of a value, or nil if T has no Clone. It is found once: to ask each value
// would cost an allocation.
func cloner[T any]() func(T) T {
	own := func(value T) T {
		if c, clones := any(value).(interface{ Clone() T }); clones {
			return c.Clone()
		}
		return value
	}
	t := reflect.TypeFor[T]()
	if t.Kind() == reflect.Interface || t.Implements(reflect.TypeFor[interface{ Clone() T }]()) {
		return own // of an interface each value tells for itself
	}
	return nil
}

func (v *Values[T]) report(outcome Outcome, reason Reason, err error) {
	if v.observe != nil {
		v.observe(middleware.Event{Route: v.name, Outcome: outcome, Reason: reason, Err: err})
	}
}

// call is one Get.
type call[T any] struct {
	v    *Values[T]
	ctx  context.Context
	key  keying.Key
	id   string
	user string

	value T
	err   error
}

// get reads through the store.
func (c *call[T]) get() (T, error) {
	r := c.v.through.Get(c.ctx, c.key, c.run)
	if r.Source == store.HungUp {
		return c.value, c.ctx.Err()
	}
	if r.Entry == nil {
		return c.value, c.err
	}
	value, ok := c.v.open(r.Entry)
	if !ok { // of another build, say: what is kept is of no use
		return c.v.load(c.ctx, c.id)
	}
	c.found(r.Entry, r.Use)
	return value, nil
}

// found reports a hit, and refreshes a value that is stale, or nearly so, in the background.
func (c *call[T]) found(e *store.Entry, use store.Use) {
	again := use == store.WhileRefreshed
	if use == store.Fresh {
		c.v.report(Hit, "", nil)
		again = c.v.through.Early(e, time.Now())
	} else {
		c.v.report(Stale, "", nil)
	}
	if again {
		// Nothing else of the caller's context outlives the call: routers reuse what they put into it.
		ctx := context.Background()
		if user, ok := keying.UserOf(c.ctx); ok {
			ctx = keying.WithUser(ctx, user)
		}
		again := &call[T]{v: c.v, ctx: ctx, key: c.key, id: c.id, user: c.user}
		c.v.cache.common.Background(c.key, again.refresh)
	}
}

func (c *call[T]) refresh(timeout context.Context) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	defer context.AfterFunc(timeout, cancel)()
	c.ctx = ctx
	defer func() {
		if p := recover(); p != nil {
			c.v.report(Refresh, middleware.PanicReason, fmt.Errorf("cache: values %q: the load panicked: %v", c.v.name, p))
		}
	}()
	c.v.through.Refresh(c.ctx, c.key, c.run)
	c.v.report(Refresh, "", c.err)
}

// run is the load of store.Through.
func (c *call[T]) run(run *store.Run) store.Outcome {
	ctx, end := c.v.cache.common.Detach(c.ctx)
	defer end()
	ctx, said := middleware.Steer(ctx)
	c.value, c.err = c.v.load(ctx, c.id)
	switch {
	case c.err != nil && run.Old != nil:
		return store.Old
	case ctx.Err() != nil:
		return store.Fail
	case c.err != nil:
		c.v.report(Miss, middleware.ErrorReason, c.err)
		return store.Refuse
	}
	reason, err := c.fill(run.Entry, said)
	c.v.report(Miss, reason, err)
	if reason != "" {
		return store.Refuse
	}
	return store.Keep
}

// fill makes the entry, or says why the value cannot be kept.
func (c *call[T]) fill(e *store.Entry, said *middleware.Steering) (Reason, error) {
	tags, ttl, noStore := said.Said()
	if noStore {
		return middleware.HandlerReason, nil
	}
	body, err := msgpack.Marshal(c.value)
	if err != nil {
		return middleware.HandlerReason, fmt.Errorf("cache: values %q: %T cannot be written as msgpack: %w", c.v.name, c.value, err)
	}
	p := c.v.policy
	if int64(len(body)) > p.maxBody() {
		return middleware.SizeReason, nil
	}
	if e.Labels = c.labels(tags); len(e.Labels) > store.MaxLabels {
		return middleware.LabelsReason, nil
	}
	e.Body, e.Stored, e.Fresh = body, time.Now(), middleware.Spread(p.ttl(), c.key)
	if ttl > 0 {
		e.Fresh = min(e.Fresh, ttl)
	}
	e.WhileRevalidate, e.IfError = p.StaleWhileRevalidate, p.ifError()
	e.SetMemo(c.memo())
	return "", nil
}

// memo is the value that memory keeps: the caller of a type that clones goes on with its own.
func (c *call[T]) memo() T {
	if c.v.clone != nil {
		return c.v.clone(c.value)
	}
	return c.value
}

func (c *call[T]) labels(added []string) []keying.Label {
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
	for _, text := range added {
		labels = append(labels, l.Tag(text))
	}
	return labels
}
