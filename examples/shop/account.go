package main

import "net/http"

// me tells the user who he is.
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
