package main

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A bar is one horizontal bar with its value written behind it.
type bar struct {
	name  string
	value float64
	text  string
	color color.Color
}

// bars are drawn from below, at 0, 1, 2 … They begin at the axis' left end, so that it may be logarithmic.
type bars []bar

const barHeight = vg.Length(12)

func (bs bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for i, b := range bs {
		left, right, middle := x(p.X.Min), x(b.value), y(float64(i))
		c.FillPolygon(b.color, []vg.Point{
			{X: left, Y: middle - barHeight/2}, {X: right, Y: middle - barHeight/2},
			{X: right, Y: middle + barHeight/2}, {X: left, Y: middle + barHeight/2},
		})
		style := p.X.Tick.Label
		style.XAlign, style.YAlign = draw.XLeft, draw.YCenter
		c.FillText(style, vg.Point{X: right + vg.Points(4), Y: middle}, b.text)
	}
}

// DataRange leaves room for what is written behind the longest bar.
func (bs bars) DataRange() (xmin, xmax, ymin, ymax float64) {
	xmin = math.Inf(1)
	for _, b := range bs {
		xmin, xmax = min(xmin, b.value), max(xmax, b.value)
	}
	return xmin / 2, xmax * 3, -0.7, float64(len(bs)) - 0.3
}

// names are the ticks of the bars.
func (bs bars) names() plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for i, b := range bs {
		ticks = append(ticks, plot.Tick{Value: float64(i), Label: b.name})
	}
	return ticks
}
