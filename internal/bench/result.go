package bench

import (
	"encoding/csv"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/protect"
)

// Figure is one measured number: the median of the rounds and their range. A median of -1 is not known on this system.
type Figure struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

var unknown = Figure{-1, -1, -1}

// Known reports whether there is a number.
func (f Figure) Known() bool { return f.Median >= 0 }

// Spread is how far rounds lie from the median, in percent of it.
func (f Figure) Spread() float64 {
	if f.Median <= 0 {
		return 0
	}
	return 100 * max(f.Max-f.Median, f.Median-f.Min) / f.Median
}

func figure(values []float64) Figure {
	if len(values) == 0 || slices.Contains(values, -1) {
		return unknown
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return Figure{sorted[len(sorted)/2], sorted[0], sorted[len(sorted)-1]}
}

// ConnectRow is one way to log in.
type ConnectRow struct {
	Mechanism
	Traffic    Traffic `json:"bytes"`
	ClientCPU  Figure  `json:"client_cpu_us"`
	BrokerCPU  Figure  `json:"broker_cpu_us"`
	Latency    Figure  `json:"latency_ms"` // from dialling to CONNACK
	LatencyP99 float64 `json:"latency_p99_ms"`
	Memory     float64 `json:"broker_memory_bytes"` // of an idle connection; -1: not known
}

// MessageRow is one way to protect a message.
type MessageRow struct {
	Mechanism
	Traffic    Traffic `json:"bytes"`         // of one PUBLISH with QoS 1 and its PUBACK
	Overhead   int     `json:"bytes_added"`   // to the PUBLISH, compared with none
	Seal       Figure  `json:"seal_us"`       // alone
	Open       Figure  `json:"open_us"`       // alone, at the receiver
	ClientCPU  Figure  `json:"client_cpu_us"` // of the publisher, sealing and sending
	BrokerCPU  Figure  `json:"broker_cpu_us"`
	Latency    Figure  `json:"latency_ms"` // from Publish to PUBACK
	LatencyP99 float64 `json:"latency_p99_ms"`
}

// Result is everything that was measured.
type Result struct {
	Schema     string       `json:"schema"`
	Time       time.Time    `json:"time"`
	Machine    string       `json:"machine"`
	Go         string       `json:"go"`
	Processors int          `json:"processors"`
	Rounds     int          `json:"rounds"`
	Connects   int          `json:"connects_per_round"`
	Messages   int          `json:"messages_per_round"`
	Size       int          `json:"payload_bytes"`
	Connecting []ConnectRow `json:"connecting"`
	Messaging  []MessageRow `json:"messaging"`
	Others     float64      `json:"others_cpu_share"` // of all processors' time, meanwhile, by other programs; -1: not known
	Ratios     []Ratio      `json:"ratios"`
	Advice     []Advice     `json:"advice"`
}

// Ratio compares an asymmetric operation with the symmetric one that does a similar thing.
type Ratio struct {
	What  string  `json:"what"`
	Times float64 `json:"times"`
}

func newResult(o *Options) *Result {
	return &Result{
		Schema: "sealmq.bench.protect/1", Time: time.Now().UTC().Truncate(time.Second), Machine: runtime.GOOS + "/" + runtime.GOARCH,
		Go: runtime.Version(), Processors: runtime.NumCPU(), Rounds: o.Rounds, Connects: o.Connects, Messages: o.Messages, Size: o.Size,
	}
}

// Connect finds a row by the mechanism's name.
func (r *Result) Connect(name string) *ConnectRow {
	i := slices.IndexFunc(r.Connecting, func(c ConnectRow) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Connecting[i]
}

// Message finds a row by the mechanism's name.
func (r *Result) Message(name string) *MessageRow {
	i := slices.IndexFunc(r.Messaging, func(c MessageRow) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Messaging[i]
}

// conclude works out what follows from the measurements.
func (r *Result) conclude() {
	floor := r.Message("none").Traffic.Up
	for i := range r.Messaging {
		r.Messaging[i].Overhead = r.Messaging[i].Traffic.Up - floor
	}
	ratio := func(what string, asymmetric, symmetric Figure) {
		if asymmetric.Known() && symmetric.Known() && symmetric.Median > 0 {
			r.Ratios = append(r.Ratios, Ratio{what, asymmetric.Median / symmetric.Median})
		}
	}
	sign, mac := r.Message("sign"), r.Message("mac")
	ratio("sealing: signature to MAC", sign.Seal, mac.Seal)
	ratio("opening: signature to MAC", sign.Open, mac.Open)
	to, group := r.Message("encrypt-to"), r.Message("encrypt")
	ratio("sealing: public key to group key", to.Seal, group.Seal)
	ratio("opening: public key to group key", to.Open, group.Open)
	ratio("broker's handshake: certificate to pre-shared key", r.Connect("tls").BrokerCPU, r.Connect("psk").BrokerCPU)
	ratio("broker's handshake: client certificate to pre-shared key", r.Connect("mtls").BrokerCPU, r.Connect("psk").BrokerCPU)
	ratio("broker's login without TLS: signature (P3) to pre-shared key (P2)", r.Connect("p3").BrokerCPU, r.Connect("p2").BrokerCPU)
	r.Advice = advise(r)
}

// WriteCSV writes one line for each figure.
func (r *Result) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	line := func(kind, mechanism, what, unit string, f Figure) {
		number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
		if f.Known() {
			_ = c.Write([]string{kind, mechanism, what, unit, number(f.Median), number(f.Min), number(f.Max)})
		}
	}
	exact := func(n int) Figure { return Figure{float64(n), float64(n), float64(n)} }
	_ = c.Write([]string{"kind", "mechanism", "figure", "unit", "median", "min", "max"}) // errors are kept for Error
	for i := range r.Connecting {
		x := &r.Connecting[i]
		line("connect", x.Name, "bytes up", "B", exact(x.Traffic.Up))
		line("connect", x.Name, "bytes down", "B", exact(x.Traffic.Down))
		line("connect", x.Name, "round trips", "1", exact(x.Traffic.Trips))
		line("connect", x.Name, "client cpu", "us", x.ClientCPU)
		line("connect", x.Name, "broker cpu", "us", x.BrokerCPU)
		line("connect", x.Name, "latency", "ms", x.Latency)
		line("connect", x.Name, "latency p99", "ms", Figure{x.LatencyP99, x.LatencyP99, x.LatencyP99})
		line("connect", x.Name, "broker memory", "B", Figure{x.Memory, x.Memory, x.Memory})
	}
	for i := range r.Messaging {
		x := &r.Messaging[i]
		line("message", x.Name, "bytes up", "B", exact(x.Traffic.Up))
		line("message", x.Name, "bytes down", "B", exact(x.Traffic.Down))
		line("message", x.Name, "bytes added", "B", exact(x.Overhead))
		line("message", x.Name, "seal", "us", x.Seal)
		line("message", x.Name, "open", "us", x.Open)
		line("message", x.Name, "client cpu", "us", x.ClientCPU)
		line("message", x.Name, "broker cpu", "us", x.BrokerCPU)
		line("message", x.Name, "latency", "ms", x.Latency)
		line("message", x.Name, "latency p99", "ms", Figure{x.LatencyP99, x.LatencyP99, x.LatencyP99})
	}
	for _, x := range r.Ratios {
		line("ratio", "", x.What, "1", Figure{x.Times, x.Times, x.Times})
	}
	c.Flush()
	return c.Error()
}

// checksumOf is the form that a level's checksum has.
func checksumOf(l protecting.Level) protect.ChecksumForm {
	if l == protecting.LevelChecksum {
		return protect.ChecksumPrefix
	}
	return protect.ChecksumNone
}

// text is a figure with its spread, for people.
func (f Figure) String() string {
	switch {
	case !f.Known():
		return "-"
	case f.Median >= 100:
		return fmt.Sprintf("%.0f ±%.0f%%", f.Median, f.Spread())
	case f.Median >= 10:
		return fmt.Sprintf("%.1f ±%.0f%%", f.Median, f.Spread())
	}
	return fmt.Sprintf("%.2f ±%.0f%%", f.Median, f.Spread())
}
