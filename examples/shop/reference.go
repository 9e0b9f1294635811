package main

import (
	"database/sql"
	"net/http"
	"slices"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

type country struct {
	Code string `json:"code"`
	Name string `json:"name"`
}

// spoken are the languages of the list of countries. The first one is the default.
var spoken = []language.Tag{
	language.English, language.German, language.French, language.Spanish, language.Italian, language.Portuguese,
	language.Dutch, language.Polish, language.Swedish, language.Turkish, language.Japanese, language.Chinese,
}

var languages = language.NewMatcher(spoken)

// countries lists all countries, named and sorted in the client's language.
func (s *shop) countries(w http.ResponseWriter, r *http.Request) error {
	m, err := s.made(r.Context(), "countries")
	if err != nil {
		return err
	}
	_, chosen := language.MatchStrings(languages, r.Header.Get("Accept-Language"))
	tag := spoken[chosen]
	names := display.Regions(tag)
	scan := func(rows *sql.Rows, c *country) error {
		if err := rows.Scan(&c.Code); err != nil {
			return err
		}
		region, err := language.ParseRegion(c.Code)
		c.Name = names.Name(region)
		return err
	}
	all, err := list(r.Context(), s.db, scan, "SELECT code FROM countries")
	if err != nil {
		return err
	}
	order := collate.New(tag)
	slices.SortFunc(all, func(a, b country) int { return order.CompareString(a.Name, b.Name) })
	w.Header().Set("Content-Language", tag.String())
	w.Header().Set("Vary", "Accept-Language")
	return reply(w, http.StatusOK, struct {
		made
		Language  string    `json:"language"`
		Countries []country `json:"countries"`
	}{m, tag.String(), all})
}

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
