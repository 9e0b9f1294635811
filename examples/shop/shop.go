package main

import (
	"context"
	"database/sql"

	"github.com/larder-go/cache"
)

// A shop has what the actions share.
type shop struct {
	db      *sql.DB
	cache   *cache.Cache
	closing chan struct{} // closed when the server shuts down: streams end
}

func newShop(db *sql.DB, c *cache.Cache) *shop {
	return &shop{db: db, cache: c, closing: make(chan struct{})}
}

// A route is a net/http pattern and its action.
type route struct {
	pattern string
	action  action
}

func (s *shop) routes() []route {
	return []route{
		{"GET /{$}", s.home},
		{"GET /countries", s.countries},
		{"GET /rates", s.rates},
		{"GET /products/{id}", s.product},
		{"POST /products/{id}", s.setPrice},
		{"GET /search", s.search},
		{"POST /login", s.login},
		{"POST /logout", s.logout},
		{"GET /me", s.me},
		{"GET /cart", s.cart},
		{"POST /cart", s.addToCart},
		{"GET /events", s.events},
	}
}

// made is part of every response and says which run made it: on a hit, run and time are those of an earlier request.
type made struct {
	Run int64  `json:"run"` // number of this handler's run, from 1
	At  string `json:"made_at"`
}

// made counts a run of the handler in the database.
func (s *shop) made(ctx context.Context, handler string) (m made, err error) {
	const count = `INSERT INTO runs (handler, n, at) VALUES (?, 1, strftime('%Y-%m-%dT%H:%M:%fZ'))
		ON CONFLICT DO UPDATE SET n = n + 1, at = excluded.at RETURNING n, at`
	err = s.db.QueryRowContext(ctx, count, handler).Scan(&m.Run, &m.At)
	return m, err
}

// list returns the rows of a query, each as scan reads it.
func list[T any](ctx context.Context, db *sql.DB, scan func(*sql.Rows, *T) error, query string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	items := []T{}
	for rows.Next() {
		var item T
		if err := scan(rows, &item); err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, rows.Err()
}
