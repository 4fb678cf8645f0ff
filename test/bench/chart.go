package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// bar is one broker's value in a chart, with its range.
type bar struct {
	label            string
	value, low, high float64
}

const (
	chartWidth = 640
	barHeight  = 18
	labelWidth = 130
)

// bars draws horizontal bars with their ranges. Those of SealMQ, the first ones, stand out.
func bars(title, unit string, list []bar) string {
	most := 0.0
	for _, b := range list {
		most = max(most, b.value, b.high)
	}
	var s strings.Builder
	height := 30 + len(list)*(barHeight+6) + 6
	head(&s, height, title+", "+unit)
	for i, b := range list {
		y, fill := 30+i*(barHeight+6), "#9aa5b1"
		switch b.label {
		case sealmqName:
			fill = "#0b6e4f"
		case rightsName, signedName:
			fill = "#6bb39a"
		}
		scale := (chartWidth - labelWidth - 90) / max(most, 1e-9)
		width := scale * b.value
		fmt.Fprintf(&s, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelWidth-8, y+13, html.EscapeString(b.label))
		fmt.Fprintf(&s, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", labelWidth, y, max(width, 1), barHeight, fill)
		fmt.Fprintf(&s, `<path d="M%.1f %d H%.1f" stroke="#1f2933"/>`+"\n", labelWidth+scale*b.low, y+barHeight/2, labelWidth+scale*b.high)
		fmt.Fprintf(&s, `<text x="%.1f" y="%d">%s</text>`+"\n", labelWidth+max(scale*b.high, 1)+6, y+13, number(b.value))
	}
	s.WriteString("</svg>\n")
	return s.String()
}

// point is one measurement of a growth curve.
type point struct{ x, y float64 }

// curve draws a measure over the size of something, which grows in powers.
func curve(title, unit, of string, points []point) string {
	const height, left, right, top, bottom = 220, 60, 50, 30, 34
	most, low, high := 0.0, math.Inf(1), math.Inf(-1)
	for _, p := range points {
		most, low, high = max(most, p.y), min(low, math.Log10(p.x)), max(high, math.Log10(p.x))
	}
	at := func(p point) (x, y float64) {
		x = left + (chartWidth-left-right)*(math.Log10(p.x)-low)/max(high-low, 1e-9)
		return x, height - bottom - (height-top-bottom)*p.y/max(most*1.15, 1e-9)
	}
	var s, line strings.Builder
	head(&s, height, title+", "+unit)
	fmt.Fprintf(&s, `<path d="M%d %d V%d H%d" fill="none" stroke="#52606d"/>`+"\n", left, top, height-bottom, chartWidth-right)
	for _, p := range points {
		x, y := at(p)
		fmt.Fprintf(&line, "%.1f,%.1f ", x, y)
		fmt.Fprintf(&s, `<circle cx="%.1f" cy="%.1f" r="3" fill="#0b6e4f"/>`+"\n", x, y)
		fmt.Fprintf(&s, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", x, y-8, number(p.y))
		fmt.Fprintf(&s, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x, height-bottom+14, number(p.x))
	}
	fmt.Fprintf(&s, `<polyline points="%s" fill="none" stroke="#0b6e4f" stroke-width="1.5"/>`+"\n", strings.TrimSpace(line.String()))
	fmt.Fprintf(&s, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n</svg>\n", chartWidth-right, height-4, html.EscapeString(of))
	return s.String()
}

// head begins a picture with a title, readable on light and dark pages.
func head(s *strings.Builder, height int, title string) {
	fmt.Fprintf(s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", chartWidth, height)
	fmt.Fprintf(s, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", chartWidth, height)
	fmt.Fprintf(s, `<text x="8" y="18" font-weight="bold">%s</text>`+"\n", html.EscapeString(title))
}
