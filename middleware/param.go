package middleware

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
)

// note takes down what a purge can name the answer by: the parameters in the policy's tags, the URL and its origin. It is
// done before the handler runs, for the handler may be another router, or rewrite the URL in place, and a copy of a request
// shares its path values with it: afterwards they are those of whoever came last. A second run of the handler has the notes
// of the first.
func (l *leading) note() {
	if l.seen.URL != nil {
		return
	}
	l.seen, l.url = *l.view, *l.view.URL
	l.seen.URL = &l.url
	l.scheme, l.host = l.rt.origin(l.view)
	for _, tag := range l.rt.Tags {
		for _, name := range tag.Params() {
			l.params = append(l.params, l.value(l.paramsOf(l.r), l.p.pattern, name))
		}
	}
}

// paramsOf are the path parameters of the request.
func (l *leading) paramsOf(r *http.Request) func(name string) string {
	return func(name string) string { return l.param(r, name) }
}

// value is a path parameter of a request that matched the pattern. ServeMux gives parameters unescaped. Routers that
// match the URL's escaped form, where that is not the usual one, give them as they are in it, as chi and echo do: then the
// pattern with its parameters filled in is the escaped path again, or ends in it, where a prefix has been stripped since.
// What cannot be unescaped stays as it is.
func (l *leading) value(param func(name string) string, pattern, name string) string {
	value := param(name)
	if l.url.RawPath == "" || !strings.Contains(value, "%") || !strings.HasSuffix(keying.Expand(pattern, param), l.url.RawPath) {
		return value
	}
	if text, err := url.PathUnescape(value); err == nil {
		return text
	}
	return value
}

// fill returns the texts of the policy's tags, or false if a parameter has no value. One that the pattern does not have is
// asked for once more: a router behind the policy may have it.
func (l *leading) fill(texts []string) ([]string, bool) {
	params := l.params
	for _, tag := range l.rt.Tags {
		text, ok := tag.Fill(func(name string) string {
			value := params[0]
			params = params[1:]
			if value == "" && (l.matched || !keys.HasParam(l.p.pattern, name)) {
				value = l.further(name)
			}
			return value
		})
		if !ok {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, true
}

// further is a path parameter that a router behind the policy has.
func (l *leading) further(name string) string {
	pattern := l.view.Pattern
	if l.matched {
		pattern = l.p.pattern
	}
	if value := l.value(l.paramsOf(l.view), pattern, name); value != "" || l.routed == nil {
		return value
	}
	return l.value(l.routed, pattern, name)
}
