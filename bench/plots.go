package main

import (
	"fmt"
	"image/color"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// shown are the contestants in the plot of hits, and their labels there.
var shown = []struct {
	name, label string
	color       color.Color
}{
	{"bare-assign", "handler, header slices assigned", bare},
	{"bare-set", "handler, Header().Set", bare},
	{"ttlcache", "ttlcache by hand", bare},
	{"larder", "Larder", ours},
	{"larder-near", "Larder, near copy", ours},
	{"larder-otter", "Larder on otter", ours},
	{"larder-rfc9111", "Larder as HTTP cache", ours},
	{"echo-bare", "handler on echo", bare},
	{"larder-echo", "Larder on echo", ours},
	{"gin-bare", "handler on gin", bare},
	{"gin-cache", "gin-cache", theirs},
	{"fiber-bare", "handler on Fiber", bare},
	{"fiber-cache", "Fiber's cache", theirs},
	{"echo-http-cache", "echo-http-cache", theirs},
}

// drawHits draws what a hit costs, next to handlers and other libraries.
func drawHits(f figures) (*plot.Plot, vg.Length, bool) {
	var all bars
	for _, s := range slices.Backward(shown) {
		if v, ok := f.median(hit(1, s.name), duration); ok {
			all = append(all, bar{s.label, v * micro, fmt.Sprintf("%.2f µs", v*micro), s.color})
		}
	}
	if len(all) == 0 {
		return nil, 0, false
	}
	p := newPlot("One hit, 1 KiB, in process: time on one core (logarithmic)")
	p.Add(all)
	p.X.Scale = plot.LogScale{}
	p.X.Tick.Marker = decades{func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) + " µs" }}
	p.Y.Tick.Marker = all.names()
	p.Y.LineStyle.Width, p.Y.Tick.LineStyle.Width = 0, 0
	return p, vg.Length(len(all))*18 + 80, true
}

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

// drawGrowth draws how the cost of a hit grows with the number of entries.
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

// kinds are the mixtures with Zipf's law, and their labels in the plot.
var kinds = []struct{ name, label string }{{"plain", "alone"}, {"wonders", "+ wonders"}, {"scan", "+ scans"}}

// columns are the caches in the plot of hit ratios.
var columns = []struct {
	name, label string
	color       color.Color
}{
	{"lru", "plain LRU", bare},
	{"larder", "Larder", ours},
	{"otter", "otter (W-TinyLFU)", theirs},
	{"best", "knowing the future", dark},
}

// drawRatio draws hit ratios on every trace, in groups of columns.
func drawRatio(f figures) (*plot.Plot, vg.Length, bool) {
	const width = 9
	p := newPlot("Hit ratio at a capacity of 1,000 of 50,000 entries")
	p.Add(grid())
	var labels []string
	for _, s := range exponents {
		for _, kind := range kinds {
			labels = append(labels, "Zipf "+s+"\n"+kind.label)
		}
	}
	for i, c := range columns {
		values := hitRatios(f, c.name)
		if len(values) < len(labels) {
			return nil, 0, false
		}
		chart, err := plotter.NewBarChart(values, width)
		if err != nil {
			return nil, 0, false
		}
		chart.Color, chart.LineStyle.Width = c.color, 0
		chart.Offset = vg.Length(width * (float64(i) - 1.5))
		p.Add(chart)
		p.Legend.Add(c.label, chart)
	}
	p.NominalX(labels...)
	p.Y.Label.Text = "hits, %"
	p.Y.Min, p.Y.Max = 0, 100
	p.Y.Tick.Marker = even{}
	p.Legend.Top, p.Legend.Left, p.Legend.XOffs = true, true, vg.Points(10)
	return p, 8 * vg.Centimeter, true
}

// hitRatios are those of one cache, on all traces for which there are figures.
func hitRatios(f figures, who string) (values plotter.Values) {
	for _, s := range exponents {
		for _, kind := range kinds {
			if v, ok := f.median(hitRatio(s, kind.name, who), "hit-%"); ok {
				values = append(values, v)
			}
		}
	}
	return values
}
