package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/sealmq/sealmq/internal/outcomes"
)

// Options say what is shown.
type Options struct {
	// Keep is a folder that must not exist, or be empty; "" means a temporary one that is removed.
	Keep string
	// All tries every circumstance of the matrix, and the logins; without it a part of the matrix.
	All bool
	// Watch is told what happens, as it happens; nil for nobody.
	Watch Watcher
	// Fault is for tests. With one there is no matrix, which has brokers of its own.
	Fault Fault
}

// Watcher is told what happens, in this order. It may take its time.
type Watcher interface {
	Ready(urls []string)
	Reading(r *Reading)
	Attack(l *Line)
	Login(l *Line)
	// Trials is called now and then while the matrix is tried.
	Trials(done, all int)
}

// Run shows everything and returns what happened. The error is about the demo itself; where something ended otherwise than
// declared, Result.OK is false.
func Run(ctx context.Context, o Options) (*Result, error) {
	began := time.Now()
	dir, clean, err := folder(o.Keep)
	if err != nil {
		return nil, err
	}
	if o.Watch == nil {
		o.Watch = nobody{}
	}
	r := &Result{Schema: Schema, Dir: o.Keep}
	err = story(ctx, dir, &o, r)
	if err == nil && o.Fault == NoFault {
		err = matrix(ctx, &o, r)
	}
	err = errors.Join(err, clean())
	r.Seconds = float64(time.Since(began).Milliseconds()) / 1000
	r.OK = err == nil && len(r.Wrong) == 0
	return r, err
}

// folder returns where the files go, and what is done with them at the end.
func folder(keep string) (dir string, clean func() error, err error) {
	if keep == "" {
		dir, err = os.MkdirTemp("", "sealmq-demo-")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	if dir, err = filepath.Abs(keep); err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s: %w", keep, ErrNotEmpty)
	}
	return dir, func() error { return nil }, err
}

// ErrNotEmpty is wrapped when the folder to keep holds something.
var ErrNotEmpty = errors.New("the folder is not empty")

// story is the readings and the attacks on one set-up.
func story(ctx context.Context, dir string, o *Options, r *Result) (err error) {
	p, err := newPlant(ctx, dir, o.Fault)
	if p != nil {
		defer func() { err = errors.Join(err, p.leave(o.Keep != "")) }()
	}
	if err != nil {
		return err
	}
	if o.Keep != "" {
		r.Ports = map[string]string{}
		for i, a := range p.node.Addrs() {
			_, r.Ports[p.plan.Config.Listeners[i].Name], _ = net.SplitHostPort(a.String())
		}
	}
	o.Watch.Ready(p.node.URLs())
	s := newStage(p)
	if err := s.enter(ctx); err != nil {
		return err
	}
	if err := s.read(ctx); err != nil {
		return err
	}
	r.Readings = s.readings
	for i := range r.Readings {
		o.Watch.Reading(&r.Readings[i])
	}
	for i := range attacks {
		l := s.carryOut(ctx, &attacks[i])
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.note(l.OK, l.Attack+" ("+l.Mechanism+"): "+l.Tried+": "+string(l.Outcome)+", declared: "+string(l.Declared)+"; "+l.Why)
		r.Attacks = append(r.Attacks, l)
		o.Watch.Attack(&l)
	}
	for i := range loginAttacks {
		if !o.All {
			break
		}
		l := s.carryOut(ctx, &loginAttacks[i])
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.note(l.OK, l.Mechanism+": "+l.Attack+": "+string(l.Outcome)+", declared: "+string(l.Declared)+"; "+l.Why)
		r.Logins = append(r.Logins, l)
		o.Watch.Login(&l)
	}
	return nil
}

// leave ends everybody; a set-up that is kept gets the ports that were used.
func (p *plant) leave(keep bool) error {
	var addresses []string
	if p.node != nil {
		for _, a := range p.node.Addrs() {
			addresses = append(addresses, a.String())
		}
	}
	err := p.close()
	if keep && err == nil {
		err = p.finish(addresses)
	}
	return err
}

// note keeps what is not as declared.
func (r *Result) note(ok bool, what string) {
	if !ok {
		r.Wrong = append(r.Wrong, what)
	}
}

// carryOut does one attack and compares its end with what was declared: the outcome, and the layer that is to stop it.
func (s *stage) carryOut(ctx context.Context, a *attack) Line {
	l := Line{Attack: a.attack, Mechanism: a.mechanism, Tried: a.tried, Declared: a.declared(), Outcome: outcomes.Refused}
	e, err := a.does(ctx, s)
	switch {
	case err != nil:
		l.Outcome, l.Why = "failed", err.Error()
		return l
	case e.succeeded:
		l.Outcome, l.Why = outcomes.Succeeds, a.because
		if a.stops != "" {
			l.Why = "nothing stopped it; it should have been the layer " + a.stops
		}
	default:
		l.Layer, l.Rule, l.Decision, l.Check, l.Why = e.layer, e.rule, e.decision, e.check, e.why
		if e.layer != a.stops {
			l.Why += "; it should have been the layer " + a.stops
		}
	}
	l.OK = l.Outcome == l.Declared && l.Layer == a.stops
	return l
}

// matrix tries the mechanisms of payloads against the attacks of vectors/outcomes.tsv.
func matrix(ctx context.Context, o *Options, r *Result) (err error) {
	table, err := outcomes.Declared()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sealmq-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	lab, err := outcomes.Open(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	circumstances := outcomes.Sample()
	if o.All {
		circumstances = outcomes.AllCircumstances()
	}
	pairs := map[string]*Pair{}
	all := outcomes.Trials(circumstances)
	err = lab.Run(ctx, table, circumstances, func(c outcomes.Cell) {
		r.Cells++
		r.note(c.OK(), c.Verdict())
		name := c.Mechanism + " " + c.Attack
		if pairs[name] == nil {
			pairs[name] = newPair(table, c.Mechanism, c.Attack)
		}
		pairs[name].add(&c)
		o.Watch.Trials(r.Cells, all)
	})
	for _, m := range outcomes.Mechanisms {
		for _, a := range outcomes.Attacks {
			if p := pairs[m.Name+" "+a.Name]; p != nil {
				r.Matrix = append(r.Matrix, *p)
			}
		}
	}
	if err != nil {
		return err
	}
	found, _, err := lab.Disk()
	for _, text := range found {
		r.note(false, "read at the broker: found on its disk: "+text)
	}
	return err
}

func newPair(table outcomes.Table, mechanism, attack string) *Pair {
	g := table.General(mechanism, attack)
	p := &Pair{Mechanism: mechanism, Attack: attack, Declared: g.Outcome, Report: g.Report, Reason: g.Reason, OK: true, Outcome: g.Outcome}
	for _, e := range table.Exceptions(mechanism, attack) {
		p.differs = p.differs || e.Outcome != g.Outcome && e.Report != outcomes.Unsent
		p.Exceptions = append(p.Exceptions, fmt.Sprintf("%s: %s (%s): %s", e.Where, e.Outcome, e.Report, e.Reason))
	}
	return p
}

// add counts a trial. The outcome of a pair is the declared one as long as every trial ended as declared for it.
func (p *Pair) add(c *outcomes.Cell) {
	p.Trials++
	if !c.OK() && p.OK {
		p.OK, p.Outcome = false, c.Got
		if c.Got == "" {
			p.Outcome = "failed"
		}
	}
}

// nobody watches.
type nobody struct{}

func (nobody) Ready([]string)   {}
func (nobody) Reading(*Reading) {}
func (nobody) Attack(*Line)     {}
func (nobody) Login(*Line)      {}
func (nobody) Trials(int, int)  {}

// finish makes a set-up that can be used: the ports in the configuration, and the passwords where their owners find them.
func (p *plant) finish(addresses []string) error {
	if err := fixPorts(filepath.Join(p.dir, configFile), addresses); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(p.dir, "attacker")); err != nil {
		return err
	}
	for name, password := range p.passwords {
		if err := os.WriteFile(filepath.Join(p.dir, name+".password"), []byte(password+"\n"), 0o600); err != nil {
			return err
		}
	}
	return nil
}
