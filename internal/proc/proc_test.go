package proc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/proc"
)

// TestMain lets the test binary stand in for a program that a test starts.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	switch os.Args[1] {
	case "announce":
		fmt.Println("ready to", os.Args[2])
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "print":
		fmt.Print(os.Args[2])
	case "fail":
		fmt.Fprintln(os.Stderr, "no such thing")
		os.Exit(3)
	case "sleep":
		time.Sleep(time.Minute)
	case "parent": // starts a child, says which, and is killed
		var g proc.Group
		_, line, err := g.StartAnnounced(self("announce", "sleep"))
		fmt.Println(line, err)
		time.Sleep(time.Minute)
	default:
		os.Exit(m.Run())
	}
}

func self(args ...string) *exec.Cmd {
	cmd, err := proc.Self(args...)
	if err != nil {
		panic(err)
	}
	return cmd
}

func group(t *testing.T) *proc.Group {
	g := new(proc.Group)
	t.Cleanup(g.End)
	return g
}

// there says whether the process exists, be it only until somebody waits for it.
func there(pid int) bool {
	p, err := os.FindProcess(pid)
	return err == nil && p.Signal(syscall.Signal(0)) == nil
}

func TestGroupEndsItsProcesses(t *testing.T) {
	g := group(t)
	var all []*proc.Process
	for range 3 {
		p, line, err := g.StartAnnounced(self("announce", "sleep"))
		if err != nil || line != "ready to sleep" {
			t.Fatalf("announced %q, %v", line, err)
		}
		all = append(all, p)
	}
	g.End()
	for _, p := range all {
		select {
		case <-p.Gone():
		default:
			t.Error("a process was not waited for")
		}
		if there(p.Pid()) {
			t.Errorf("process %d is still there", p.Pid())
		}
		p.Kill() // does nothing
	}
	if out, err := g.Run(t.Context(), self("print", "again")); out != "again" || err != nil {
		t.Errorf("after its end the group runs %q, %v", out, err)
	}
}

func TestRunReturnsWhatIsPrinted(t *testing.T) {
	g := group(t)
	if out, err := g.Run(t.Context(), self("print", "some text")); out != "some text" || err != nil {
		t.Errorf("got %q, %v", out, err)
	}
	_, err := g.Run(t.Context(), self("fail"))
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("error %v, want one with the status and the complaint", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := g.Run(ctx, self("sleep")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
	}
	if _, err := g.Run(t.Context(), exec.Command("/no/such/program")); err == nil {
		t.Error("a program that is not there was run")
	}
	if _, _, err := g.StartAnnounced(self("fail")); err == nil {
		t.Error("a process that announced nothing was started")
	}
}

func TestPrepareRunsOnceBeforeTheFirstProcess(t *testing.T) {
	g, prepared := group(t), 0
	g.Prepare = func() { prepared++ }
	for range 2 {
		if _, err := g.Run(t.Context(), self("print", "")); err != nil || prepared != 1 {
			t.Errorf("prepared %d times, error %v", prepared, err)
		}
	}
}

func TestInterruptWaitsForTheEnd(t *testing.T) {
	g := group(t)
	for _, patience := range []time.Duration{time.Minute, 0} {
		p, _, err := g.StartAnnounced(self("announce", "end"))
		if err != nil {
			t.Fatal(err)
		}
		p.Interrupt(syscall.SIGTERM, patience)
		if p.Err() == nil || there(p.Pid()) {
			t.Errorf("the process is there, or ended by itself: %v", p.Err())
		}
	}
}

// A program that is killed cannot end what it has started; the kernel does.
func TestProcessesEndWithTheirParent(t *testing.T) {
	if _, err := os.Stat("/proc/self/task"); err != nil {
		t.Skip("only Linux ends processes with their parent")
	}
	g := group(t)
	parent, line, err := g.StartAnnounced(self("parent"))
	if err != nil || line != "ready to sleep <nil>" {
		t.Fatalf("announced %q, %v", line, err)
	}
	child := childOf(t, parent.Pid())
	if child == 0 {
		t.Fatal("the parent has no child")
	}
	parent.Kill()
	if err := proc.Until(t.Context(), "the child ends", 5*time.Second, func() bool { return !there(child) || zombie(child) }); err != nil {
		t.Error(err)
	}
}

// childOf returns a process whose parent is the one given; 0 if there is none.
func childOf(t *testing.T, parent int) (child int) {
	t.Helper()
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		var pid, of int
		var name, state string
		text, _ := os.ReadFile("/proc/" + d.Name() + "/stat")
		if n, _ := fmt.Sscanf(string(text), "%d %s %s %d", &pid, &name, &state, &of); n == 4 && of == parent {
			child = pid
		}
	}
	return child
}

// zombie says whether the process has ended and nobody has waited for it.
func zombie(pid int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return strings.Contains(string(text), ") Z ")
}

func TestUntilGivesUp(t *testing.T) {
	err := proc.Until(t.Context(), "the moon is full", 20*time.Millisecond, func() bool { return false })
	if err == nil || !strings.Contains(err.Error(), "the moon is full") {
		t.Errorf("error %v, want one that says what was waited for", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := proc.Until(ctx, "", time.Minute, func() bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	asked := 0
	if err := proc.Until(t.Context(), "", time.Minute, func() bool { asked++; return asked == 3 }); err != nil || asked != 3 {
		t.Errorf("asked %d times, error %v", asked, err)
	}
}

func TestRedisStartsAgainWhereItWas(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on the PATH; install Redis to run this test")
	}
	g := group(t)
	r, err := g.StartRedis(t.Context(), t.TempDir(), "--maxclients", "77")
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := proc.Ask(r.Addr(), "SET a b"); reply != "+OK\r\n" || err != nil {
		t.Errorf("SET: %q, %v", reply, err)
	}
	r.Kill()
	if _, err := proc.Ask(r.Addr(), "PING"); err == nil {
		t.Error("a server that was killed answers")
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{"EXISTS a": ":0\r\n", "CONFIG GET maxclients": "*2\r\n$10\r\nmaxclients\r\n$2\r\n77\r\n"} {
		if reply, err := proc.Ask(r.Addr(), command); reply != want || err != nil {
			t.Errorf("%s: %q, %v", command, reply, err)
		}
	}
	if want := fmt.Sprintf("redis://127.0.0.1:%d", r.Port()); r.URL() != want {
		t.Errorf("URL %s, want %s", r.URL(), want)
	}
	if _, err := g.StartRedis(t.Context(), t.TempDir(), "--no-such-option"); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("error %v, want one that says that the server has ended", err)
	}
}

func TestFreePortsAreFree(t *testing.T) {
	for range 20 {
		port, err := proc.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		if port+10_000 > 1<<16-1 {
			t.Errorf("port %d leaves no place for the cluster's", port)
		}
	}
}
