package main

import (
	"fmt"
	"math"
	"strconv"

	"gonum.org/v1/plot"
)

// decades are the ticks of a logarithmic axis, labelled at powers of ten.
type decades struct{ label func(float64) string }

func (d decades) Ticks(low, high float64) (ticks []plot.Tick) {
	for decade := math.Pow(10, math.Floor(math.Log10(low))); decade <= high; decade *= 10 {
		for digit := 1.0; digit < 10; digit++ {
			t := plot.Tick{Value: digit * decade}
			if digit == 1 {
				t.Label = d.label(decade)
			}
			if t.Value >= low && t.Value <= high {
				ticks = append(ticks, t)
			}
		}
	}
	return ticks
}

// even are ticks at equal distances, five or so.
type even struct{}

func (even) Ticks(low, high float64) (ticks []plot.Tick) {
	step := math.Pow(10, math.Floor(math.Log10((high-low)/2)))
	if (high-low)/step < 4 {
		step /= 2
	} else if (high-low)/step > 7 {
		step *= 2
	}
	for i := math.Ceil(low / step); i*step <= high; i++ {
		ticks = append(ticks, plot.Tick{Value: i * step, Label: strconv.FormatFloat(i*step, 'g', 4, 64)})
	}
	return ticks
}

// thousands writes a number with commas.
func thousands(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
