package memstore_test

import (
	"testing"

	"github.com/larder-go/cache/store/memstore"
	"github.com/larder-go/cache/store/storetest"
)

func TestNear(t *testing.T) {
	storetest.Near{
		Open: func(maxBytes int64, maxEntries int) storetest.NearStore {
			return memstore.New(memstore.Options{MaxBytes: maxBytes, MaxEntries: maxEntries})
		},
		DefaultMaxBytes:   memstore.DefaultMaxBytes,
		DefaultMaxEntries: memstore.DefaultMaxEntries,
	}.Run(t)
}
