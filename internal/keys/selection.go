package keys

import (
	"net/http"

	"github.com/larder-go/cache/keying"
)

// A Normal gives a request header's lines the form in which equal selections are equal texts; present is false for a
// header that is not there.
type Normal func(name string, lines []string) (text string, present bool)

// Select returns the key of the variant that the request selects under a resource's key, by the headers of these
// canonical names (RFC 9111 §4.1). The request is not changed.
func (s *Scheme) Select(resource keying.Key, names []string, r *http.Request, normal Normal) keying.Key {
	d := newDigester("variant")
	d.buf = append(d.buf, resource[:]...)
	d.count(len(names))
	for _, name := range names {
		text, present := normal(name, r.Header[name])
		d.text(name)
		d.flag(present)
		d.text(text)
	}
	return d.key(s.macs)
}
