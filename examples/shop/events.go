package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// every is the interval between events.
const every = time.Second

// events streams what happens in the shop: one event at once, then one a second. Its route has no policy, so it is not cached.
func (s *shop) events(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := s.sendEvent(r.Context(), w); err != nil {
			return nil // the client or the database is gone: the stream ends
		}
		select {
		case <-tick.C:
		case <-s.closing:
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
}

func (s *shop) sendEvent(ctx context.Context, w http.ResponseWriter) error {
	var event struct {
		At    string `json:"at"`
		Runs  int64  `json:"handler_runs"`
		Items int64  `json:"items_in_carts"`
	}
	const count = `SELECT strftime('%Y-%m-%dT%H:%M:%fZ'), (SELECT coalesce(sum(n), 0) FROM runs),
		(SELECT coalesce(sum(quantity), 0) FROM carts)`
	if err := s.db.QueryRowContext(ctx, count).Scan(&event.At, &event.Runs, &event.Items); err != nil {
		return err
	}
	data, err := json.Marshal(event)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "event: tick\ndata: %s\n\n", data); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}
