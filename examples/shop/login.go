package main

import (
	"crypto/rand"
	"net/http"
	"time"
)

// login begins a session.
func (s *shop) login(w http.ResponseWriter, r *http.Request) error {
	u, err := authenticate(r.Context(), s.db, r.PostFormValue("user"), r.PostFormValue("password"))
	if err != nil {
		return err
	}
	session := rand.Text()
	const begin = `DELETE FROM sessions WHERE expires <= unixepoch();
		INSERT INTO sessions (digest, user, expires) VALUES (?, ?, unixepoch() + ?)`
	if _, err := s.db.ExecContext(r.Context(), begin, digest(session), u.ID, int64(sessionLife/time.Second)); err != nil {
		return err
	}
	setSession(w, r, session, sessionLife)
	return reply(w, http.StatusOK, map[string]string{"user": u.Name})
}

// logout ends the session.
func (s *shop) logout(w http.ResponseWriter, r *http.Request) error {
	for _, cookie := range r.CookiesNamed(sessionCookie) {
		if _, err := s.db.ExecContext(r.Context(), "DELETE FROM sessions WHERE digest = ?", digest(cookie.Value)); err != nil {
			return err
		}
	}
	setSession(w, r, "", -time.Second)
	return reply(w, http.StatusOK, map[string]any{"user": nil})
}

func setSession(w http.ResponseWriter, r *http.Request, session string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: session, Path: "/", MaxAge: int(life / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil,
	})
}
