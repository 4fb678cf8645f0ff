package outcomes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// Cell is one trial and how it ended.
type Cell struct {
	Mechanism     string
	Attack        string
	Leg           string // LegIn, LegOut, or "" where nothing is altered on the way
	Circumstances Circumstances
	Want          Row
	Got           Outcome
	Report        Report
	Detail        string // why a trial failed
}

// OK reports whether the world is as declared.
func (c *Cell) OK() bool { return c.Got == c.Want.Outcome && c.Report == c.Want.Report }

// String names the cell.
func (c *Cell) String() string {
	s := c.Mechanism + ": " + c.Attack
	if c.Leg != "" {
		s += " (" + c.Leg + ")"
	}
	return s + ", " + c.Circumstances.String()
}

// Verdict is the cell with what was declared and what was found.
func (c *Cell) Verdict() string {
	s := fmt.Sprintf("%v: %s (%s)", c, c.Got, c.Report)
	if !c.OK() {
		s += fmt.Sprintf(", declared: %s (%s)", c.Want.Outcome, c.Want.Report)
	}
	if c.Detail != "" {
		s += ": " + c.Detail
	}
	return s
}

// parallel is how many routes run at a time: they wait for disk and network more than they compute.
const parallel = 8

// Run carries out every attack on every mechanism in all the circumstances, and calls done with each cell, from one
// goroutine at a time. The error is about the lab itself: a trial that fails is a cell that is not OK.
func (l *Lab) Run(ctx context.Context, table Table, all []Circumstances, done func(Cell)) error {
	type job struct {
		m *Mechanism
		c Circumstances
	}
	jobs := make(chan job)
	var (
		workers sync.WaitGroup
		mu      sync.Mutex // guards done
	)
	for range parallel {
		workers.Go(func() {
			for j := range jobs {
				cells := l.route(ctx, table, j.m, j.c)
				mu.Lock()
				for i := range cells {
					done(cells[i])
				}
				mu.Unlock()
			}
		})
	}
	for _, c := range all {
		for _, m := range Mechanisms {
			if c.Enforced && !m.ruled() {
				continue
			}
			select {
			case jobs <- job{m, c}:
			case <-ctx.Done():
			}
		}
	}
	close(jobs)
	workers.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// route runs the trials of one mechanism under one set of circumstances.
func (l *Lab) route(ctx context.Context, table Table, m *Mechanism, c Circumstances) []Cell {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	l.mu.Lock()
	l.next++
	r := &route{lab: l, m: m, c: &c, site: l.site(m, &c), name: m.branch(&c) + "/" + strconv.Itoa(l.next)}
	l.mu.Unlock()
	trials := r.trials()
	err := r.open(ctx)
	if err == nil && m.noWill && c.Will {
		err = r.refusesWill(ctx)
	} else if err == nil {
		err = r.experiment(ctx, trials)
	}
	err = errors.Join(err, r.close(), r.err)
	cells := make([]Cell, len(trials))
	for i, t := range trials {
		cell := &cells[i]
		*cell = Cell{Mechanism: m.Name, Attack: t.attack.Name, Leg: t.leg, Circumstances: c, Want: table.For(m.Name, t.attack.Name, &c)}
		switch {
		case err != nil:
			cell.Report, cell.Detail = reportFailed, err.Error()
		case m.noWill && c.Will:
			cell.Got, cell.Report = Refused, Unsent
		default:
			cell.Got, cell.Report, err = r.judge(t)
			if err != nil {
				cell.Report, cell.Detail = reportFailed, err.Error()
				err = nil
			}
		}
	}
	return cells
}

// trials are all attacks; those that alter a message are tried on both legs.
func (r *route) trials() []*trial {
	var out []*trial
	for _, a := range Attacks {
		legs := []string{""}
		if a.alters != nil {
			legs = []string{LegIn, LegOut}
		}
		if len(legs) == 2 && r.m.broker == branchTLS {
			legs = legs[:1] // behind the broker there is TLS
		}
		for _, leg := range legs {
			out = append(out, &trial{attack: a, leg: leg, topic: r.name + "/" + a.Name + leg, text: r.text(len(out))})
		}
	}
	for _, t := range out {
		t.topic = strings.ReplaceAll(t.topic, "+", "-")
	}
	return out
}

func (r *route) experiment(ctx context.Context, trials []*trial) error {
	if r.m.broker != "" || r.c.Enforced {
		return r.brokerExperiment(ctx, trials)
	}
	for _, t := range trials {
		if err := r.run(ctx, t); err != nil {
			return fmt.Errorf("%s %s: %w", t.attack.Name, t.leg, err)
		}
	}
	return r.receive(ctx, trials)
}

// judge says how a trial ended.
func (r *route) judge(t *trial) (Outcome, Report, error) {
	r.got.mu.Lock()
	events := r.got.events[trialOf(t.topic)]
	r.got.mu.Unlock()
	if len(events) != t.want {
		return "", reportFailed, fmt.Errorf("%d messages came, expected %d", len(events), t.want)
	}
	if t.refusedAs != "" {
		return r.judgeByBroker(t, events)
	}
	last := &events[len(events)-1]
	if t.attack.reads {
		return r.judgeReading(t, last)
	}
	if t.want == 2 {
		if first := &events[0]; first.err != nil || !strings.HasPrefix(string(first.payload), t.text) {
			return "", reportFailed, fmt.Errorf("the genuine message was not delivered: %q, %w", first.payload, first.err)
		}
	}
	if t.attack.alters != nil && !t.altered {
		return "", reportFailed, errors.New("the attacker did not get at the message")
	}
	if last.err != nil {
		if last.report() == reportFailed {
			return "", reportFailed, last.err
		}
		return Refused, last.report(), nil
	}
	if err := r.took(t, last); err != nil {
		return "", reportFailed, err
	}
	return Succeeds, ReportNone, nil
}

// took checks that what the application was handed is what the attacker wanted it to have.
func (r *route) took(t *trial, e *event) error {
	text := string(e.payload)
	ok := false
	switch t.attack.Name {
	case "flip", "flip+checksum":
		ok = text != t.text && len(text) == len(t.text)
	case "other-topic":
		ok = text == t.text && strings.HasSuffix(e.topic, elsewhere)
	case "other-sender", "member-forges", "downgrade":
		ok = isForged(e.payload)
	case "replay", "strip":
		ok = text == t.text
	}
	if !ok {
		return fmt.Errorf("the application got %q on %s, and the attack had no effect", e.payload, e.topic)
	}
	return nil
}

// judgeReading looks for the text where somebody can look.
func (r *route) judgeReading(t *trial, e *event) (Outcome, Report, error) {
	if e.err != nil || string(e.payload) != t.text {
		return "", reportFailed, fmt.Errorf("the genuine message was not delivered: %q, %w", e.payload, e.err)
	}
	read := false
	if t.attack.Name == "read-wire" {
		if !r.in.Recorded(t.topic) || r.m.broker != branchTLS && !r.out.Recorded(t.topic) {
			return "", reportFailed, errors.New("the message is not in the recording")
		}
		read = r.in.Recorded(t.text) || r.out.Recorded(t.text)
	} else {
		seen, err := r.site.seen.wait(context.Background(), trialOf(t.topic), 1)
		if err != nil {
			return "", reportFailed, err
		}
		read = strings.Contains(string(seen[0].payload), t.text)
		r.note(t.text, read && r.m.broker == "")
		if r.m.broker == branchGroup { // whoever runs the broker has its keys
			read = r.opensWithBrokerKeys(&seen[0], t.text)
		}
	}
	if read {
		return Succeeds, ReportNone, nil
	}
	return Refused, Unreadable, nil
}

// note keeps the texts of messages that were on the disk, for Disk.
func (r *route) note(text string, plain bool) {
	if r.site.data == "" {
		return
	}
	r.lab.mu.Lock()
	defer r.lab.mu.Unlock()
	if plain {
		r.lab.shows = append(r.lab.shows, text)
	} else {
		r.lab.hides = append(r.lab.hides, text)
	}
}

// Disk looks through every file of the brokers that store, for the texts of the trials "read at the broker": found are
// those that an encryption should have hidden; plain is how many of the others there were, which shows that the search
// finds what is there.
func (l *Lab) Disk() (found []string, plain int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all strings.Builder
	for _, s := range []*site{l.disk, l.field} {
		err = errors.Join(err, filepath.WalkDir(s.data, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			all.Write(b)
			return err
		}))
	}
	for _, text := range l.hides {
		if strings.Contains(all.String(), text) {
			found = append(found, text)
		}
	}
	for _, text := range l.shows {
		if strings.Contains(all.String(), text) {
			plain++
		}
	}
	return found, plain, err
}

// Trials is how many cells a Run over these circumstances has.
func Trials(all []Circumstances) int {
	n := 0
	for _, c := range all {
		for _, m := range Mechanisms {
			if !c.Enforced || m.ruled() {
				n += len((&route{m: m}).trials())
			}
		}
	}
	return n
}
