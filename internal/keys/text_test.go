package keys_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
)

// A text stands for its key: two requests have equal texts exactly if they have equal keys, and equal hashes then.
func TestTextsAreEqualWhereKeysAre(t *testing.T) {
	secret := []byte(strings.Repeat("s", 32))
	schemes := []*keys.Scheme{}
	for _, s := range []keys.Scheme{
		{Realm: "shared-global"}, {Realm: "hot-shared"}, {Realm: "shared-global", Secret: secret},
		{Realm: "shared-global", Headers: []string{"X-T"}}, {Realm: "shared-global", Cookies: []string{"X-T"}},
		{Realm: "shared-global", Query: keying.Only("a", "b")}, {Realm: "shared-global", Query: keying.Except("b")},
	} {
		schemes = append(schemes, compiled(s))
	}
	requests := []*http.Request{
		request(t, "/"), request(t, "/?"), request(t, "/?a=1&b=2"), request(t, "/?b=2&a=1"), request(t, "/?a=1"), request(t, "/a%2Fb"),
		request(t, "/a/b"), request(t, "/a/b?a=1"), request(t, "/", "X-T: a"), request(t, "/", "X-T: a", "X-T: b"), request(t, "/", "Cookie: X-T=a"),
	}
	stripped := request(t, "/p/a/b")
	stripped.URL.Path = "/a/b"
	requests = append(requests, stripped)

	type made struct {
		key  keying.Key
		text []byte
		hash uint64
	}
	var all []made
	for _, s := range schemes {
		for _, r := range requests {
			for _, pattern := range []string{"GET /", "GET /{x...}"} {
				text, err := s.Text(r, pattern, "", "")
				if err != nil {
					t.Fatal(err)
				}
				key, err := text.Key()
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, made{key, bytes.Clone(text.Bytes()), text.Hash()})
				text.Free()
			}
		}
	}
	for i, a := range all {
		for j, b := range all {
			if (a.key == b.key) != bytes.Equal(a.text, b.text) || a.key == b.key && a.hash != b.hash {
				t.Errorf("%d and %d: keys equal: %v, texts equal: %v", i, j, a.key == b.key, bytes.Equal(a.text, b.text))
			}
		}
	}
}
