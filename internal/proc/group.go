// Package proc starts the processes that tests and measurements need, waits until they answer, and ends them again. It is
// used by tests, examples/proxies, fleet and bench, and never linked into a user's program.
//
//	var g proc.Group
//	defer g.End()
//	redis, err := g.StartRedis(ctx, dir)
package proc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Group has the processes that one test or measurement has started. [Group.End] ends them all. On Linux they also end when
// this program does, however it ends. The zero Group is ready to use. Its methods may be called concurrently.
type Group struct {
	// Prepare, if not nil, runs once on the thread that starts the group's processes, before the first one. Processes inherit
	// that thread's attributes, such as the cores that it may run on.
	Prepare func()

	mu     sync.Mutex
	all    []*Process
	thread chan func() // its functions run on the group's own thread; nil while there is none
}

// Start starts the process. The caller must not call the command's own Start, Run or Wait.
func (g *Group) Start(cmd *exec.Cmd) (*Process, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.thread == nil {
		g.thread = newThread(g.Prepare)
	}
	diesWithParent(cmd)
	started := make(chan error)
	g.thread <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, gone: make(chan struct{})}
	go p.wait()
	g.all = append(g.all, p)
	return p, nil
}

// newThread starts a thread that runs the functions from the channel until the channel is closed. The thread must live as long
// as the processes that it starts: the kernel kills a child with Pdeathsig when the thread that started it ends, not when the
// whole parent does. Go moves goroutines between threads and may end a thread, so this goroutine is locked to its thread.
func newThread(prepare func()) chan func() {
	jobs := make(chan func())
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread ends with the goroutine, and with it what prepare did
		if prepare != nil {
			prepare()
		}
		for job := range jobs {
			job()
		}
	}()
	return jobs
}

// StartAnnounced starts a process that prints a line when it is ready, such as the address that it serves on, and returns
// that line. The process gets an open standard input, which is closed when this program ends.
func (g *Group) StartAnnounced(cmd *exec.Cmd) (p *Process, line string, err error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if _, err := cmd.StdinPipe(); err != nil {
		return nil, "", err
	}
	if p, err = g.Start(cmd); err != nil {
		return nil, "", err
	}
	line, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, "", fmt.Errorf("%s ended before it was ready: %w", cmd.Args[0], err)
	}
	return p, strings.TrimSpace(line), nil
}

// Run runs a process to its end and returns its standard output. When ctx ends, Run kills the process.
func (g *Group) Run(ctx context.Context, cmd *exec.Cmd) (string, error) {
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	p, err := g.Start(cmd)
	if err != nil {
		return "", err
	}
	select {
	case <-p.Gone():
	case <-ctx.Done():
		p.Kill()
		return "", ctx.Err()
	}
	if err := p.Err(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", cmd.Args[0], err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), nil
}

// End kills the processes that still run, the latest first, and waits until they are gone. Afterwards the group may start
// processes again.
func (g *Group) End() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range slices.Backward(g.all) {
		p.Kill()
	}
	g.all = nil
	if g.thread != nil {
		close(g.thread)
		g.thread = nil
	}
}

// A Process is a process that a [Group] has started.
type Process struct {
	cmd  *exec.Cmd
	gone chan struct{}
	err  error // of Wait; written before gone is closed
}

func (p *Process) wait() {
	p.err = p.cmd.Wait()
	close(p.gone)
}

// Gone returns a channel that is closed when the process has ended.
func (p *Process) Gone() <-chan struct{} { return p.gone }

// Err waits until the process has ended and returns its error: nil if it ended by itself and with status 0.
func (p *Process) Err() error {
	<-p.gone
	return p.err
}

// Pid returns the process' id.
func (p *Process) Pid() int { return p.OS().Pid }

// OS returns the process, for what Process has no method for. The caller must not call its Wait.
func (p *Process) OS() *os.Process { return p.cmd.Process }

// Signal sends a signal: syscall.SIGSTOP freezes the process, with its connections open, until syscall.SIGCONT.
func (p *Process) Signal(s os.Signal) error { return p.OS().Signal(s) }

// Kill ends the process at once, as a crash would, and waits until it is gone. Killing it again does nothing.
func (p *Process) Kill() {
	_ = p.OS().Kill()
	<-p.gone
}

// Interrupt sends a signal that asks the process to end, kills it if it still runs after patience, and waits until it is gone.
func (p *Process) Interrupt(s os.Signal, patience time.Duration) {
	_ = p.Signal(s)
	select {
	case <-p.gone:
	case <-time.After(patience):
		p.Kill()
	}
}

// Self returns the command that runs this same program with other arguments.
func Self(args ...string) (*exec.Cmd, error) {
	name, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return exec.Command(name, args...), nil
}

// Until checks the condition every few milliseconds, and returns nil when it is met. It returns an error when it has waited for
// most, or when ctx ends. The error for a timeout names what.
func Until(ctx context.Context, what string, most time.Duration, met func() bool) error {
	return until(ctx, what, most, nil, met)
}

// until is Until, but it also gives up when gone is closed.
func until(ctx context.Context, what string, most time.Duration, gone <-chan struct{}, met func() bool) error {
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-tick.C:
		case <-gone:
			return fmt.Errorf("%s: %w", what, errEnded)
		case <-deadline.C:
			return fmt.Errorf("%s: not within %v", what, most)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

var errEnded = errors.New("the process has ended")
