package keying

import (
	"context"
	"net/http"

	"github.com/larder-go/cache/internal/user"
)

// A User tells who is asking. It returns false, or an empty id, when nobody is known: then nothing is kept and nothing
// is served from a cache. It is called once per request and concurrently, and must rest on what authentication has
// established, never on a header that any client can send.
type User func(r *http.Request) (id string, ok bool)

// FromContext returns a User that reads the id that cache.WithUser put into the request's context.
func FromContext() User {
	return func(r *http.Request) (string, bool) { return user.Of(r.Context()) }
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
