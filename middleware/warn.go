package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// warnings are those that were told. The zero value is ready to use; it is safe for concurrent use.
type warnings struct {
	mu   sync.Mutex
	told map[warning]struct{}
}

// A warning is what is told once: of a pattern, for a reason, about a subject, such as the name of a field.
type warning struct {
	pattern string
	reason  Reason
	subject string
}

// maxWarnings bounds what one route is warned of. What a client sends may be part of a subject.
const maxWarnings = 64

// first reports whether the warning is new, and there is room to remember it.
func (ws *warnings) first(w warning) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if _, told := ws.told[w]; told || len(ws.told) >= maxWarnings {
		return false
	}
	if ws.told == nil {
		ws.told = map[warning]struct{}{}
	}
	ws.told[w] = struct{}{}
	return true
}

// warn tells, once for each pattern, reason and subject, of what works but may surprise: the fault, and the setting that
// remedies it. It is no business of a hit's.
func (rt *Route) warn(pattern string, reason Reason, subject, text string) {
	if rt.alerter != nil && rt.warnings.first(warning{pattern, reason, subject}) {
		rt.alerter(Event{Route: pattern, Outcome: Warning, Reason: reason, Err: errors.New(routeText(pattern, text))})
	}
}

// routeText begins a sentence with the route, if a router tells one.
func routeText(pattern, text string) string {
	if pattern == "" {
		return text
	}
	return fmt.Sprintf("route %q: %s", pattern, text)
}

// recorded reports whether a recorder is behind the writer, as far as the writers in between tell.
func recorded(w http.ResponseWriter) bool {
	for {
		switch layer := w.(type) {
		case interface{ recording() }: // not to be unwrapped, which would end its copy
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = layer.Unwrap()
		default:
			return false
		}
	}
}

func (rec *recorder) recording() {}

// warnNested tells of a cache around this one.
func (rt *Route) warnNested(f *fetch) {
	if rt.alerter != nil && recorded(f.w) {
		rt.warn(f.p.pattern, ReasonNested, "", "another cache is around this one: both keep the answer, each for its own time, and the outer one serves it without asking the inner one; give the route one policy, by a middleware or in a table")
	}
}

// logins are the names that pages have where one logs in, as a segment of a path, the first label of a host, or in a query.
var logins = []string{"login", "log-in", "log_in", "logon", "signin", "sign-in", "sign_in", "sso", "auth", "oauth", "oauth2", "oidc", "saml", "authorize",
	"authenticate", "authentication", "idp"}

// returns are the parameters that tell a login where to lead back to: that is no place to log in.
var returns = []string{"next", "return", "return_to", "returnto", "returnurl", "return_url", "redirect", "redirect_to", "redirect_uri",
	"redirecturl", "redirect_url", "continue", "from", "back", "rd", "dest", "destination", "url", "target", "goto", "referer", "service"}

// toLogin reports whether a redirect leads to a login: its path, the beginning of its host or its query says so, in a whole
// word. "/author" does not, nor does a redirect from one page of the login to the next.
func toLogin(asked *url.URL, location string) bool {
	to, err := url.Parse(location)
	if err != nil || location == "" {
		return false
	}
	return login(to) && !loginPath(asked.Path)
}

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

func loginPath(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		word, _, _ := strings.Cut(segment, ".") // "login.php"
		if loginWord(word) {
			return true
		}
	}
	return false
}

func loginWord(word string) bool { return slices.Contains(logins, strings.ToLower(word)) }
