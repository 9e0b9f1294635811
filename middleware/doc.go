// Package middleware handles one request of a cache: it serves it from the store, or runs its handler and records the
// response while the client gets it; what was recorded is judged, and stored or not. The package knows no router, no
// backend and no class: a [Route] is compiled elsewhere and only read here.
package middleware
