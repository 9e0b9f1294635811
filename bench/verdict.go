package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A row of the table is a figure and what it must be.
type row struct {
	figure string
	value  measure
	must   bound
}

// A bound is what a figure must be.
type bound struct {
	least bool // it must be as much as limit; otherwise at most
	limit float64
	unit  string
}

func atMost(limit float64, unit string) bound  { return bound{false, limit, unit} }
func atLeast(limit float64, unit string) bound { return bound{true, limit, unit} }

func (b bound) String() string {
	sign := "≤"
	if b.least {
		sign = "≥"
	}
	return sign + " " + b.of(strconv.FormatFloat(b.limit, 'f', -1, 64))
}

// of writes a number with the bound's unit.
func (b bound) of(number string) string { return strings.TrimSpace(number + " " + b.unit) }

func (b bound) holds(v float64) bool {
	if b.least {
		return v >= b.limit
	}
	return v <= b.limit
}

// A verdict is a row with its figures, one for each round in which it was measured.
type verdict struct {
	row
	values []float64
}

// judge measures the table's rows.
func judge(f figures) []verdict {
	verdicts := make([]verdict, len(rows))
	for i, r := range rows {
		verdicts[i].row = r
		for round := 0; ; round++ {
			v, ok := r.value(f, round)
			if !ok {
				break
			}
			verdicts[i].values = append(verdicts[i].values, v)
		}
	}
	return verdicts
}

// fails reports whether the median, to the digits that are shown, is not as it must be. What was not measured does not
// fail.
func (v verdict) fails() bool {
	return len(v.values) > 0 && !v.must.holds(math.Round(median(v.values)*100)/100)
}

func (v verdict) String() string {
	measured, met := "not measured", "–"
	if len(v.values) > 0 {
		measured, met = v.measured(), "yes"
		if v.fails() {
			met = "**no**"
		}
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", v.figure, v.must, measured, met)
}

// measured is the median and, if rounds differ, the smallest and the largest.
func (v verdict) measured() string {
	text := v.must.of(short(median(v.values)))
	if low, high := short(slices.Min(v.values)), short(slices.Max(v.values)); low != high {
		text += fmt.Sprintf(" (%s–%s)", low, high)
	}
	return text
}

// short writes a figure with the digits that matter.
func short(v float64) string {
	switch {
	case v == float64(int64(v)):
		return strconv.FormatInt(int64(v), 10)
	case v >= 100 || v <= -100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func table(verdicts []verdict) string {
	var b strings.Builder
	b.WriteString("| figure | must be | measured | met |\n|---|---|---|---|\n")
	for _, v := range verdicts {
		b.WriteString(v.String())
	}
	return b.String()
}
