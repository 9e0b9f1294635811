// Package middleware says how one request passes a cache: it is served from the store, or its handler runs and is
// recorded while the client is answered; what was recorded is judged, and kept or not. It knows no router, no backend and
// no class: a [Route] is compiled elsewhere and only read here.
package middleware
