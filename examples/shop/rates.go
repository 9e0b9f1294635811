package main

import (
	"database/sql"
	"net/http"
)

type rate struct {
	Currency string  `json:"currency"`
	PerEuro  float64 `json:"per_euro"`
}

// rates lists what a euro is worth.
func (s *shop) rates(w http.ResponseWriter, r *http.Request) error {
	m, err := s.made(r.Context(), "rates")
	if err != nil {
		return err
	}
	scan := func(rows *sql.Rows, x *rate) error { return rows.Scan(&x.Currency, &x.PerEuro) }
	all, err := list(r.Context(), s.db, scan, "SELECT currency, per_euro FROM rates ORDER BY currency")
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, struct {
		made
		Rates []rate `json:"rates"`
	}{m, all})
}
