package main

import (
	"bytes"
	"image/color"
	"os"
	"path/filepath"

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

// save writes the plot on white, which shows on a dark page, too.
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

// grid is of pale lines from the left to the right.
func grid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Vertical.Width = 0
	g.Horizontal.Color = color.Gray{0xe4}
	return g
}
