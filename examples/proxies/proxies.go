package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"text/template"
	"time"

	"github.com/larder-go/cache/internal/proc"
)

// A proxy is a caching proxy, as a program to start.
type proxy struct {
	name, pack string            // pack is the Debian package
	version    []string          // the command that prints the version
	files      map[string]string // configuration: templates by path
	command    []string
}

// place is the data for the templates of configurations and commands.
type place struct {
	Dir, Listen, Port, Origin, OriginPort string

	Advised bool // configured as docs/proxies.md advises
}

var versionPattern = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)

// installed reports whether the proxy is installed, and its version.
func (p proxy) installed(ctx context.Context) (version string, ok bool) {
	path, err := exec.LookPath(p.version[0])
	if err != nil {
		return "", false
	}
	out, _ := exec.CommandContext(ctx, path, p.version[1:]...).CombinedOutput() // some exit with an error
	version = versionPattern.FindString(string(out))
	return version, version != ""
}

// running is a started proxy.
type running struct {
	*proc.Process
	processes proc.Group
	base      string // URL
	dir       string
}

// start starts the proxy in front of the origin and waits until it is ready.
func (p proxy) start(ctx context.Context, origin string, set settings) (*running, error) {
	dir, err := os.MkdirTemp("", "larder-proxies-")
	if err != nil {
		return nil, err
	}
	r := &running{dir: dir}
	if err := p.startIn(r, origin, set); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := r.wait(ctx); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

func (p proxy) startIn(r *running, origin string, set settings) error {
	free, err := proc.FreePort()
	if err != nil {
		return err
	}
	port := strconv.Itoa(free)
	listen := net.JoinHostPort("127.0.0.1", port)
	_, originPort, _ := net.SplitHostPort(origin)
	at := place{r.dir, listen, port, origin, originPort, set.advised}
	// Some proxies drop root's privileges and must still write there.
	if err := os.Chmod(r.dir, 0o777); err != nil {
		return err
	}
	for name, text := range p.files {
		path := filepath.Join(r.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(at.fill(text)), 0o666); err != nil {
			return err
		}
	}
	if err := openUp(r.dir); err != nil {
		return err
	}
	args := at.fillAll(p.command)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = r.dir
	if set.verbose {
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	}
	r.base = "http://" + listen
	r.Process, err = r.processes.Start(cmd)
	return err
}

// openUp makes the proxy's directory writable for whatever user the proxy runs as.
func openUp(dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return os.Chmod(path, 0o777)
	})
}

func (at place) fill(text string) string {
	var b bytes.Buffer
	if err := template.Must(template.New("").Parse(text)).Execute(&b, at); err != nil {
		panic(err) // the templates are our own
	}
	return b.String()
}

func (at place) fillAll(texts []string) []string {
	filled := make([]string, len(texts))
	for i, text := range texts {
		filled[i] = at.fill(text)
	}
	return filled
}

// wait waits until the proxy forwards the origin's responses, and stores one.
func (r *running) wait(ctx context.Context) error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}
	path := readyPath + filepath.Base(r.dir)
	last := ""
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		response, err := client.Get(r.base + path)
		if err == nil {
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if response.StatusCode == http.StatusOK && string(body) == last {
				return nil
			}
			last = string(body)
		}
		select {
		case <-tick.C:
		case <-r.Gone():
			return errors.New("it has ended; -v shows what it prints")
		case <-ctx.Done():
			return errors.New("it does not answer; -v shows what it prints")
		}
	}
}

// stop ends the proxy and removes its files.
func (r *running) stop() {
	r.Interrupt(syscall.SIGTERM, 10*time.Second)
	r.processes.End()
	_ = os.RemoveAll(r.dir)
}
