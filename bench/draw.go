package main

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Colours that can be told apart in print and by the colour-blind.
var (
	ours   = color.RGBA{0xd5, 0x5e, 0x00, 0xff}
	theirs = color.RGBA{0x56, 0x7e, 0xa3, 0xff}
	bare   = color.RGBA{0xa9, 0xb4, 0xbc, 0xff}
	dark   = color.RGBA{0x4a, 0x4a, 0x4a, 0xff}
)

// drawAll draws every plot for which there are figures.
func drawAll(dir string, f figures) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, draw := range map[string]func(figures) (*plot.Plot, vg.Length, bool){
		"hits.svg": drawHits, "growth.svg": drawGrowth, "ratio.svg": drawRatio,
	} {
		p, height, ok := draw(f)
		if !ok {
			continue
		}
		if err := save(p, height, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

const (
	width  = 18 * vg.Centimeter
	margin = vg.Length(10)
)

// save writes the plot on a white background, so that it can be read on a dark page, too.
func save(p *plot.Plot, height vg.Length, file string) error {
	c := vgsvg.New(width, height)
	all := draw.New(c)
	all.FillPolygon(color.White, []vg.Point{{}, {X: width}, {X: width, Y: height}, {Y: height}})
	p.Draw(draw.Crop(all, margin, -margin, margin, -margin))
	var svg bytes.Buffer
	if _, err := c.WriteTo(&svg); err != nil {
		return err
	}
	const font = "font-family:Liberation Sans"
	text := bytes.ReplaceAll(svg.Bytes(), []byte(font), []byte(font+",Arial,Helvetica,sans-serif"))
	return os.WriteFile(file, text, 0o644)
}

func newPlot(title string) *plot.Plot {
	plot.DefaultFont.Variant = "Sans"
	p := plot.New()
	p.Title.Text = title
	p.Title.Padding = vg.Points(10)
	p.Title.TextStyle.Font.Size = 11
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font.Size, a.Tick.Label.Font.Size = 9, 9
		a.LineStyle.Color, a.Tick.LineStyle.Color = dark, dark
	}
	p.Legend.TextStyle.Font.Size, p.Legend.Padding, p.Legend.ThumbnailWidth = 9, vg.Points(3), vg.Points(16)
	return p
}

// grid draws pale horizontal lines.
func grid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Vertical.Width = 0
	g.Horizontal.Color = color.Gray{0xe4}
	return g
}

// A bar is one horizontal bar with its value written to the right of it.
type bar struct {
	name  string
	value float64
	text  string
	color color.Color
}

// bars are drawn from the bottom up, at 0, 1, 2 … They begin at the left end of the axis, not at 0, so that it may be logarithmic.
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

// DataRange leaves room for the text to the right of the longest bar.
func (bs bars) DataRange() (xmin, xmax, ymin, ymax float64) {
	xmin = math.Inf(1)
	for _, b := range bs {
		xmin, xmax = min(xmin, b.value), max(xmax, b.value)
	}
	return xmin / 2, xmax * 3, -0.7, float64(len(bs)) - 0.3
}

// names are the bars' names as ticks of the vertical axis.
func (bs bars) names() plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for i, b := range bs {
		ticks = append(ticks, plot.Tick{Value: float64(i), Label: b.name})
	}
	return ticks
}

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

// even are about five ticks at equal distances.
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

// thousands formats a number with commas.
func thousands(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
