package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/larder-go/cache"
)

const (
	sessionCookie = "session"
	sessionLife   = 7 * 24 * time.Hour
)

type userKey struct{}

// userOf returns the user who has logged in; false if nobody has.
func userOf(r *http.Request) (user, bool) {
	u, ok := r.Context().Value(userKey{}).(user)
	return u, ok
}

// identity identifies the user to the cache.
func (u user) identity() string { return strconv.FormatInt(u.ID, 10) }

// sessions finds out which user sends the request, and tells the handlers and the cache. It must wrap the cache, because a
// session must be valid on hits, too.
func (s *shop) sessions(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookies := r.CookiesNamed(sessionCookie)
		if len(cookies) != 1 {
			next.ServeHTTP(w, r)
			return
		}
		u, err := s.userOfSession(r.Context(), cookies[0].Value)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			fail(w, err)
			return
		default:
			ctx := context.WithValue(r.Context(), userKey{}, u)
			r = r.WithContext(cache.WithUser(ctx, u.identity()))
		}
		next.ServeHTTP(w, r)
	})
}

// digest is how the database stores a session: whoever reads it there cannot use the session.
func digest(session string) []byte {
	sum := sha256.Sum256([]byte(session))
	return sum[:]
}

func (s *shop) userOfSession(ctx context.Context, session string) (u user, err error) {
	const find = `SELECT users.id, name, staff FROM sessions JOIN users ON users.id = sessions.user
		WHERE digest = ? AND expires > unixepoch()`
	err = s.db.QueryRowContext(ctx, find, digest(session)).Scan(&u.ID, &u.Name, &u.Staff)
	return u, err
}
