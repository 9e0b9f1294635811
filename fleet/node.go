package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A node is an app process, seen from the harness.
type node struct {
	*process
	id   uint64
	base string
}

// app starts an app process on the Redis of the URL, with more flags, if any.
func (s *stage) app(redisURL string, flags ...string) (*node, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	n := &node{id: uint64(s.files.Add(1))}
	cmd := exec.Command(self, append([]string{"app", "-id", fmt.Sprint(n.id), "-board", filepath.Join(s.dir, "board"),
		"-redis", redisURL}, flags...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	s.atEnd(func() { _ = in.Close() })
	if n.process, err = s.crew.start(cmd); err != nil {
		return nil, err
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("an app process did not start: %w", err)
	}
	n.base = "http://" + strings.TrimSpace(addr)
	return n, nil
}

// apps starts several.
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

// control is for what the harness asks of the app processes beside the load.
var control = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}

// purge purges the resources on the node. An error says that Redis was not told.
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
