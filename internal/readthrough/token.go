package readthrough

import (
	"crypto/rand"

	"github.com/larder-go/cache/store"
)

func newToken() (t store.Token) {
	_, _ = rand.Read(t[:]) // never fails
	return t
}
