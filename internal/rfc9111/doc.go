// Package rfc9111 is what HTTP says about caching, as pure functions: which responses may be stored, how long they are fresh,
// which requests they satisfy, and how parts are combined into a whole response (RFC 9111; RFC 9110 §5.6.7, §8.8.3, §12.5, §13,
// §14; RFC 9213, RFC 9875).
//
// Nothing here reads a clock, does I/O or keeps state, so everything may be called concurrently. Header lines are as net/http
// puts them into a Header: without line ends. Arguments are not changed, and nothing panics on what a peer sends.
//
//	p, ok := rfc9111.ParseContentRange(h["Content-Range"])
//	r, ok := rfc9111.ParseRange(request.Header.Get("Range"))
//	part, body, ok := p.Slice(stored, r[0])
package rfc9111
