package main

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// lines are the stores in the plot of growth.
var lines = []struct {
	name, label string
	color       color.Color
	dashes      []vg.Length
}{
	{"ttlcache", "ttlcache by hand", theirs, []vg.Length{4, 3}},
	{"larder-otter", "Larder on otter", dark, []vg.Length{1, 2}},
	{"larder", "Larder", ours, nil},
}

// drawGrowth draws what a hit costs among more and more entries.
func drawGrowth(f figures) (*plot.Plot, vg.Length, bool) {
	p := newPlot("One hit among so many entries, visited in random order: time on one core")
	p.Add(grid())
	drawn := false
	for _, l := range lines {
		var points plotter.XYs
		for entries := 1000; entries <= 1_000_000; entries *= 10 {
			if v, ok := f.median(growth(entries, l.name), duration); ok {
				points = append(points, plotter.XY{X: float64(entries), Y: v * micro})
			}
		}
		if len(points) < 2 {
			continue
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, 0, false
		}
		line.Color, line.Width, line.Dashes = l.color, vg.Points(2), l.dashes
		dots.Color, dots.Shape, dots.Radius = l.color, draw.CircleGlyph{}, vg.Points(3)
		p.Add(line, dots)
		p.Legend.Add(l.label, line, dots)
		drawn = true
	}
	p.X.Scale = plot.LogScale{}
	p.X.Tick.Marker = decades{thousands}
	p.X.Label.Text = "entries"
	p.Y.Min = 0
	p.Y.Max *= 1.1
	p.Y.Tick.Marker = even{}
	p.Y.Label.Text = "µs a hit"
	p.Legend.Top, p.Legend.Left, p.Legend.XOffs = true, true, vg.Points(10)
	return p, 8 * vg.Centimeter, drawn
}
