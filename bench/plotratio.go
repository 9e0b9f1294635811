package main

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// kinds are what Zipf's law is mixed with, and how that is called in the plot.
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

// hitRatios are a cache's on all traces for which there are figures.
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
