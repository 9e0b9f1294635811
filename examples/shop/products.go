package main

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"strconv"
)

type product struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	About string `json:"about"`
	Price euros  `json:"price"`
}

func scanProduct(rows *sql.Rows, p *product) error {
	return rows.Scan(&p.ID, &p.Name, &p.About, &p.Price)
}

// productID reads the id of a product, from a path or a form.
func productID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 || text != strconv.FormatInt(id, 10) {
		return 0, faultf(http.StatusNotFound, "there is no product %q", text)
	}
	return id, nil
}

func (s *shop) findProduct(ctx context.Context, text string) (p product, err error) {
	id, err := productID(text)
	if err != nil {
		return p, err
	}
	const find = "SELECT id, name, about, cents FROM products WHERE id = ?"
	err = s.db.QueryRowContext(ctx, find, id).Scan(&p.ID, &p.Name, &p.About, &p.Price)
	if errors.Is(err, sql.ErrNoRows) {
		err = faultf(http.StatusNotFound, "there is no product %q", text)
	}
	return p, err
}

// product shows one product.
func (s *shop) product(w http.ResponseWriter, r *http.Request) error {
	p, err := s.findProduct(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	m, err := s.made(r.Context(), "product")
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, struct {
		made
		product
	}{m, p})
}

var (
	//go:embed home.html
	homeText string
	homePage = template.Must(template.New("home").Parse(homeText))
)

// home is the page with all products.
func (s *shop) home(w http.ResponseWriter, r *http.Request) error {
	m, err := s.made(r.Context(), "home")
	if err != nil {
		return err
	}
	all, err := list(r.Context(), s.db, scanProduct, "SELECT id, name, about, cents FROM products ORDER BY name")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return homePage.Execute(w, struct {
		Made     made
		Products []product
	}{m, all})
}
