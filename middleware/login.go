package middleware

import (
	"net/url"
	"slices"
	"strings"
)

// logins are names of login pages: a segment of a path, the first label of a host, or in a query.
var logins = []string{"login", "log-in", "log_in", "logon", "signin", "sign-in", "sign_in", "sso", "auth", "oauth", "oauth2", "oidc", "saml", "authorize",
	"authenticate", "authentication", "idp"}

// returns are parameters that tell a login where to return to: they do not name a login.
var returns = []string{"next", "return", "return_to", "returnto", "returnurl", "return_url", "redirect", "redirect_to", "redirect_uri",
	"redirecturl", "redirect_url", "continue", "from", "back", "rd", "dest", "destination", "url", "target", "goto", "referer", "service"}

// toLogin reports whether a redirect leads to a login: its path, the beginning of its host or its query says so, in a whole word.
// "/author" does not count, nor does a redirect from one page of the login to the next.
func toLogin(asked *url.URL, location string) bool {
	to, err := url.Parse(location)
	if err != nil || location == "" {
		return false
	}
	return login(to) && !loginPath(asked.Path)
}

// login reports whether the URL looks like a login page: by a word of its host or path, or by a parameter.
func login(u *url.URL) bool {
	label, _, dotted := strings.Cut(u.Hostname(), ".")
	if dotted && loginWord(label) || loginPath(u.Path) {
		return true
	}
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if loginWord(name) || !slices.Contains(returns, strings.ToLower(name)) && loginPath(value) {
			return true
		}
	}
	return false
}

// loginPath reports whether a segment of the path is such a word, or begins with one and a dot.
func loginPath(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		word, _, _ := strings.Cut(segment, ".") // "login.php"
		if loginWord(word) {
			return true
		}
	}
	return false
}

// loginWord reports whether the word is one of logins, in any case.
func loginWord(word string) bool { return slices.Contains(logins, strings.ToLower(word)) }
