package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// crew is the processes that a visit has started. They end with it, whatever happens.
type crew struct {
	mu  sync.Mutex
	all []*process
}

// A process is one that we have started.
type process struct {
	cmd  *exec.Cmd
	gone chan struct{}
	err  error // written before gone is closed
}

// forks runs what starts a process on the one thread that lives as long as the program: where a child is to die with its
// parent, the kernel means the thread that made it. A child also has the cores that this thread has at that moment.
var forks = sync.OnceValue(func() chan<- func() {
	jobs := make(chan func())
	go func() {
		runtime.LockOSThread()
		for job := range jobs {
			job()
		}
	}()
	return jobs
})

// start starts the process on the core.
func (c *crew) start(cmd *exec.Cmd, on core) (*process, error) {
	cmd.SysProcAttr = diesWithParent()
	failed := make(chan error)
	forks() <- func() {
		back := on.enter()
		err := cmd.Start()
		back()
		failed <- err
	}
	if err := <-failed; err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, gone: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.gone)
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, p)
	return p, nil
}

// run runs the process on the core to its end and returns what it prints. It ends with the context.
func (c *crew) run(ctx context.Context, cmd *exec.Cmd, on core) (string, error) {
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	p, err := c.start(cmd, on)
	if err != nil {
		return "", err
	}
	select {
	case <-p.gone:
	case <-ctx.Done():
		p.kill()
		return "", ctx.Err()
	}
	if p.err != nil {
		return "", fmt.Errorf("%s: %w: %s", cmd.Args[0], p.err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), nil
}

// self is the command that runs this program in another role, with one core's worth of Go.
func self(args ...string) (*exec.Cmd, error) {
	name, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	return cmd, nil
}

// end kills what is still there, latest first.
func (c *crew) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range slices.Backward(c.all) {
		p.kill()
	}
	c.all = nil
}

// kill ends the process and waits until it is gone. Killing it again does nothing.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
}
