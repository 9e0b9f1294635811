// Package rfc9111 is what HTTP says about caching, as pure functions: which responses may be stored, for how long they are
// fresh, which requests they answer, and how parts of one make a whole (RFC 9111; RFC 9110 §5.6.7, §8.8.3, §12.5, §13, §14;
// RFC 9213, RFC 9875).
//
// Nothing here reads a clock, does I/O or keeps state, so everything may be called concurrently. Header lines are what
// net/http puts into a Header: no line ends in them. Nothing given is changed, and nothing panics on what a peer sends.
//
//	p, ok := rfc9111.ParseContentRange(h["Content-Range"])
//	r, ok := rfc9111.ParseRange(request.Header.Get("Range"))
//	part, body, ok := p.Slice(stored, r[0])
package rfc9111
