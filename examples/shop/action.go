package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
)

// An action is a handler in a form that both net/http and echo can serve: r.PathValue has the path parameters, and errors are
// returned.
type action func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP makes the action a handler of net/http.
func (a action) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := a(w, r); err != nil {
		fail(w, err)
	}
}

// A fault is an error whose text the client may see.
type fault struct {
	status int
	text   string
}

func (f *fault) Error() string { return f.text }

func faultf(status int, format string, args ...any) error {
	return &fault{status, fmt.Sprintf(format, args...)}
}

var (
	errLogin  = &fault{http.StatusUnauthorized, "wrong user or password"}
	errNobody = &fault{http.StatusUnauthorized, "log in first: POST /login with user and password"}
)

// fail responds with an error. An error that is no fault goes to the log, not to the client.
func fail(w http.ResponseWriter, err error) {
	f := new(fault)
	if !errors.As(err, &f) {
		slog.Error("a handler failed", "error", err)
		f = &fault{http.StatusInternalServerError, "internal error"}
	}
	if err := reply(w, f.status, map[string]string{"error": f.text}); err != nil {
		slog.Error("an answer was not written", "error", err)
	}
}

// reply responds with JSON.
func reply(w http.ResponseWriter, status int, value any) error {
	body, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, err = w.Write(append(body, '\n'))
	return err
}
