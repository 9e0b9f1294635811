package cache

import (
	"context"
	"time"

	"github.com/larder-go/cache/internal/user"
	"github.com/larder-go/cache/middleware"
)

// AddTags labels the answer that the handler is making, to purge it by. The context is the request's, as the handler sees
// it; where nothing is being kept it does nothing. It is safe for concurrent use.
func AddTags(ctx context.Context, tags ...string) { middleware.AddTags(ctx, tags...) }

// SetTTL shortens the life of the answer that the handler is making; it cannot lengthen it. Of several calls the shortest
// counts, and zero or less means NoStore.
func SetTTL(ctx context.Context, d time.Duration) { middleware.SetTTL(ctx, d) }

// NoStore refuses to have the answer kept that the handler is making, and to have it shared with requests that wait for it.
func NoStore(ctx context.Context) { middleware.NoStore(ctx) }

// WithUser tells who is asking, for per-user routes whose identity is keying.FromContext(). Authentication calls it, outside
// the cache, with an id that it has verified; the id should change with what the user may see. An empty id means nobody.
// In handlers of shared routes, and loads of shared Values, nobody is known whatever this was told, and it changes nothing there: with
// RFC9111 the answers say for whom they are, and the user is known.
func WithUser(ctx context.Context, id string) context.Context { return user.With(ctx, id) }
