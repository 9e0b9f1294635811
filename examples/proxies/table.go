package main

import (
	"fmt"
	"io"
	"strings"
)

// A table has a row for each exchange and a column for each proxy.
type table struct {
	heads   []string
	columns [][]string
}

func (t *table) add(head string, cells []string) {
	t.heads, t.columns = append(t.heads, head), append(t.columns, cells)
}

func (t *table) print(w io.Writer) {
	fmt.Fprintf(w, "| the origin sends | %s |\n|---|%s\n", strings.Join(t.heads, " | "), strings.Repeat("---|", len(t.heads)))
	for i, e := range exchanges {
		row := []string{e.what}
		for _, column := range t.columns {
			row = append(row, column[i])
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
}
