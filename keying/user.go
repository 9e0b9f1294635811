package keying

import (
	"context"
	"net/http"
)

// A User tells who is asking. It returns false, or an empty id, when nobody is known: then nothing is kept and nothing
// is served from a cache. It is called once per request and concurrently, and must rest on what authentication has
// established, never on a header that any client can send.
type User func(r *http.Request) (id string, ok bool)

// UserKey is the key in contexts of what [WithUser] puts there. A context may answer [Hidden] to it.
type UserKey struct{}

// Hidden is what a context answers to [UserKey] for what is made for everyone: nobody is known within it, and nobody
// becomes so by [WithUser].
type Hidden struct{}

// WithUser returns a context that names the user for [FromContext]. The id should change with everything that changes
// what the user may see: "tenant/subject/permission-version". An empty id means that nobody is known. Within the handler of
// a shared answer it changes nothing: such an answer is nobody's.
func WithUser(ctx context.Context, id string) context.Context {
	if _, hidden := ctx.Value(UserKey{}).(Hidden); hidden {
		return ctx
	}
	return context.WithValue(ctx, UserKey{}, id)
}

// FromContext returns a User that reads the id that [WithUser] put into the request's context.
func FromContext() User {
	return func(r *http.Request) (string, bool) { return UserOf(r.Context()) }
}

// Cookie returns a User that looks up the named cookie's value, in the app's session store for instance. A request with
// no such cookie, or with two of them, has no user. The value is what the client sent: lookup must verify it.
func Cookie(name string, lookup func(ctx context.Context, value string) (id string, ok bool)) User {
	return func(r *http.Request) (string, bool) {
		cookies := r.CookiesNamed(name)
		if len(cookies) != 1 {
			return "", false
		}
		id, ok := lookup(r.Context(), cookies[0].Value)
		return id, ok && id != ""
	}
}

// UserOf returns the id that [WithUser] put into the context.
func UserOf(ctx context.Context) (id string, ok bool) {
	id, _ = ctx.Value(UserKey{}).(string)
	return id, id != ""
}
