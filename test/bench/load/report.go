package load

import (
	"fmt"
	"time"
)

// Report is what came of a run. PerSecond and the costs are of the window that is measured; the counts are of the whole run.
type Report struct {
	Scenario   string  `json:"scenario"`
	Sent       int64   `json:"sent"`     // messages
	Received   int64   `json:"received"` // each once for every receiver
	Lost       int64   `json:"lost"`     // deliveries that never came
	Duplicated int64   `json:"duplicated"`
	Refused    int64   `json:"refused"` // acknowledged with an error
	Foreign    int64   `json:"foreign"` // arrived, and nobody here sent it
	Operations int64   `json:"operations"`
	Seconds    float64 `json:"seconds"`
	PerSecond  float64 `json:"per_second"`
	// CPU is processor time of the broker for one operation, in µs: a delivery, an accepted message, or a connection.
	CPU       float64            `json:"broker_cpu_us"`
	Memory    int64              `json:"broker_memory_bytes"` // resident, at the end of the window
	OwnCPU    float64            `json:"own_cpu_seconds"`
	P50       float64            `json:"p50_us"`
	P99       float64            `json:"p99_us"`
	P999      float64            `json:"p99_9_us"`
	Longest   float64            `json:"longest_us"`
	Figures   map[string]float64 `json:"figures,omitempty"` // of the scenario
	Errors    []string           `json:"errors,omitempty"`  // the first ones
	ErrorsAll int                `json:"errors_count,omitempty"`
}

// keptErrors is how many errors are told in full.
const keptErrors = 5

func (r *Report) fail(err error) {
	if r.ErrorsAll++; r.ErrorsAll <= keptErrors {
		r.Errors = append(r.Errors, err.Error())
	}
}

func (r *Report) took(t *times) {
	r.P50, r.P99, r.P999, r.Longest = t.quantile(0.5), t.quantile(0.99), t.quantile(0.999), float64(t.longest)/1e3
}

// moment is a reading of all clocks.
type moment struct {
	at     time.Time
	broker usage
	own    time.Duration
}

func (r *run) now() (moment, error) {
	m := moment{at: time.Now(), own: ownCPU()}
	var err error
	if r.o.PID != 0 {
		if m.broker, err = processUsage(r.o.PID); err != nil {
			err = fmt.Errorf("costs of process %d: %w", r.o.PID, err)
		}
	}
	return m, err
}

// window fills in what was measured between two moments.
func (r *run) window(from, to moment, operations int64) {
	p := &r.report
	p.Operations, p.Seconds = operations, to.at.Sub(from.at).Seconds()
	p.PerSecond = float64(operations) / p.Seconds
	p.CPU = perOperation(from, to, operations)
	p.Memory, p.OwnCPU = to.broker.resident, (to.own - from.own).Seconds()
}

// perOperation is in microseconds.
func perOperation(from, to moment, operations int64) float64 {
	return float64(to.broker.cpu-from.broker.cpu) / 1e3 / float64(max(operations, 1))
}

// perThing is the growth of the resident memory for each of n things, in bytes.
func perThing(from, to moment, n int) float64 {
	return float64(to.broker.resident-from.broker.resident) / float64(max(n, 1))
}
