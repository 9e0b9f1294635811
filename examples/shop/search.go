package main

import (
	"net/http"
	"strconv"
	"strings"
)

const (
	perPage  = 5
	lastPage = 1000
)

// literal escapes a text so that LIKE takes it literally.
var literal = strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`)

// search lists the products whose name or description contains a text, page by page.
func (s *shop) search(w http.ResponseWriter, r *http.Request) error {
	text, page, err := searchOf(r)
	if err != nil {
		return err
	}
	m, err := s.made(r.Context(), "search")
	if err != nil {
		return err
	}
	const find = `SELECT id, name, about, cents FROM products
		WHERE name LIKE ?1 ESCAPE '\' OR about LIKE ?1 ESCAPE '\' ORDER BY name LIMIT ?2 OFFSET ?3`
	pattern := "%" + literal.Replace(text) + "%"
	found, err := list(r.Context(), s.db, scanProduct, find, pattern, perPage, (page-1)*perPage)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, struct {
		made
		Query    string    `json:"q"`
		Page     int       `json:"page"`
		Products []product `json:"products"`
	}{m, text, page, found})
}

func searchOf(r *http.Request) (text string, page int, err error) {
	text, page = r.FormValue("q"), 1
	if text == "" || len(text) > 100 {
		return "", 0, faultf(http.StatusBadRequest, "q must have 1 to 100 bytes; write for example /search?q=tea")
	}
	if p := r.FormValue("page"); p != "" {
		if page, err = strconv.Atoi(p); err != nil || page < 1 || page > lastPage {
			return "", 0, faultf(http.StatusBadRequest, "page=%q is not a number from 1 to %d", p, lastPage)
		}
	}
	return text, page, nil
}
