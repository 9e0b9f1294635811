package middleware

import (
	"net/url"
	"testing"
)

// A redirect leads to a login if a whole word of its path, the first label of its host, or its query says so.
func TestRedirectsToALogin(t *testing.T) {
	for location, want := range map[string]bool{
		"/login": true, "/Login?next=/x": true, "/accounts/login/": true, "/de/sign-in": true, "/login.php": true, "/users/sign_in": true, "/oauth2/authorize?client_id=1": true,
		"https://login.example.org/": true, "//sso.example.org/x": true, "https://id.example.org/auth/realms/x": true, "/?login=1": true, "/index.php?route=account/login": true,
		"/saml/start": true, "": false, "/": false, "/authors": false, "/blog/login-tips": false, "/x?next=/login": false, "/x?return_to=/sso/a&a=b": false,
		"https://author.example.org/": false, "https://login/": false, "/x?q=how+to+login": false, "/signing": false, ":": false, "/logout": false,
	} {
		if got := toLogin(&url.URL{Path: "/report"}, location); got != want {
			t.Errorf("%q leads to a login: %v; want %v", location, got, want)
		}
	}
	if toLogin(&url.URL{Path: "/login/1"}, "/login/2") {
		t.Error("the next page of a login is a login that one is led to")
	}
}
