package cache

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store"
)

// A Label is what a purge names. The zero Label names nothing.
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

// Tag names the answers that carry the tag, a surrogate key: "product:7".
func Tag(s string) Label { return Label{tagLabel, s} }

// Route names the answers of a route, by its pattern: "GET /products/{id}", or as the router writes it, "/products/:id". Where
// a policy is put around a router, or a part of one, its answers are also named by the beginning that is known there, "/v2/*". A
// pattern that no route has is an error, in a Cache whose routes come from tables. Routes of Middleware tell their patterns with
// their first request; where there are any, or no routes at all, as in a process that only purges, it is none.
func Route(pattern string) Label { return Label{routeLabel, pattern} }

// URL names the answers of a URL, for all users and in all variants. With scheme and host it is that origin's, without
// ("/products/7") any host's. The scheme is the one by which the app was asked: behind a proxy that speaks TLS it is http
// unless [Options.TrustProxy] is set. Spellings of one URL name the same: the case of the host and of escapes, escapes of what
// needs none, the scheme's own port, dot segments (RFC 3986 §6.2.2, §6.2.3). The query is the one that the route keeps:
// parameters that it drops are left out, the order of different ones does not matter.
func URL(u string) Label { return Label{urlLabel, u} }

// User names the answers that were made for the user, on every per-user route.
func User(id string) Label { return Label{userLabel, id} }

// Everything names all answers.
func Everything() Label { return Label{kind: everythingLabel} }

// Purge makes the answers that carry any of the labels gone, for every process that shares the Far store. When it returns
// nil, no later read of this process brings an older answer, and none of another does through Redis; copies in memory
// elsewhere end within milliseconds, or with their TTL (near TTL if HotShared) where the purge log's tail is cut off. An answer that is being made while Purge is called is not kept. Its cost does not
// depend on how much it hits. An error means that Redis was not told; this process has forgotten the answers all the
// same, and tells Redis by itself when that answers again, until the Far store is closed. An error also means that a label is none, or
// names a [Route] that is not there: then nothing was purged. What names nothing otherwise, as far as this process knows, is told
// as a warning.
func (c *Cache) Purge(ctx context.Context, labels ...Label) error {
	return c.record(ctx, false, labels)
}

// Expire makes the answers that carry any of the labels stale: they may be served while they are refreshed or when the
// handler fails, within the policy's stale windows. Otherwise it is like Purge.
func (c *Cache) Expire(ctx context.Context, labels ...Label) error {
	return c.record(ctx, true, labels)
}

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
	return c.append(ctx, r)
}

func (c *Cache) append(ctx context.Context, r store.Record) error {
	return c.recorded(c.tiers.Log.Append(ctx, r))
}

// recorded tells of a purge that the log has taken, or with an error has not.
func (c *Cache) recorded(err error) error {
	if err != nil {
		c.troubles.meet(Event{Outcome: Purged, Reason: ReasonPurge, Err: err})
	} else {
		c.tell(Event{Outcome: Purged})
	}
	c.tellRises()
	if err != nil {
		return fmt.Errorf("cache: the purge holds for this process alone: %w", err)
	}
	return nil
}

// digest is the label in the form that entries carry.
func (c *Cache) digest(l Label) (keying.Label, error) {
	switch l.kind {
	case tagLabel:
		c.doubtTag(l.name)
		return c.labeler.Tag(l.name), nil
	case routeLabel:
		return c.labeler.Route(l.name), c.checkRoute(l.name)
	case userLabel:
		if !c.common.Names.Users() {
			c.doubt(ReasonNoUser, "", "purge: User names nobody's answers: no per-user route or Values is registered here, and the answers "+
				"of other classes belong to no user; use per-user where one user's answers are kept, or name others by Tag, Route or URL")
		}
		return c.labeler.User(l.name), nil
	case urlLabel:
		u, err := url.Parse(l.name)
		if err != nil || u.Opaque != "" || (u.Host == "") != (u.Scheme == "") || u.Host == "" && !strings.HasPrefix(u.Path, "/") {
			return keying.Label{}, fmt.Errorf(`cache: purge: %q is not a URL; write "https://host/path" or "/path"`, clip(l.name))
		}
		c.doubtScheme(u.Scheme)
		return c.labeler.URL(u), nil
	}
	return keying.Label{}, fmt.Errorf("cache: purge: a label names nothing; make it with Tag, Route, URL, User or Everything")
}

// checkRoute says that no route has the pattern. Where the patterns of some are known only from requests there may yet come one,
// in this process or another: that is a doubt.
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
	c.doubt(ReasonNoRoute, keying.NormalizePattern(clip(pattern)), "purge: no route %q was asked for so far%s; correct the pattern, if it is not one "+
		"that requests have yet to come by", clip(pattern), instead)
	return nil
}

// doubtTag doubts a tag that no answer has, as far as this process knows.
func (c *Cache) doubtTag(tag string) {
	known, near := c.common.Names.Tag(tag)
	if known {
		return
	}
	outline := middleware.Outline(tag)
	instead := ""
	if near != "" {
		instead = fmt.Sprintf("; the nearest begins with %q", near)
	}
	c.doubt(ReasonNoTag, outline, "purge: no policy has a tag that begins with %q, and no answer was given one so far (AddTags)%s; correct the tag, or "+
		"add it in tags= or with AddTags", outline, instead)
}

// doubtScheme doubts the scheme of a URL.
func (c *Cache) doubtScheme(scheme string) {
	switch {
	case scheme == "" || c.common.Names.Scheme(scheme):
	case c.trustProxy:
		c.doubt(ReasonNoScheme, scheme, "purge: the URL's scheme is %s and no answer of it is kept; have the proxy in front send X-Forwarded-Proto, which "+
			"Options.TrustProxy goes by, or name the path alone", scheme)
	default:
		c.doubt(ReasonNoScheme, scheme, "purge: the URL's scheme is %s and no request has come by it so far; behind a proxy that speaks TLS set "+
			"Options.TrustProxy, and have it send X-Forwarded-Proto and X-Forwarded-Host, or name the path alone", scheme)
	}
}
