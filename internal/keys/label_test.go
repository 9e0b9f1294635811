package keys_test

import (
	"encoding/hex"
	"net/url"
	"strings"
	"testing"

	"github.com/larder-go/cache/internal/keys"
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
	var l keys.Labeler
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
		{"front page", []keying.Label{u("https://shop.example"), u("https://shop.example/"), u("https://shop.example/.")}},
		{"https's port", []keying.Label{u("https://shop.example/p"), u("https://shop.example:443/p"), u("https://shop.example:/p"), u("HTTPS://SHOP.example:0443/p")}},
		{"http's port", []keying.Label{u("http://shop.example/p"), u("http://shop.example:80/p")}},
		{"another port", []keying.Label{u("http://shop.example:8080/p"), u("http://Shop.example.:08080/p")}},
		{"the root of names", []keying.Label{u("http://shop.example/p"), u("http://shop.example./p"), u("http://shop.example.:80/p")}},
		{"letters of other languages", []keying.Label{u("http://xn--bcher-kva.example/p"), u("http://bücher.example/p"), u("http://BÜCHER.example.:80/p"), u("http://b%C3%BCcher.example/p"), u("http://Xn--Bcher-Kva。example/p")}},
		{"who asks", []keying.Label{u("http://shop.example/p"), u("http://me:secret@shop.example/p")}},
		{"an address", []keying.Label{u("http://[2001:db8::a]/p"), u("http://[2001:DB8:0:0::A]:80/p"), u("http://[2001:db8::a%25eth0]/p")}},
		{"an address with a port", []keying.Label{u("http://[::1]:8080/p"), u("http://[0:0::1]:8080/p")}},
		{"escapes of what needs none", []keying.Label{u("/~a-b_c.d"), u("/%7Ea%2Db%5fc%2ed"), u("/%7ea-b_c.%64")}},
		{"escapes of delimiters", []keying.Label{u("/a!$&'()*+,;=:@b"), u("/a%21%24%26%27%28%29%2a%2b%2c%3b%3d%3a%40b")}},
		{"the case of escapes", []keying.Label{u("/%c3%a9%2f%3f"), u("/%C3%A9%2F%3F"), u("/é%2f%3F")}},
		{"what is not written as it should be", []keying.Label{u("/a|b%2Fc[d]"), u("/a%7cb%2fc%5Bd%5d"), u("/a%7Cb%2Fc[d%5D")}},
		{"a path without its spelling", []keying.Label{u("/a!b c"), l.URL(&url.URL{Path: "/a!b c"}), u("/a%21b%20c")}},
		{"a query's escapes", []keying.Label{u("/p?a=~b%c3%a9%26/?:@"), u("/p?%61=%7eb%C3%A9%26%2F%3f%3a%40"), u("/p?%61=%7Ebé%26%2f%3F:@")}},
		{"order of escaped parameters", []keying.Label{u("/p?a=1&b=2"), u("/p?b=2&%61=1"), u("/p?%62=2&%61=1")}},
		{"dots", []keying.Label{u("/a/b"), u("/a/./b"), u("/a/x/../b"), u("/../a/b"), u("/a/%2e/x/%2E./b")}},
		{"dots at the end", []keying.Label{u("/a/"), u("/a/."), u("/a/b/.."), u("/a/%2e")}},
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
	for secret, l := range map[string]keys.Labeler{"": {}, "secret ": keys.NewLabeler([]byte(strings.Repeat("s", 32)))} {
		add(secret+"tag", l.Tag("/p"))
		add(secret+"user", l.User("/p"))
		add(secret+"route", l.Route("/p"))
		add(secret+"value", l.Value("/p", ""))
		add(secret+"value, cut elsewhere", l.Value("/", "p"))
		add(secret+"value with a number", l.Value("1:a", "b"))
		add(secret+"value with another number", l.Value("1", ":ab"))
		for _, text := range []string{"/p", "/P", "/p/", "//p", "/p//", "/%25%37%30", "/a/b", "/a%2Fb", "/a%5Cb", "/...", "/.p", "/p%3Fa", "/p?a", "/p?a=", "/p?a%3D",
			"/p?a=1&a=2", "/p?a=2&a=1", "/p?a=1%26a=2", "/p?a=+", "/p?a=%2B", "/p?a=%20",
			"http://h/p", "https://h/p", "https://h:80/p", "http://h:443/p", "http://h:8080/p", "http://h2/p", "//h/p", "http://xn--a/p", "http://ü/p", "http://ä/p", "http://-ü/p", "http://[::1]/p", "http://[::2]/p"} {
			u, _ := url.Parse(text)
			add(secret+text, l.URL(u))
		}
	}
	if (keys.Labeler{}).Tag("a") != keys.NewLabeler(nil).Tag("a") {
		t.Error("the zero Labeler is not the one without a secret")
	}
}

// TestLabelsStay what they are: entries and purges in Redis carry those of other processes, of other builds perhaps.
func TestLabelsStay(t *testing.T) {
	plain, secret := keys.Labeler{}, keys.NewLabeler([]byte(strings.Repeat("s", 32)))
	u := func(l keys.Labeler, text string) keying.Label {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return l.URL(u)
	}
	for want, label := range map[string]keying.Label{
		"82912b287f4b4d9ce35f3a08d69831fa": u(plain, "/p/1?b=2&a=1"),
		"f7985195725cd674201ef652532ae587": u(plain, "HTTPS://Shop.Example/p/1?a=1&b=2"),
		"9eef503806a9f044212c6662d602338a": u(plain, "/%70?%41=1&a+b"),
		"78a84690aedd59e0b1a702acb4d734cc": plain.Group("HTTPS", "Shop.example", "g"),
		"5f045f6f6f4295ffca6655cfdd5f72c1": plain.Value("products", "7"),
		"b4f8a3b6dc94f299794f201e1fa77fef": u(secret, "/p/1?b=2&a=1"),
		"856ca1c2d29429e4c4b3a5ffa1cd4813": u(secret, "HTTPS://Shop.Example/p/1?a=1&b=2"),
		"0abb37babe657911cf593e346381faf2": u(secret, "/%70?%41=1&a+b"),
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
	var l keys.Labeler
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
