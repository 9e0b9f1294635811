package main

import (
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
)

// crew is the processes that a scenario has started. They end with it, whatever happens.
type crew struct {
	mu  sync.Mutex
	all []*process
}

// A process is one that we have started.
type process struct {
	cmd  *exec.Cmd
	gone chan struct{}
}

// forks runs what starts a process on the one thread that lives as long as the program: where a child is to die with its
// parent, the kernel means the thread that made it.
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

func (c *crew) start(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = diesWithParent()
	failed := make(chan error)
	forks() <- func() { failed <- cmd.Start() }
	if err := <-failed; err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, gone: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.gone)
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, p)
	return p, nil
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

// kill ends the process at once, as a crash would, and waits until it is gone. Killing it again does nothing.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// stop freezes the process: its connections stay open and nothing is answered. cont lets it go on.
func (p *process) stop() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *process) cont() error { return p.cmd.Process.Signal(syscall.SIGCONT) }
