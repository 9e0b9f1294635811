package keying_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/larder-go/cache/internal/user"
	"github.com/larder-go/cache/keying"
)

func TestFromContext(t *testing.T) {
	who := keying.FromContext()
	r := request(t, "/")
	if id, ok := who(r); ok || id != "" {
		t.Errorf("nobody is %q, %v", id, ok)
	}
	alice := r.WithContext(user.With(r.Context(), "alice"))
	if id, ok := who(alice); !ok || id != "alice" {
		t.Errorf("alice is %q, %v", id, ok)
	}
	if id, ok := who(alice.WithContext(user.With(alice.Context(), ""))); ok || id != "" {
		t.Errorf("who was logged out is %q, %v", id, ok)
	}
}

func TestCookieUser(t *testing.T) {
	who := keying.Cookie("sid", func(ctx context.Context, value string) (string, bool) {
		if ctx == nil {
			t.Error("lookup has no context")
		}
		switch value {
		case "1":
			return "alice", true
		case "empty":
			return "", true
		case "revoked":
			return "alice", false
		}
		return "", false
	})
	tests := []struct {
		name  string
		lines []string
		id    string
		ok    bool
	}{
		{"alice", []string{"Cookie: sid=1"}, "alice", true},
		{"among others", []string{"Cookie: a=b; sid=1; c=d"}, "alice", true},
		{"no cookie", nil, "", false},
		{"another cookie", []string{"Cookie: SID=1"}, "", false},
		{"twice", []string{"Cookie: sid=1; sid=1"}, "", false},
		{"twice, on two lines", []string{"Cookie: sid=1", "Cookie: sid=2"}, "", false},
		{"unknown", []string{"Cookie: sid=9"}, "", false},
		{"an empty id", []string{"Cookie: sid=empty"}, "", false},
	}
	for _, tt := range tests {
		if id, ok := who(request(t, "/", tt.lines...)); ok != tt.ok || ok && id != tt.id {
			t.Errorf("%s: %q, %v; want %q, %v", tt.name, id, ok, tt.id, tt.ok)
		}
	}
	if _, ok := who(request(t, "/", "Cookie: sid=revoked")); ok {
		t.Error("a session that lookup refuses has a user")
	}
}

// hiding is a context in which nobody is to be known.
type hiding struct{ context.Context }

func (c hiding) Value(key any) any {
	if _, ok := key.(user.Key); ok {
		return user.Hidden{}
	}
	return c.Context.Value(key)
}

// A context that hides the user knows nobody, whoever was told outside of it or is told within.
func TestHiddenUsersStayHidden(t *testing.T) {
	ctx := hiding{user.With(t.Context(), "alice")}
	for _, ctx := range []context.Context{ctx, user.With(ctx, "bob"), user.With(context.WithValue(ctx, hiding{}, 1), "bob")} {
		if id, ok := user.Of(ctx); ok || id != "" {
			t.Errorf("%q is known", id)
		}
	}
}

// request is a GET request with these lines of its header.
func request(t testing.TB, target string, lines ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}
