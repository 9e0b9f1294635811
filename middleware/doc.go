// Package middleware handles one request of a cache: it serves it from the store, or runs its handler and records the
// response while the client gets it; what was recorded is judged, and stored or not. The package knows no router, no
// backend and no class: a [Route] is compiled by the root package and only read here.
//
// It is for those who write adapters. They get a Route from cache.Cache.Compile, and call its methods Begin and Finish around a handler. New
// and Config are for the root package: a Config has parts that only this module can make.
package middleware
