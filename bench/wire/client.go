package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"
)

// load is the program as "load ADDRESS": it does what wrk does where there is none, and prints it as wrk does.
func load(args []string) error {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	clients := flags.Int("clients", 64, "connections")
	pages := flags.Int("pages", 1, "pages that are asked for, one after the other")
	seconds := flags.Int("seconds", 2, "length of the load")
	_ = flags.Parse(args)
	begun := time.Now()
	took, err := drive(flags.Arg(0), *clients, *pages, time.Duration(*seconds)*time.Second)
	if err != nil {
		return err
	}
	lasted := time.Since(begun)
	slices.Sort(took)
	at := func(share float64) time.Duration { return took[int(share*float64(len(took)-1))] }
	fmt.Printf("    50%% %v\n    99%% %v\n  %d requests in %v\n", at(0.50), at(0.99), len(took), lasted)
	fmt.Printf("Requests/sec: %.2f\n", float64(len(took))/lasted.Seconds())
	return nil
}

// drive has each connection ask again as soon as it is answered, for so long. It returns what each answer took.
func drive(addr string, clients, pages int, lasts time.Duration) ([]time.Duration, error) {
	type result struct {
		took []time.Duration
		err  error
	}
	results := make(chan result)
	end := time.Now().Add(lasts)
	for i := range clients {
		// Each client begins elsewhere, so that they ask for different pages at the same time.
		asking := requests(addr, pages, i*pages/clients)
		go func() {
			took, err := askUntil(addr, asking, end)
			results <- result{took, err}
		}()
	}
	var all []time.Duration
	var failed error
	for range clients {
		r := <-results
		all = append(all, r.took...)
		failed = errors.Join(failed, r.err)
	}
	return all, failed
}

// requests are those for all pages, from one on.
func requests(addr string, pages, first int) [][]byte {
	rest := " HTTP/1.1\r\nHost: " + addr + "\r\n"
	for _, a := range asks {
		rest += a[0] + ": " + a[1] + "\r\n"
	}
	var all [][]byte
	for i := range pages {
		all = append(all, []byte("GET "+path+"?"+query((first+i)%pages)+rest+"\r\n"))
	}
	return all
}

// askUntil asks on one connection, and at least once.
func askUntil(addr string, asking [][]byte, end time.Time) ([]time.Duration, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(end.Add(5 * time.Second))
	answers := bufio.NewReader(conn)
	var took []time.Duration
	for now := time.Now(); len(took) == 0 || now.Before(end); {
		if _, err := conn.Write(asking[len(took)%len(asking)]); err != nil {
			return nil, err
		}
		if err := skipAnswer(answers); err != nil {
			return nil, err
		}
		answered := time.Now()
		took = append(took, answered.Sub(now))
		now = answered
	}
	return took, nil
}

// skipAnswer reads an answer of status 200 with a Content-Length: no contestant's hit has another.
func skipAnswer(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answered %q", line)
	}
	length := -1
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer without Content-Length")
	}
	_, err = r.Discard(length)
	return err
}
