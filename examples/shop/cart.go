package main

import (
	"context"
	"database/sql"
	"net/http"
	"strconv"

	"github.com/larder-go/cache"
)

type line struct {
	product
	Quantity int   `json:"quantity"`
	Sum      euros `json:"sum"`
}

// cart shows what the user is about to buy.
func (s *shop) cart(w http.ResponseWriter, r *http.Request) error {
	u, ok := userOf(r)
	if !ok {
		return errNobody
	}
	m, err := s.made(r.Context(), "cart")
	if err != nil {
		return err
	}
	lines, total, err := s.cartOf(r.Context(), u)
	if err != nil {
		return err
	}
	for _, l := range lines { // so that a change of price purges the cart, too
		cache.AddTags(r.Context(), productTag(l.ID))
	}
	return reply(w, http.StatusOK, struct {
		made
		User  string `json:"user"`
		Lines []line `json:"lines"`
		Total euros  `json:"total"`
	}{m, u.Name, lines, total})
}

func (s *shop) cartOf(ctx context.Context, u user) (lines []line, total euros, err error) {
	const find = `SELECT id, name, about, cents, quantity, cents * quantity
		FROM carts JOIN products ON id = product WHERE user = ? ORDER BY id`
	scan := func(rows *sql.Rows, l *line) error {
		return rows.Scan(&l.ID, &l.Name, &l.About, &l.Price, &l.Quantity, &l.Sum)
	}
	lines, err = list(ctx, s.db, scan, find, u.ID)
	for _, l := range lines {
		total += l.Sum
	}
	return lines, total, err
}

// addToCart adds a quantity of a product to the user's cart.
func (s *shop) addToCart(w http.ResponseWriter, r *http.Request) error {
	u, ok := userOf(r)
	if !ok {
		return errNobody
	}
	quantity, err := quantityOf(r)
	if err != nil {
		return err
	}
	p, err := s.findProduct(r.Context(), r.PostFormValue("product"))
	if err != nil {
		return err
	}
	const add = `INSERT INTO carts (user, product, quantity) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET quantity = min(quantity + excluded.quantity, 99) RETURNING quantity`
	if err := s.db.QueryRowContext(r.Context(), add, u.ID, p.ID, quantity).Scan(&quantity); err != nil {
		return err
	}
	purged := s.purge(r, cache.User(u.identity()))
	return reply(w, http.StatusOK, map[string]any{"product": p.Name, "quantity": quantity, "purged": purged})
}

func quantityOf(r *http.Request) (int, error) {
	text := r.PostFormValue("quantity")
	if text == "" {
		return 1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 99 {
		return 0, faultf(http.StatusBadRequest, "quantity=%q is not a number from 1 to 99", text)
	}
	return n, nil
}
