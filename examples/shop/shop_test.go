package main

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestProductsAreHotAndShared(t *testing.T) {
	each(t, func(t *testing.T, set settings) {
		one, c := visit(t, set), newClient(t)
		c.get(one, "/products/1").want(t, "miss", "Assam tea", `"run": 1`)
		c.get(one, "/products/1?utm_source=x").want(t, "hit near", "Assam tea", `"run": 1`)
		c.get(one, "/products/2").want(t, "miss", "Darjeeling tea", `"run": 2`)

		other := visit(t, set) // a second process: its memory is empty, Redis is not
		c.get(other, "/products/1").want(t, "hit far", "Assam tea", `"run": 1`)
		c.get(other, "/products/1").want(t, "hit near", "Assam tea", `"run": 1`)

		c.get(one, "/").want(t, "miss", "<title>", "Assam tea", "run 1 ")
		c.get(one, "/").want(t, "hit near", "<title>", "run 1 ")
		if a := c.get(one, "/products/99"); a.status != http.StatusNotFound {
			t.Errorf("an unknown product has status %d, want 404", a.status)
		}
	})
}

func TestCountriesAreNamedInTheClientsLanguage(t *testing.T) {
	each(t, func(t *testing.T, set settings) {
		s, c := visit(t, set), newClient(t)
		c.get(s, "/countries", "Accept-Language", "de").want(t, "miss long", `"Deutschland"`, `"Österreich"`)
		c.get(s, "/countries", "Accept-Language", "fr, en;q=0.5").want(t, "variant long", `"Allemagne"`)
		c.get(s, "/countries", "Accept-Language", "ja").want(t, "variant long", `"ドイツ"`)
		c.get(s, "/countries").want(t, "variant long", `"Germany"`)
		c.get(s, "/countries", "Accept-Language", "de").want(t, "hit near", `"Deutschland"`, `"run": 1`)
		c.get(s, "/rates").want(t, "miss", `"USD"`)
		c.get(s, "/rates").want(t, "hit near", `"USD"`)

		other := visit(t, set) // shared-global does not leave the process
		c.get(other, "/rates").want(t, "miss", `"USD"`)
	})
}

func TestSearchTakesOnlyItsOwnParameters(t *testing.T) {
	each(t, func(t *testing.T, set settings) {
		s, c := visit(t, set), newClient(t)
		c.get(s, "/search?q=tea").want(t, "miss", "Assam tea")
		c.get(s, "/search?utm_source=news&q=tea&utm_medium=x").want(t, "hit far", "Assam tea", `"run": 1`)
		c.get(s, "/search?q=tea&page=2").want(t, "miss", `"page": 2`)
		c.get(s, "/search?q=100%25").want(t, "miss", `"products": []`)
		if a := c.get(s, "/search?q=tea&page=0"); a.status != http.StatusBadRequest {
			t.Errorf("page 0 has status %d, want 400", a.status)
		}
	})
}

func TestUsersNeverSeeEachOther(t *testing.T) {
	each(t, func(t *testing.T, set settings) {
		s := visit(t, set)
		alice, bob := loggedIn(t, s, "alice", "wonderland"), loggedIn(t, s, "bob", "builder")
		for _, how := range []string{"miss", "hit far"} {
			for name, c := range map[string]*client{"alice": alice, "bob": bob} {
				for _, path := range []string{"/me", "/cart"} {
					c.get(s, path).want(t, how, `"user": "`+name+`"`)
				}
			}
		}

		alice.post(s, "/cart", "product", "1", "quantity", "2").want(t, "none", `"purged": true`)
		alice.get(s, "/me").want(t, "miss", `"items_in_cart": 2`)
		alice.get(s, "/cart").want(t, "miss", `"total": "17.80"`)
		bob.get(s, "/me").want(t, "hit far", `"items_in_cart": 0`)

		cookie := alice.http.Jar.Cookies(&url.URL{Scheme: "http", Host: host, Path: "/"})[0]
		alice.post(s, "/logout")
		alice.get(s, "/me").want(t, "bypass", "log in first")
		stolen := newClient(t).get(s, "/me", "Cookie", cookie.Name+"="+cookie.Value)
		stolen.want(t, "bypass", "log in first")
	})
}

func TestLoginFails(t *testing.T) {
	each(t, func(t *testing.T, set settings) {
		s, c := visit(t, set), newClient(t)
		for _, password := range []string{"", "builder", strings.Repeat("x", 200)} {
			if a := c.post(s, "/login", "user", "alice", "password", password); a.status != http.StatusUnauthorized {
				t.Errorf("status %d, want 401", a.status)
			}
		}
		if a := c.post(s, "/login", "user", "nobody", "password", ""); a.status != http.StatusUnauthorized {
			t.Errorf("an unknown user has status %d, want 401", a.status)
		}
		c.get(s, "/me").want(t, "bypass", "log in first")
		c.get(s, "/me", "Cookie", "session=guessed").want(t, "bypass", "log in first")
	})
}

func TestChangedPricesShowAtOnce(t *testing.T) {
	each(t, func(t *testing.T, set settings) {
		s := visit(t, set)
		alice, sam := loggedIn(t, s, "alice", "wonderland"), loggedIn(t, s, "sam", "shopkeeper")
		alice.post(s, "/cart", "product", "1")
		paths := []string{"/", "/products/1", "/search?q=tea", "/cart"}
		for _, path := range paths {
			alice.get(s, path).want(t, "miss", "8.90")
		}
		alice.get(s, "/products/2").want(t, "miss")

		if a := alice.post(s, "/products/1", "price", "0.01"); a.status != http.StatusForbidden {
			t.Errorf("alice sets a price: status %d, want 403", a.status)
		}
		for _, price := range []string{"", "free", "-1", "1.234", "0", "99999999999999999999"} {
			if a := sam.post(s, "/products/1", "price", price); a.status != http.StatusBadRequest {
				t.Errorf("price %q has status %d, want 400", price, a.status)
			}
		}
		sam.post(s, "/products/1", "price", "9.9").want(t, "none", `"price": "9.90"`, `"purged": true`)
		for _, path := range paths {
			alice.get(s, path).want(t, "miss", "9.90")
		}
		alice.get(s, "/products/2").want(t, "hit near")
	})
}

func TestOtherSitesCannotPost(t *testing.T) {
	each(t, func(t *testing.T, set settings) {
		s, c := visit(t, set), newClient(t)
		a := c.do(http.MethodPost, s.url+"/logout", "", []string{"Sec-Fetch-Site", "cross-site"})
		if a.status != http.StatusForbidden {
			t.Errorf("a cross-site POST has status %d, want 403", a.status)
		}
	})
}

func TestEventsArriveAtOnceAndAreNeverCached(t *testing.T) {
	each(t, func(t *testing.T, set settings) {
		s, c := visit(t, set), newClient(t)
		for range 2 {
			response, err := c.http.Get(s.url + "/events")
			if err != nil {
				t.Fatal(err)
			}
			first, err := bufio.NewReader(response.Body).ReadString('\n') // the stream goes on
			response.Body.Close()
			if err != nil || first != "event: tick\n" {
				t.Errorf("the stream begins with %q, %v", first, err)
			}
			if status := response.Header.Get("Cache-Status"); status != "" {
				t.Errorf("the stream has Cache-Status %q", status)
			}
		}
	})
}

func TestAnswersOutliveTheProcess(t *testing.T) {
	each(t, func(t *testing.T, set settings) {
		before := visit(t, set)
		alice := loggedIn(t, before, "alice", "wonderland")
		alice.get(before, "/me").want(t, "miss", `"user": "alice"`, `"run": 1`)
		alice.get(before, "/products/1").want(t, "miss", "Assam tea", `"run": 1`)
		before.cancel()

		after := visit(t, set)
		alice.get(after, "/me").want(t, "hit far", `"user": "alice"`, `"run": 1`)
		alice.get(after, "/products/1").want(t, "hit far", "Assam tea", `"run": 1`)
	})
}
