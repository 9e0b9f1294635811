package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"net/http"
)

// rounds make guessing passwords slow: OWASP's figure for PBKDF2 with SHA-256.
var rounds = 600_000 // a variable, because tests have no time for it

// A user is somebody who has logged in.
type user struct {
	ID    int64
	Name  string
	Staff bool
}

// accounts are the users of a new database. Sam is the shopkeeper.
var accounts = []struct {
	name, password string
	staff          bool
}{
	{"alice", "wonderland", false},
	{"bob", "builder", false},
	{"sam", "shopkeeper", true},
}

func addUsers(ctx context.Context, tx *sql.Tx) error {
	for _, a := range accounts {
		salt := make([]byte, 16)
		rand.Read(salt) // never fails
		hash, err := hashPassword(a.password, salt)
		if err != nil {
			return err
		}
		const add = "INSERT INTO users (name, staff, salt, password) VALUES (?, ?, ?, ?)"
		if _, err := tx.ExecContext(ctx, add, a.name, a.staff, salt, hash); err != nil {
			return err
		}
	}
	return nil
}

func hashPassword(password string, salt []byte) ([]byte, error) {
	return pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
}

// authenticate returns the user with the name and password, or errLogin. An unknown name takes as long as a wrong password:
// otherwise the time would reveal which names exist.
func authenticate(ctx context.Context, db *sql.DB, name, password string) (user, error) {
	u := user{Name: name}
	var salt, want []byte
	const find = "SELECT id, staff, salt, password FROM users WHERE name = ?"
	err := db.QueryRowContext(ctx, find, name).Scan(&u.ID, &u.Staff, &salt, &want)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return user{}, err
	}
	got, err := hashPassword(password, salt)
	if err != nil {
		return user{}, err
	}
	if subtle.ConstantTimeCompare(got, want) == 0 {
		return user{}, errLogin
	}
	return u, nil
}

// me shows who is logged in.
func (s *shop) me(w http.ResponseWriter, r *http.Request) error {
	u, ok := userOf(r)
	if !ok {
		return errNobody
	}
	m, err := s.made(r.Context(), "me")
	if err != nil {
		return err
	}
	var items int
	const count = "SELECT coalesce(sum(quantity), 0) FROM carts WHERE user = ?"
	if err := s.db.QueryRowContext(r.Context(), count, u.ID).Scan(&items); err != nil {
		return err
	}
	return reply(w, http.StatusOK, struct {
		made
		User  string `json:"user"`
		Staff bool   `json:"staff"`
		Items int    `json:"items_in_cart"`
	}{m, u.Name, u.Staff, items})
}
