package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/larder-go/cache/internal/proc"
)

// asked is one request and its result.
type asked struct {
	node   *node
	key    key
	at     time.Time     // when it was due
	took   time.Duration // from when it was due
	status int
	err    error // no response, or an incomplete one
	answer answer
	hit    bool // the handler run that made the response had begun before the request was sent
}

// fine reports whether the request got a complete response, and the one for its own key.
func (a *asked) fine() bool { return a.err == nil && a.status == http.StatusOK && a.answer.is(a.key) }

// client sends the load.
var client = &http.Client{
	Timeout:   5 * time.Second,
	Transport: &http.Transport{MaxIdleConnsPerHost: 4096, DisableCompression: true},
}

// ask sends a request that was due at the given time.
func (s *stage) ask(n *node, k key, due time.Time) asked {
	a := asked{node: n, key: k, at: due}
	runs := s.board.runs.Load()
	a.status, a.answer, a.err = get(s, n, k)
	a.took = time.Since(due)
	a.hit = a.err == nil && a.status == http.StatusOK && a.answer.run <= runs
	return a
}

// site is the Host of every request, whichever process answers: responses of different hosts are not shared.
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

// openLoop sends rate requests a second, whether or not earlier ones were answered. Each is due at a fixed time, and its
// latency counts from that time. So a stall shows in every request that was due during it.
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

// percentile returns the duration that a share p (0 to 1) of all durations does not exceed; 0 if there are none.
func percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	return all[min(len(all)-1, int(p*float64(len(all))))]
}

// latencies returns how long the matching requests took.
func latencies(all []asked, match func(*asked) bool) []time.Duration {
	var took []time.Duration
	for i := range all {
		if match(&all[i]) {
			took = append(took, all[i].took)
		}
	}
	return took
}

// A node is an app process, seen from the harness.
type node struct {
	*proc.Process
	id   uint64
	base string // URL
}

// app starts an app process that uses the Redis at the URL, with additional flags, if any.
func (s *stage) app(redisURL string, flags ...string) (*node, error) {
	n := &node{id: uint64(s.files.Add(1))}
	cmd, err := proc.Self(append([]string{"app", "-id", fmt.Sprint(n.id), "-board", filepath.Join(s.dir, "board"),
		"-redis", redisURL}, flags...)...)
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	p, addr, err := s.processes.StartAnnounced(cmd)
	if err != nil {
		return nil, err
	}
	n.Process, n.base = p, "http://"+addr
	return n, nil
}

// apps starts several app processes.
func (s *stage) apps(count int, redisURL string, flags ...string) ([]*node, error) {
	nodes := make([]*node, count)
	for i := range nodes {
		var err error
		if nodes[i], err = s.app(redisURL, flags...); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// control sends the harness' own requests to the app processes, separately from the load.
var control = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}

// purge purges the resources on the node. An error means that the purge did not reach Redis.
func (n *node) purge(keys ...key) error {
	tags := url.Values{}
	for _, k := range keys {
		tags.Add("tag", k.tag())
	}
	resp, err := control.Post(n.base+"/-/purge?"+tags.Encode(), "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		return fmt.Errorf("purge: %s", strings.TrimSpace(string(text)))
	}
	return nil
}

// counts returns what the node counted since the last reset.
func (n *node) counts() (counts, error) {
	var c counts
	resp, err := control.Get(n.base + "/-/tally")
	if err != nil {
		return c, err
	}
	defer resp.Body.Close()
	return c, json.NewDecoder(resp.Body).Decode(&c)
}

func (n *node) reset() error {
	resp, err := control.Post(n.base+"/-/reset", "", nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
