package cache

import (
	"context"
	"time"

	"github.com/larder-go/cache/internal/steering"
	"github.com/larder-go/cache/internal/user"
)

// What a handler, or the load of a Values, can say about its own response while it runs. Each function takes the context that the handler
// was given, and finds the run in it; with any other context it does nothing. So code that also runs outside of cached routes may call
// them freely.
//
// They are safe for concurrent use, and count until the handler has returned.
//
//	func showProduct(w http.ResponseWriter, r *http.Request) {
//		p, err := load(r.Context(), r.PathValue("id"))
//		cache.AddTags(r.Context(), "product:"+p.ID, "brand:"+p.Brand)
//		…
//	}

// AddTags adds tags (surrogate keys) to the response, by which [Cache.Purge] and [Cache.Expire] find it: AddTags(ctx, "product:7"). The
// policy's own tags remain. A response with too many tags is not stored (reason "labels").
func AddTags(ctx context.Context, tags ...string) { steering.AddTags(ctx, tags...) }

// SetTTL shortens the lifetime of the response; it cannot extend it beyond the policy's TTL. Of several calls the shortest counts. Zero
// or less means NoStore.
func SetTTL(ctx context.Context, d time.Duration) { steering.SetTTL(ctx, d) }

// NoStore prevents storing the response, and sharing it with requests that wait for it: each of them runs the handler itself. A handler
// that notices a failure after its first bytes should call it, because the status that it has sent does not show the failure.
func NoStore(ctx context.Context) { steering.NoStore(ctx) }

// WithUser returns a context that names the user, for per-user routes whose identity function is keying.FromContext(). Authentication
// calls it, outside the cache, with an id that it has verified. The id should change with everything that changes what the user may see,
// "tenant/subject/permission-version" for example: then a lost permission takes effect at once. An empty id means that no user is known.
//
// Handlers of shared routes, and loads of shared Values, know no user, whoever was named outside: their responses are everyone's. There
// the call changes nothing. With RFC9111 the response itself says for whom it is, so the user is known.
func WithUser(ctx context.Context, id string) context.Context { return user.With(ctx, id) }
