package main

import (
	"bufio"
	"errors"
	"io"
	"strconv"
)

var errReply = errors.New("not a reply of Redis")

// readReply reads one reply of Redis, of RESP2 or RESP3, as it stands on the wire.
func readReply(from *bufio.Reader) ([]byte, error) {
	return appendReply(nil, from)
}

func appendReply(b []byte, from *bufio.Reader) ([]byte, error) {
	line, err := from.ReadBytes('\n')
	if err != nil {
		return b, err
	}
	if len(line) < 3 {
		return b, errReply
	}
	b = append(b, line...)
	count, many := 0, 1
	switch line[0] {
	case '+', '-', ':', '_', '#', ',', '(': // one line
		return b, nil
	case '$', '!', '=', '*', '~', '>', '%', '|':
		if count, err = strconv.Atoi(string(line[1 : len(line)-2])); err != nil {
			return b, errReply
		}
	default:
		return b, errReply
	}
	switch line[0] {
	case '$', '!', '=':
		return appendBulk(b, from, count)
	case '%':
		many = 2
	case '|': // attributes stand before the reply that they are of
		count, many = 2*count+1, 1
	}
	for range count * many {
		if b, err = appendReply(b, from); err != nil {
			return b, err
		}
	}
	return b, nil
}

// appendBulk reads so many bytes and a line end; fewer than none are no reply.
func appendBulk(b []byte, from *bufio.Reader, count int) ([]byte, error) {
	if count < 0 {
		return b, nil
	}
	at := len(b)
	b = append(b, make([]byte, count+2)...)
	_, err := io.ReadFull(from, b[at:])
	return b, err
}
