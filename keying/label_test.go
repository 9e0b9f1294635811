package keying_test

import (
	"encoding/hex"
	"net/url"
	"strings"
	"testing"

	"github.com/larder-go/cache/keying"
)

func TestNormalizePattern(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                            "",
		"/":                           "/",
		"GET /":                       "/",
		"GET /products/{id}":          "/products/{id}",
		"GET\t/products/{id}":         "/products/{id}",
		"GET  \t /products/{id}":      "/products/{id}",
		"/products/:id":               "/products/{id}",
		"/products/{id:[0-9]+}":       "/products/{id}",
		"/products/{id:[0-9]{2}}":     "/products/{id}",
		"/files/*":                    "/files/{*}",
		"/files/{path...}":            "/files/{*}",
		"GET /exact/{$}":              "/exact/",
		"/a/:b/c/:d":                  "/a/{b}/c/{d}",
		"GET shop.example/p/{id}":     "shop.example/p/{id}",
		"/time/12:30":                 "/time/12:30",
		"/:":                          "/:",
		"/with space/{id}":            "/with space/{id}",
		"HEAD /products/{id}/reviews": "/products/{id}/reviews",
	} {
		if got := keying.NormalizePattern(pattern); got != want {
			t.Errorf("NormalizePattern(%q) = %q, want %q", pattern, got, want)
		}
	}
}

// TestLabelsOfOneThing are equal, however it is written.
func TestLabelsOfOneThing(t *testing.T) {
	var l keying.Labeler
	u := func(text string) keying.Label {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return l.URL(u)
	}
	tests := []struct {
		name string
		same []keying.Label
	}{
		{"route", []keying.Label{l.Route("GET /p/{id}"), l.Route("/p/:id"), l.Route("/p/{id:[0-9]+}"), l.Route("HEAD /p/{id}"), l.Route("GET\t/p/{id}")}},
		{"order of parameters", []keying.Label{u("/p?a=1&b=2"), u("/p?b=2&a=1"), u("/p?b=2&&a=1&")}},
		{"no query", []keying.Label{u("/p"), u("/p?"), u("/p#fragment")}},
		{"origin's case", []keying.Label{u("https://shop.example/p"), u("HTTPS://Shop.Example/p")}},
		{"front page", []keying.Label{u("https://shop.example"), u("https://shop.example/")}},
	}
	for _, tt := range tests {
		for i, label := range tt.same {
			if label != tt.same[0] {
				t.Errorf("%s: spelling %d has a label of its own", tt.name, i)
			}
		}
	}
}

// TestLabelsOfDifferentThings differ.
func TestLabelsOfDifferentThings(t *testing.T) {
	whose := map[keying.Label]string{}
	add := func(name string, label keying.Label) {
		if other, taken := whose[label]; taken {
			t.Errorf("%s and %s have one label", name, other)
		}
		whose[label] = name
	}
	for secret, l := range map[string]keying.Labeler{"": {}, "secret ": keying.NewLabeler([]byte(strings.Repeat("s", 32)))} {
		add(secret+"tag", l.Tag("/p"))
		add(secret+"user", l.User("/p"))
		add(secret+"route", l.Route("/p"))
		add(secret+"value", l.Value("/p", ""))
		add(secret+"value, cut elsewhere", l.Value("/", "p"))
		add(secret+"value with a number", l.Value("1:a", "b"))
		add(secret+"value with another number", l.Value("1", ":ab"))
		for _, text := range []string{"/p", "/P", "/p/", "/%70", "/p?a", "/p?a=", "/p?a=1&a=2", "/p?a=2&a=1", "http://h/p", "https://h/p", "https://h:443/p", "//h/p"} {
			u, _ := url.Parse(text)
			add(secret+text, l.URL(u))
		}
	}
	if (keying.Labeler{}).Tag("a") != keying.NewLabeler(nil).Tag("a") {
		t.Error("the zero Labeler is not the one without a secret")
	}
}

// TestLabelsStay what they are: entries and purges in Redis carry those of other processes, of other builds perhaps.
func TestLabelsStay(t *testing.T) {
	plain, secret := keying.Labeler{}, keying.NewLabeler([]byte(strings.Repeat("s", 32)))
	u := func(l keying.Labeler, text string) keying.Label {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return l.URL(u)
	}
	for want, label := range map[string]keying.Label{
		"82912b287f4b4d9ce35f3a08d69831fa": u(plain, "/p/1?b=2&a=1"),
		"f7985195725cd674201ef652532ae587": u(plain, "HTTPS://Shop.Example/p/1?a=1&b=2"),
		"47ebf1cbbf7135cbd9923caa78e93b25": u(plain, "/%70?%41=1&a+b"),
		"78a84690aedd59e0b1a702acb4d734cc": plain.Group("HTTPS", "Shop.example", "g"),
		"5f045f6f6f4295ffca6655cfdd5f72c1": plain.Value("products", "7"),
		"b4f8a3b6dc94f299794f201e1fa77fef": u(secret, "/p/1?b=2&a=1"),
		"856ca1c2d29429e4c4b3a5ffa1cd4813": u(secret, "HTTPS://Shop.Example/p/1?a=1&b=2"),
		"ec9546b9fb2535764bcf7b5f57814c3a": u(secret, "/%70?%41=1&a+b"),
		"8ed5ba05486ad603850117658c01f6ce": secret.Group("HTTPS", "Shop.example", "g"),
		"032b784490ba5b4dc857c2307f52b2d1": secret.Value("products", "7"),
	} {
		if got := hex.EncodeToString(label[:]); got != want {
			t.Errorf("a label is %s now and was %s", got, want)
		}
	}
}

// TestURLsHaveTheLabelsOfEach.
func TestURLsHaveTheLabelsOfEach(t *testing.T) {
	var l keying.Labeler
	for _, target := range []string{"", "/", "/p", "/p?b=2&a=1", "/p?a=1&&b", "/a%2fb?x=%20"} {
		path, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		whole := *path
		whole.Scheme, whole.Host = "https", "Shop.example"
		anywhere, there := l.URLs(&whole, whole.Scheme, whole.Host)
		if anywhere != l.URL(path) || there != l.URL(&whole) {
			t.Errorf("%q: the labels are not those of %q and %q", target, path, &whole)
		}
		if anywhere, there := l.URLs(path, "https", ""); anywhere != there {
			t.Errorf("%q: two labels without a host", target)
		}
	}
}
