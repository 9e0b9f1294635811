package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// A stream is longer than what any cache stores, and is written in pieces.
const (
	pieces     = 3200
	pieceSize  = 32 << 10
	streamSize = pieces * pieceSize // 100 MiB
)

var piece = bytes.Repeat([]byte("0123456789abcdef"), pieceSize/16)

// streamed writes a stream, with a Content-Length if its length is declared.
func streamed(declared bool) func(*app) (http.Handler, error) {
	return func(a *app) (http.Handler, error) {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			a.runs.Add(1)
			head(w.Header())
			w.Header().Del("Content-Length")
			if declared {
				w.Header().Set("Content-Length", strconv.Itoa(streamSize))
			}
			for range pieces {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		}), nil
	}
}

// verifyStream reads two streams. Each must have every byte that the handler writes, and the handler must run for each.
func verifyStream(v *visit) error {
	const streams = 2
	spent, err := v.spend(func() error {
		for range streams {
			if err := v.wholeStream(); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && spent.runs != streams {
		err = fmt.Errorf("the handler ran %d times for %d streams", spent.runs, streams)
	}
	return err
}

func (v *visit) wholeStream() error {
	resp, err := v.get(v.url(0))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	buffer := make([]byte, pieceSize)
	for i := range pieces {
		if _, err := io.ReadFull(resp.Body, buffer); err != nil {
			return fmt.Errorf("piece %d: %w", i, err)
		}
		if !bytes.Equal(buffer, piece) {
			return fmt.Errorf("piece %d is not what the handler wrote", i)
		}
	}
	n, err := resp.Body.Read(buffer)
	switch {
	case n > 0:
		return fmt.Errorf("%d bytes more after the end", n)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("after the end: %w", err)
	}
	return nil
}

// streams measures the throughput of streams, and the most memory that the server's process uses meanwhile.
func streams(v *visit) (sample, error) {
	if err := v.reset(); err != nil {
		return sample{}, err
	}
	cmd, err := self("read", v.url(0), strconv.Itoa(v.plan.seconds))
	if err != nil {
		return sample{}, err
	}
	var text string
	err = v.profiled(func() (err error) {
		text, err = v.others.Run(v, cmd)
		return err
	})
	if err != nil {
		return sample{}, err
	}
	var got reading
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		return sample{}, err
	}
	at, err := v.stats()
	if err != nil {
		return sample{}, err
	}
	s := sample{got.Streams, []figure{{float64(got.Streams*streamSize) / 1e6 / got.Took.Seconds(), "MB/s"}}}
	if at.Peak > 0 {
		s.figures = append(s.figures, figure{float64(at.Peak) / (1 << 20), peakUnit})
	}
	return s, nil
}

// reading is the result of the read role.
type reading struct {
	Streams int64
	Took    time.Duration
}

// read is the program as "read URL SECONDS": a client that reads streams one after the other, for so long at least, and
// discards them.
func read(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: read URL SECONDS")
	}
	seconds, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableCompression: true, ReadBufferSize: 256 << 10}}
	var got reading
	for begun := time.Now(); got.Took < time.Duration(seconds)*time.Second; got.Took = time.Since(begun) {
		resp, err := client.Get(args[0])
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil || n != streamSize {
			return fmt.Errorf("a stream of %d bytes, want %d: %w", n, streamSize, err)
		}
		got.Streams++
	}
	return json.NewEncoder(os.Stdout).Encode(got)
}
