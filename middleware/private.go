package middleware

import "github.com/larder-go/cache/middleware/rfc9111"

// MakePrivate returns the lines of a Cache-Control for an answer that is one user's: private, whatever the handler said,
// and nothing that a shared cache would take as leave. The lines given are not changed.
func MakePrivate(lines []string) []string { return rfc9111.MakePrivate(lines) }
