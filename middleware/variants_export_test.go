package middleware

import (
	"time"

	"github.com/larder-go/cache/keying"
)

type Variants = variants

func (v *variants) Admit(resource keying.Label, key keying.Key, now time.Time, ttl time.Duration) bool {
	return v.admit(resource, key, now, ttl)
}
