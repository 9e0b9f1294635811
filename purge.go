package cache

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/larder-go/cache/internal/surrogate"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A purge is a record in the purge log. It names labels: every response that has one of them, and whose handler began before the record,
// is gone, or stale. It touches no entry. So its cost does not depend on how much it hits, and it cannot lose a race with a handler that
// is still running: store/log.go shows why.

// A Label names responses to purge. The zero Label names nothing: to purge it is an error.
type Label struct {
	kind labelKind
	name string
}

type labelKind uint8

const (
	noLabel labelKind = iota
	tagLabel
	routeLabel
	urlLabel
	userLabel
	everythingLabel
)

// Tag names the responses that have the tag, a surrogate key such as "product:7".
func Tag(s string) Label { return Label{tagLabel, s} }

// Route names the responses of a route, by its pattern: "GET /products/{id}", or in the router's own spelling, "/products/:id". If a
// policy is around a router, or around a part of one, the beginning of the pattern that is known there, such as "/v2/*", names its
// responses, too.
//
// In a Cache whose routes all come from tables, a pattern that no route has is an error. Routes of [Cache.Middleware] get their patterns
// only from requests. If there are such routes, or no routes at all, as in a process that only purges, an unknown pattern is at most a
// warning.
func Route(pattern string) Label { return Label{routeLabel, pattern} }

// URL names the responses of a URL, for all users and in all variants. With scheme and host it names those of that origin; without
// ("/products/7") those of any host. The scheme is the one that the app sees in requests: behind a proxy that terminates TLS it is http,
// unless [Options.TrustProxy] is set.
//
// All spellings of a URL name the same responses (RFC 3986 §6.2.2, §6.2.3): the case of the host and of escapes, unnecessary escapes, the
// scheme's own port, and dot segments do not matter. The query is the one that selects on the route: leave out the parameters that the
// policy drops. The order of different parameters does not matter.
func URL(u string) Label { return Label{urlLabel, u} }

// User names the responses that were made for the user, on all per-user routes.
func User(id string) Label { return Label{userLabel, id} }

// Everything names all responses.
func Everything() Label { return Label{kind: everythingLabel} }

// Purge purges the responses that have any of the labels, in every process that shares the Far store. Its cost does not depend on how
// many there are. Without labels it does nothing.
//
// Once it has returned nil, no later read through Redis returns an older response, in any process. Copies in the memory of other
// processes end within milliseconds; if a process is cut off from the purge log, they end with their TTL (the near TTL if HotShared). A
// response whose handler is running while Purge is called goes to its client, and is never served from the cache.
//
// An error means that the purge did not reach Redis. It applies to this process all the same, and is pending: it is sent to Redis once
// Redis responds again, until the Far store is closed. Purge also returns an error if a label is invalid, or names a [Route] that does
// not exist: then nothing was purged. A label that otherwise names nothing, as far as this process knows, causes a warning event.
func (c *Cache) Purge(ctx context.Context, labels ...Label) error {
	return c.record(ctx, false, labels)
}

// Expire is a soft purge: it makes the responses that have any of the labels stale. They may be served while they are refreshed
// (StaleWhileRevalidate), or if the handler fails (StaleIfError). On a route without these windows they are gone. Otherwise it is like
// Purge.
func (c *Cache) Expire(ctx context.Context, labels ...Label) error {
	return c.record(ctx, true, labels)
}

// record turns the labels into one record and appends it.
func (c *Cache) record(ctx context.Context, soft bool, labels []Label) error {
	r := store.Record{Soft: soft}
	for _, l := range labels {
		if l.kind == everythingLabel {
			r.All = true
			continue
		}
		label, err := c.digest(l)
		if err != nil {
			return err
		}
		r.Labels = append(r.Labels, label)
	}
	if !r.All && len(r.Labels) == 0 {
		return nil
	}
	c.warnOfNothing()
	return c.append(ctx, r)
}

// append appends the record to the log for the app, which waits until that is done.
func (c *Cache) append(ctx context.Context, r store.Record) error {
	return c.recorded(c.tiers.Log.Append(ctx, r))
}

// recorded emits the event of a purge that the log has accepted, or has not, and returns the error for the caller.
func (c *Cache) recorded(err error) error {
	if err != nil {
		c.limiter.happened(Event{Outcome: Purged, Reason: ReasonPurge, Err: err})
	} else {
		c.emit(Event{Outcome: Purged})
	}
	c.warnWidened()
	if err != nil {
		return fmt.Errorf("cache: the purge holds for this process alone: %w", err)
	}
	return nil
}

// digest is the label in the form that entries and records have. The name may be misspelt, and a purge that hits nothing looks like one
// that worked. So a name that nothing here has is an error, or a warning.
func (c *Cache) digest(l Label) (keying.Label, error) {
	switch l.kind {
	case tagLabel:
		c.warnOfTag(l.name)
		return c.labeler.Tag(l.name), nil
	case routeLabel:
		return c.labeler.Route(l.name), c.checkRoute(l.name)
	case userLabel:
		if !c.common.Names.Users() {
			c.warnOnce(ReasonNoUser, "", "purge: User names nobody's answers: no per-user route or Values is registered here, and the answers "+
				"of other classes belong to no user; use per-user where one user's answers are kept, or name others by Tag, Route or URL")
		}
		return c.labeler.User(l.name), nil
	case urlLabel:
		u, err := url.Parse(l.name)
		if err != nil || u.Opaque != "" || (u.Host == "") != (u.Scheme == "") || u.Host == "" && !strings.HasPrefix(u.Path, "/") {
			return keying.Label{}, fmt.Errorf(`cache: purge: %q is not a URL; write "https://host/path" or "/path"`, clip(l.name))
		}
		c.warnOfScheme(u.Scheme)
		return c.labeler.URL(u), nil
	}
	return keying.Label{}, fmt.Errorf("cache: purge: a label names nothing; make it with Tag, Route, URL, User or Everything")
}

// checkRoute refuses a pattern that no route has. If the patterns of some routes come only from requests, such a route may be yet to
// come, here or in another process: then it is a warning.
func (c *Cache) checkRoute(pattern string) error {
	known, all, near := c.common.Names.Route(pattern)
	if known {
		return nil
	}
	instead := ""
	if near != "" {
		instead = fmt.Sprintf("; the nearest is %q", near)
	}
	if all {
		return fmt.Errorf("cache: purge: no route is %q%s; correct the pattern", clip(pattern), instead)
	}
	c.warnOnce(ReasonNoRoute, keying.NormalizePattern(clip(pattern)), "purge: no route %q was asked for so far%s; correct the pattern, if it is not one "+
		"that requests have yet to come by", clip(pattern), instead)
	return nil
}

// warnOfNothing warns of a purge that hits nothing, whatever it names: the app has two Caches, and purges with the wrong one.
func (c *Cache) warnOfNothing() {
	if !c.tiers.Shared && c.common.Names.None() {
		c.warnOnce(ReasonNoRoute, "", "purge: this Cache has no route and no Values, and shares its purges with no other process; purge with the Cache "+
			"that the routes use (cache.Middleware uses cache.Default())")
	}
}

// warnOfTag warns of a tag that no response has, as far as this process knows.
func (c *Cache) warnOfTag(tag string) {
	known, near := c.common.Names.Tag(tag)
	if known {
		return
	}
	outline := surrogate.Outline(tag)
	instead := ""
	if near != "" {
		instead = fmt.Sprintf("; the nearest begins with %q", near)
	}
	c.warnOnce(ReasonNoTag, outline, "purge: no policy has a tag that begins with %q, and no answer was given one so far (AddTags)%s; correct the tag, or "+
		"add it in tags= or with AddTags", outline, instead)
}

// warnOfScheme warns of a URL whose scheme no request had.
func (c *Cache) warnOfScheme(scheme string) {
	switch {
	case scheme == "" || c.common.Names.Scheme(scheme):
	case c.trustProxy:
		c.warnOnce(ReasonNoScheme, scheme, "purge: the URL's scheme is %s and no answer of it is kept; have the proxy in front send X-Forwarded-Proto, which "+
			"Options.TrustProxy goes by, or name the path alone", scheme)
	default:
		c.warnOnce(ReasonNoScheme, scheme, "purge: the URL's scheme is %s and no request has come by it so far; behind a proxy that speaks TLS set "+
			"Options.TrustProxy, and have it send X-Forwarded-Proto and X-Forwarded-Host, or name the path alone", scheme)
	}
}
