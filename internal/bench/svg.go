package bench

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Bar is one bar of a chart; Low and High are its spread.
type Bar struct {
	Label           string
	Value, Low, Top float64
}

// The chart's measures, in pixels.
const (
	chartWidth, labelWidth, valueWidth = 860, 270, 110
	barHeight, barGap, headHeight      = 18, 8, 46
)

// Chart draws horizontal bars as an SVG that needs nothing else.
func Chart(title, unit string, bars []Bar) string {
	top := 0.0
	for _, b := range bars {
		top = max(top, b.Top, b.Value)
	}
	scale := 0.0
	if top > 0 {
		scale = float64(chartWidth-labelWidth-valueWidth) / top
	}
	height := headHeight + len(bars)*(barHeight+barGap) + 10
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13" role="img" aria-label="%s">`+"\n",
		chartWidth, height, chartWidth, height, html.EscapeString(title))
	fmt.Fprintf(&s, `<rect width="%d" height="%d" fill="white"/>`+"\n", chartWidth, height)
	fmt.Fprintf(&s, `<text x="10" y="24" font-size="16" font-weight="bold">%s</text>`+"\n", html.EscapeString(title))
	for i, b := range bars {
		y := headHeight + i*(barHeight+barGap)
		width := b.Value * scale
		fmt.Fprintf(&s, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelWidth-8, y+14, html.EscapeString(b.Label))
		fmt.Fprintf(&s, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="#3b6ea5"/>`+"\n", labelWidth, y, width, barHeight)
		end := width
		if b.Top > b.Low {
			from, to := float64(labelWidth)+b.Low*scale, float64(labelWidth)+b.Top*scale
			middle := y + barHeight/2
			fmt.Fprintf(&s, `<path d="M%.1f %d H%.1f M%.1f %d v8 M%.1f %d v8" stroke="black" fill="none"/>`+"\n", from, middle, to, from, middle-4, to, middle-4)
			end = max(end, b.Top*scale)
		}
		fmt.Fprintf(&s, `<text x="%.1f" y="%d">%s %s</text>`+"\n", float64(labelWidth)+end+6, y+14, number(b.Value), html.EscapeString(unit))
	}
	s.WriteString("</svg>\n")
	return s.String()
}

func number(v float64) string {
	switch {
	case v == math.Trunc(v) || v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Charts are all charts of a result, by file name.
func (r *Result) Charts() map[string]string {
	var connectBytes, connectBroker, connectClient, messageBytes, messageSeal, messageBroker []Bar
	add := func(list *[]Bar, label string, f Figure) {
		if f.Known() {
			*list = append(*list, Bar{label, f.Median, f.Min, f.Max})
		}
	}
	exact := func(n int) Figure { return Figure{float64(n), float64(n), float64(n)} }
	for i := range r.Connecting {
		c := &r.Connecting[i]
		add(&connectBytes, c.Title, exact(c.Traffic.Up+c.Traffic.Down))
		add(&connectBroker, c.Title, c.BrokerCPU)
		add(&connectClient, c.Title, c.ClientCPU)
	}
	for i := range r.Messaging {
		m := &r.Messaging[i]
		add(&messageBytes, m.Title, exact(m.Traffic.Up))
		add(&messageSeal, m.Title, m.Seal)
		add(&messageBroker, m.Title, m.BrokerCPU)
	}
	out := map[string]string{}
	for _, c := range []struct {
		name, title, unit string
		bars              []Bar
	}{
		{"connect-bytes.svg", "Bytes to connect, both ways", "B", connectBytes},
		{"connect-broker.svg", "Processor time of the broker to let a client in", "µs", connectBroker},
		{"connect-client.svg", "Processor time of the client to connect", "µs", connectClient},
		{"message-bytes.svg", fmt.Sprintf("Bytes of a message with %d bytes of payload", r.Size), "B", messageBytes},
		{"message-seal.svg", "Processor time to seal a message", "µs", messageSeal},
		{"message-broker.svg", "Processor time of the broker for a message", "µs", messageBroker},
	} {
		if len(c.bars) > 0 {
			out[c.name] = Chart(c.title, c.unit, c.bars)
		}
	}
	return out
}
