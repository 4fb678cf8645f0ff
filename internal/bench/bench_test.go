package bench

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/node"
)

// inProcess runs the broker in this process: its processor time is then that of both sides.
func inProcess(ctx context.Context, file string, _ bool) (*Broker, error) {
	plan, err := config.FromFlags(config.Flags{Config: file})
	if err != nil {
		return nil, err
	}
	n, err := node.Start(ctx, plan, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		return nil, err
	}
	b := &Broker{PID: os.Getpid()}
	for _, a := range n.Addrs() {
		b.Addresses = append(b.Addresses, a.String())
	}
	b.Stop = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return n.Stop(ctx)
	}
	return b, nil
}

// TestRun measures little of everything and looks at what must hold on every machine.
func TestRun(t *testing.T) {
	seen := 0
	r, err := Run(t.Context(), t.TempDir(), inProcess, Options{
		Rounds: 2, Connects: 2, Messages: 3, Idle: 4, Size: 32, Progress: func(string, int, int) { seen++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Connecting) != len(Connecting) || len(r.Messaging) != len(Messaging) || seen < len(Connecting)+len(Messaging) {
		t.Fatalf("%d, %d rows, %d steps", len(r.Connecting), len(r.Messaging), seen)
	}
	// A CONNECT of MQTT 5 without a login and its CONNACK are one round trip, and more security is never fewer bytes.
	floor := r.Connect("none")
	for _, c := range r.Connecting {
		if c.Traffic.Up < floor.Traffic.Up || c.Traffic.Trips < 1 || c.Latency.Median <= 0 || c.Latency.Min > c.Latency.Median || c.Latency.Max < c.Latency.Median {
			t.Errorf("%s: %+v %+v", c.Name, c.Traffic, c.Latency)
		}
	}
	trips := map[string]int{"none": 1, "password": 1, "p1": 1, "p2": 1, "p3": 1, "scram": 2, "tls": 2, "mtls": 2, "psk": 2, "tls-password": 2, "tls-scram": 3}
	for name, want := range trips {
		if got := r.Connect(name).Traffic.Trips; got != want {
			t.Errorf("%s takes %d round trips, want %d", name, got, want)
		}
	}
	for name, least := range map[string]int{"none": 0, "checksum": 4, "mac": 8, "sign": 64, "encrypt": 16, "sign+encrypt": 80, "tls": 22} {
		if got := r.Message(name).Overhead; got < least || name == "none" && got != 0 {
			t.Errorf("%s adds %d bytes, at least %d are its nature", name, got, least)
		}
	}
	checkWritten(t, r)
}

// checkWritten reads back what is written for programs.
func checkWritten(t *testing.T, r *Result) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(text), `"schema":"sealmq.bench.protect/1"`) {
		t.Errorf("%v %s", err, text)
	}
	var b strings.Builder
	if err := r.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil || len(lines) < 100 || len(lines[0]) != 7 {
		t.Errorf("%d lines: %v", len(lines), err)
	}
	charts := r.Charts()
	if len(charts) < 4 {
		t.Errorf("%d charts", len(charts))
	}
	for name, svg := range charts {
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("%s has a number that is none", name)
		}
	}
	if len(r.Advice) != 4 {
		t.Errorf("%d profiles", len(r.Advice))
	}
	for _, a := range r.Advice {
		if r.Connect(a.Connect) == nil || r.Message(a.Message) == nil || a.Why == "" || a.Else == "" {
			t.Errorf("%+v", a)
		}
	}
	for _, m := range append(Connecting, Messaging...) {
		if m.Protects == "" || m.NotWhen == "" {
			t.Errorf("%s says too little", m.Name)
		}
	}
}

// TestBytesAreThoseOfTheWire: what is reported is what a tap in between counts, for every mechanism. connectOnce and
// messageBytes refuse a difference; here one is planted.
func TestBytesAreThoseOfTheWire(t *testing.T) {
	l, err := openLab(t.Context(), t.TempDir(), inProcess)
	if err != nil {
		t.Fatal(err)
	}
	defer l.broker.Stop() //nolint:errcheck // test
	for _, m := range Connecting {
		tap, err := NewTap(l.broker.Addresses[m.listener])
		if err != nil {
			t.Fatal(err)
		}
		d, err := l.dial(t.Context(), m, tap, nil)
		if err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		if own, seen := d.traffic.read(), tap.Traffic(); own.Up != seen.Up || own.Down != seen.Down || own.Up == 0 || own.Down == 0 {
			t.Errorf("%s: the client counts %+v, the wire %+v", m.Name, own, seen)
		}
		d.leave()
		if err := tap.Close(); err != nil {
			t.Error(err)
		}
	}
	// Plain CONNECT and CONNACK can be counted by hand: fixed header 2, protocol name 6, level, flags, keep alive 2; a
	// property length with what the client tells; a Client Identifier of 2+5.
	tr, err := l.connectOnce(t.Context(), Connecting[0])
	if err != nil || tr.Up < 2+6+1+1+2+1+7 || tr.Up > 40 {
		t.Errorf("CONNECT has %d bytes: %v", tr.Up, err)
	}
}

func TestFigure(t *testing.T) {
	f := figure([]float64{3, 1, 2})
	if f != (Figure{2, 1, 3}) || f.Spread() != 50 || !f.Known() {
		t.Errorf("%+v", f)
	}
	if f := figure([]float64{1, -1}); f.Known() || f.String() != "-" {
		t.Errorf("%+v", f)
	}
	times := []time.Duration{time.Millisecond, 2 * time.Millisecond, 100 * time.Millisecond}
	if median(times) != 2 || percentile(times, 99) != 100 || percentile(nil, 50) != -1 {
		t.Errorf("%v %v", median(times), percentile(times, 99))
	}
	if s := Chart("t", "u", nil); strings.Contains(s, "NaN") {
		t.Error(s)
	}
	if math.IsNaN((Figure{}).Spread()) {
		t.Error("the spread of nothing is no number")
	}
}
