package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheTableTakesThePlaceOfTheOld(t *testing.T) {
	name := filepath.Join(t.TempDir(), "docs", "reliability.md")
	if err := writeTable(name, "one\n"); err != nil {
		t.Fatal(err)
	}
	if err := writeTable(name, "two\n"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if want := "# Reliability\n\n<!-- fleet -->\ntwo\n<!-- /fleet -->\n"; string(got) != want || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := os.WriteFile(name, []byte("prose"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeTable(name, "three\n"); err == nil {
		t.Error("a file without marks was overwritten")
	}
}
