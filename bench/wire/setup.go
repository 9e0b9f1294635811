package main

import (
	"fmt"
	"log"
	"os/exec"
	"runtime"
	"slices"
)

// A setup is what the machine offers for the measurement.
type setup struct {
	server core
	load   core   // for the load and Redis
	wrk    string // path; "": this program makes the load
}

// A core is the number of a core that processes are pinned to.
type core int

const anyCore core = -1

// arrange finds out what the machine offers. Only a missing Redis is an error, if a contest needs one.
func arrange(contests []contest) (setup, error) {
	s := setup{server: anyCore, load: anyCore}
	if all := cores(); len(all) > 1 && entered(all[0]) && entered(all[1]) {
		s.server, s.load = all[0], all[1]
	}
	if slices.ContainsFunc(contests, func(c contest) bool { return c.redis }) {
		if _, err := exec.LookPath("redis-server"); err != nil {
			return s, fmt.Errorf("redis-server is not on the PATH: apt-get install redis-server, or leave it out with -only '^Loopback|^Stream'")
		}
	}
	var err error
	if s.wrk, err = exec.LookPath("wrk"); err != nil {
		s.wrk = ""
		log.Print("wire: wrk is not on the PATH, a slower client of our own takes its place: apt-get install wrk")
	}
	return s, nil
}

// entered reports whether threads may be pinned to the core.
func entered(c core) bool {
	moved := make(chan bool)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		c.enter()
		moved <- slices.Equal(cores(), []core{c})
	}()
	return <-moved
}

// places describes where processes run.
func (s setup) places() string {
	if s.server == anyCore {
		return "not pinned: the system has one core for us, or does not let us choose"
	}
	return fmt.Sprintf("server on core %d, load and redis-server on core %d", s.server, s.load)
}

func (s setup) tool() string {
	if s.wrk == "" {
		return "own client"
	}
	return "wrk"
}
