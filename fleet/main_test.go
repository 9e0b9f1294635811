package main

import (
	"os"
	"testing"
)

// TestMain lets the test binary stand in for the program where a test starts an app process.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "app" {
		main()
		return
	}
	os.Exit(m.Run())
}
