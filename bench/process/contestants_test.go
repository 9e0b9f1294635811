package process

import "testing"

// Whoever is measured answers every page with its own bytes, and the second time without its handler.
func TestContestantsAnswerFromMemory(t *testing.T) {
	for _, c := range contestants {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(3, kib)
			v := c.ready(t, s)()
			for _, uri := range s.uris {
				contentType, body := v.watch(uri)
				if contentType != fields[0].value || len(body) != kib {
					t.Errorf("%s is answered with %s and %d bytes", uri, contentType, len(body))
				}
			}
		})
	}
}
