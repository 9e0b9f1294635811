package store

import (
	"time"

	"github.com/larder-go/cache/keying"
)

// A Recaller is memory that knows an entry again by the text that selects it, without the digest that is its key.
type Recaller interface {
	Local
	// Recall returns what memory holds under the text, whose hash is given, and marks it as used, as Peek does with a key. It
	// does not allocate. What has expired by now is absent. The text is the caller's.
	Recall(hash uint64, text []byte, now time.Time) (*Entry, bool)
	// Remember notes the text, which it copies, of what is held under the key. Where there is nothing, or the text is known,
	// it does nothing.
	Remember(key keying.Key, hash uint64, text []byte)
}
