package store

import (
	"context"

	"github.com/larder-go/cache/keying"
)

// A Ranker is a Far store that remembers which keys are hot: those that processes read from it to keep them near, again
// and again. A process that starts can have them in memory before its first request.
type Ranker interface {
	// Rank counts each of the keys once more.
	Rank(ctx context.Context, keys ...keying.Key) error
	// Hottest returns at most n keys, the hottest first. Nothing is ranked for ever: the list is bounded, and old counts
	// are forgotten. The entries of the keys may be gone.
	Hottest(ctx context.Context, n int) ([]keying.Key, error)
}
