package main

import (
	"fmt"
	"image/color"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

// shown are the contestants in the plot of hits, and how they are called there.
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

// drawHits draws what a hit costs, beside handlers and other libraries.
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
