// Package redistest gives tests a Redis. A [Server] is a small one in the test's process: for bubbles of fake time, for faults
// that no real server produces on demand, and for machines without a redis-server. It speaks RESP2, knows the commands that
// redisstore and its tests use, and has Go equivalents of the scripts for leases. What matters is also tested on a real Redis:
// see [Real].
package redistest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Server is a test's Redis. Its methods may be called concurrently.
type Server struct {
	listener net.Listener // nil: only Dial reaches it
	done     chan struct{}
	serving  sync.WaitGroup

	mu       sync.Mutex // guards what follows
	closed   bool
	conns    map[net.Conn]struct{}
	data     map[string]*value
	scripts  map[string]string // source by SHA-1
	ahead    time.Duration     // how far its clock is ahead of the machine's
	fault    string            // the error that every command gets; "": none
	hook     func(command []string) (fault string)
	commands int
	added    chan struct{} // closed by the next XADD
}

// New returns a server without a listener. [Server.Dial] reaches it, also in a bubble of fake time.
func New(t testing.TB) *Server {
	s := &Server{
		done: make(chan struct{}), added: make(chan struct{}),
		conns: map[net.Conn]struct{}{}, data: map[string]*value{}, scripts: map[string]string{},
	}
	t.Cleanup(s.Close)
	return s
}

// Start returns a server on a free port of 127.0.0.1.
func Start(t testing.TB) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	s := New(t)
	s.listener = l
	s.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.serve(conn)
		}
	})
	return s
}

// Addr returns the host and port that the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL returns the server's redis:// URL.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Dial returns a connection that needs no network.
func (s *Server) Dial() net.Conn {
	client, server := net.Pipe()
	s.serve(server)
	return client
}

// Close ends the server and its connections. Closing it again does nothing.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	close(s.done)
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	if s.listener != nil {
		_ = s.listener.Close()
	}
	s.serving.Wait()
}

// SetError makes every command fail with the error; "" ends that.
func (s *Server) SetError(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = text
}

// SetHook has the hook called with each command before it runs, its name in lower case. If the hook returns an error text, the
// command gets that as its reply and does not run. Nil removes the hook.
func (s *Server) SetHook(hook func(command []string) (fault string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

// Advance puts the server's clock forward.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += d
}

// Commands returns how many commands the server has received.
func (s *Server) Commands() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commands
}

// Do runs one command without hooks and faults, and returns its reply: a string, an int, nil, a []any of these, or an error.
func (s *Server) Do(command ...string) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run(slices.Clone(command))
}

// Keys returns the names of all keys, in order.
func (s *Server) Keys() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys()
}

// TTL returns how long the key still lives, rounded to seconds; 0 if the key never expires or does not exist.
func (s *Server) TTL(key string) time.Duration {
	ms, _ := s.Do("pttl", key).(int)
	return (time.Duration(ms) * time.Millisecond).Round(time.Second)
}

func (s *Server) serve(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		return
	}
	s.conns[conn] = struct{}{}
	s.serving.Go(func() {
		defer func() {
			_ = conn.Close()
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.conns, conn)
		}()
		s.converse(conn)
	})
}

// converse answers one command after the other until the connection ends.
func (s *Server) converse(conn net.Conn) {
	in, out := bufio.NewReader(conn), bufio.NewWriter(conn)
	var queue [][]string // of a transaction
	queues := false
	for {
		command, err := readCommand(in)
		if err != nil {
			return
		}
		command[0] = strings.ToLower(command[0])
		reply := s.refusal(command)
		switch {
		case reply != nil:
		case command[0] == "multi":
			queue, queues, reply = nil, true, status("OK")
		case command[0] == "exec" && queues:
			reply, queues = s.transact(queue), false
		case queues:
			queue, reply = append(queue, command), status("QUEUED")
		case command[0] == "xread":
			_ = out.Flush()
			reply = s.awaitRecords(command)
		default:
			reply = s.Do(command...)
		}
		writeReply(out, reply)
		if in.Buffered() > 0 { // the pipeline has more commands
			continue
		}
		if out.Flush() != nil {
			return
		}
	}
}

// refusal counts the command, and returns the error that the test wants for it, or nil.
func (s *Server) refusal(command []string) any {
	s.mu.Lock()
	s.commands++
	fault, hook := s.fault, s.hook
	s.mu.Unlock()
	if fault == "" && hook != nil {
		fault = hook(command)
	}
	if fault != "" {
		return errors.New(fault)
	}
	return nil
}

func (s *Server) transact(queue [][]string) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	replies := make([]any, len(queue))
	for i, command := range queue {
		replies[i] = s.run(command)
	}
	return replies
}

var errProtocol = errors.New("ERR Protocol error")

// readCommand reads an array of bulk strings.
func readCommand(in *bufio.Reader) ([]string, error) {
	n, err := readLength(in, '*')
	if err != nil || n == 0 {
		return nil, errors.Join(errProtocol, err)
	}
	command := make([]string, n)
	for i := range command {
		size, err := readLength(in, '$')
		if err != nil {
			return nil, err
		}
		text := make([]byte, size+2)
		if _, err := io.ReadFull(in, text); err != nil {
			return nil, err
		}
		command[i] = string(text[:size])
	}
	return command, nil
}

func readLength(in *bufio.Reader, mark byte) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	if err != nil || line[0] != mark || n < 0 {
		return 0, errProtocol
	}
	return n, nil
}

type (
	status  string   // "+OK" and the like
	nothing struct{} // the null array
)

func writeReply(out *bufio.Writer, reply any) {
	switch r := reply.(type) {
	case nil:
		_, _ = out.WriteString("$-1\r\n")
	case nothing:
		_, _ = out.WriteString("*-1\r\n")
	case status:
		_, _ = out.WriteString("+" + string(r) + "\r\n")
	case error:
		_, _ = out.WriteString("-" + r.Error() + "\r\n")
	case int:
		_, _ = out.WriteString(":" + strconv.Itoa(r) + "\r\n")
	case string:
		_, _ = out.WriteString("$" + strconv.Itoa(len(r)) + "\r\n" + r + "\r\n")
	case []any:
		_, _ = out.WriteString("*" + strconv.Itoa(len(r)) + "\r\n")
		for _, one := range r {
			writeReply(out, one)
		}
	}
}
