package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxTrace bounds what a trace may ask for, so that a damaged one does not take all memory.
const maxTrace = 100_000_000

// readARC reads a trace in the format that the authors of ARC have published theirs in: each line is the first block, the
// number of blocks in a row from there, and two numbers that do not matter. An error names the line; more than so many
// requests are one.
func readARC(r io.Reader, most int) ([]uint64, error) {
	var trace []uint64
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		first, count, err := blocks(fields)
		if err == nil && count > uint64(most-len(trace)) {
			err = fmt.Errorf("the trace has more than %d requests", most)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		for i := range count {
			trace = append(trace, first+i)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(trace) == 0 {
		return nil, fmt.Errorf("the trace is empty")
	}
	return trace, nil
}

func blocks(fields []string) (first, count uint64, err error) {
	if len(fields) < 2 {
		return 0, 0, fmt.Errorf("%q is no first block and number of blocks", strings.Join(fields, " "))
	}
	if first, err = strconv.ParseUint(fields[0], 10, 63); err != nil {
		return 0, 0, err
	}
	count, err = strconv.ParseUint(fields[1], 10, 63)
	return first, count, err
}
