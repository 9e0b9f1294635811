package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// asked is one request and what became of it.
type asked struct {
	node   *node
	key    key
	at     time.Time     // when it was due
	took   time.Duration // since it was due
	status int
	err    error // not answered, or not whole
	answer answer
	hit    bool // made by a run of the handler that had begun before the request was sent
}

// fine says that the request got a whole answer, and its own.
func (a *asked) fine() bool { return a.err == nil && a.status == http.StatusOK && a.answer.is(a.key) }

// client is the load's.
var client = &http.Client{
	Timeout:   5 * time.Second,
	Transport: &http.Transport{MaxIdleConnsPerHost: 4096, DisableCompression: true},
}

// ask sends a request that was due at a time.
func (s *stage) ask(n *node, k key, due time.Time) asked {
	a := asked{node: n, key: k, at: due}
	runs := s.board.runs.Load()
	a.status, a.answer, a.err = get(s, n, k)
	a.took = time.Since(due)
	a.hit = a.err == nil && a.status == http.StatusOK && a.answer.run <= runs
	return a
}

// site is the host that clients believe to ask, whichever process answers: answers of different hosts are not shared.
const site = "fleet.test"

var errTruncated = errors.New("not a whole body")

func get(ctx context.Context, n *node, k key) (int, answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.base+k.path(), nil)
	if err != nil {
		return 0, answer{}, err
	}
	req.Host = site
	if k.kind == user {
		req.Header.Set("User", k.owner())
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp.StatusCode, answer{}, err
	}
	a, err := parse(string(body))
	if err != nil {
		err = fmt.Errorf("%w: %w", errTruncated, err)
	}
	return resp.StatusCode, a, err
}

// openLoop sends rate requests a second for a while, whether or not earlier ones were answered. Each has its time in a fixed
// schedule, and what it took is counted from then: a stall is felt by all who would have come during it.
func (s *stage) openLoop(rate int, lasts time.Duration, pick func(i int) (*node, key)) []asked {
	total := int(lasts.Seconds() * float64(rate))
	results := make([]asked, total)
	var wg sync.WaitGroup
	begun := time.Now()
	for i := range total {
		due := begun.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if wait := time.Until(due); wait > 0 && s.pause(wait) != nil {
			results = results[:i]
			break
		}
		n, k := pick(i)
		wg.Go(func() { results[i] = s.ask(n, k, due) })
	}
	wg.Wait()
	return results
}

// percentile returns what p of the durations do not exceed; 0 if there are none.
func percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	return all[min(len(all)-1, int(p*float64(len(all))))]
}

// latencies are those of the requests that match.
func latencies(all []asked, match func(*asked) bool) []time.Duration {
	var took []time.Duration
	for i := range all {
		if match(&all[i]) {
			took = append(took, all[i].took)
		}
	}
	return took
}
