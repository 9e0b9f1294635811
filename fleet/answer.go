package main

import (
	"fmt"
	"hash/crc32"
	"strings"
)

// An answer names what it is the answer to, so that whoever reads it can tell whether it is the right one and whole.
type answer struct {
	path    string
	owner   string
	version uint64
	run     uint64 // the handler's run that made it
	by      uint64 // the process that made it
}

// compose writes the answer as a body: a line of what it is and how long, filling, and a checksum over both.
func (a answer) compose() string {
	fill := int(crc32.ChecksumIEEE([]byte(a.path+a.owner)) % 2000)
	var b strings.Builder
	b.Grow(fill + 200)
	fmt.Fprintf(&b, "path=%s owner=%s version=%d run=%d by=%d fill=%d\n", a.path, a.owner, a.version, a.run, a.by, fill)
	for line := a.path + " " + a.owner + "\n"; fill > 0; fill -= len(line) {
		b.WriteString(line[:min(fill, len(line))])
	}
	fmt.Fprintf(&b, "%08x\n", crc32.ChecksumIEEE([]byte(b.String())))
	return b.String()
}

const sumLength = 9

// parse is the inverse of compose. An error says how the body is not one that compose has made.
func parse(body string) (answer, error) {
	var a answer
	if len(body) < sumLength {
		return a, fmt.Errorf("%d bytes", len(body))
	}
	text, sum := body[:len(body)-sumLength], body[len(body)-sumLength:]
	if want := fmt.Sprintf("%08x\n", crc32.ChecksumIEEE([]byte(text))); sum != want {
		return a, fmt.Errorf("checksum %q over %d bytes, want %q", sum, len(text), want)
	}
	line, filling, _ := strings.Cut(text, "\n")
	var fill int
	_, err := fmt.Sscanf(line, "path=%s owner=%s version=%d run=%d by=%d fill=%d", &a.path, &a.owner, &a.version, &a.run, &a.by, &fill)
	if err != nil {
		return a, fmt.Errorf("first line %q: %w", line, err)
	}
	if len(filling) != fill {
		return a, fmt.Errorf("%d bytes of filling, want %d", len(filling), fill)
	}
	return a, nil
}

// is says whether the answer is one to the key's request.
func (a answer) is(k key) bool { return a.path == k.path() && a.owner == k.owner() }
