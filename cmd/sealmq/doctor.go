package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/control"
	"github.com/sealmq/sealmq/internal/doctor"
	"github.com/sealmq/sealmq/internal/doctor/gather"
)

type doctorCommand struct {
	Target string   `arg:"" optional:"" name:"CONFIG" help:"Configuration file of SealMQ or Mosquitto, or a URL; without one, the broker that runs here."`
	Data   string   `placeholder:"DIR" env:"SEALMQ_DATA" help:"Data folder of the broker that runs here."`
	FailOn string   `placeholder:"SEVERITY" enum:",low,medium,high" default:"" help:"End with code 20 when there is a finding of this severity or worse: low, medium or high."`
	Only   []string `placeholder:"ID" help:"Look for this finding only. Can be repeated."`
	All    bool     `help:"Explain every finding, also without CONFIG, where three are."`
	Fix    bool     `help:"Make the changes that a program can make and that break nothing: permissions, lines without effect."`
	DryRun bool     `name:"dry-run" help:"With --fix, show them and change nothing."`
	JSON   bool     `name:"json" help:"Print one JSON object."`
}

// Example is the first line of the command's help.
func (*doctorCommand) Example() string { return "sealmq doctor sealmq.yaml --fail-on medium" }

// doctorReport is the JSON form.
type doctorReport struct {
	Schema string `json:"schema"`
	*doctor.Report
}

// Run gathers, judges and prints.
func (c *doctorCommand) Run(ctx context.Context, a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	model, err := c.gather(ctx, a)
	if err != nil {
		return err
	}
	report := doctor.Examine(model, c.Only...)
	switch {
	case c.Fix:
		err = c.repair(a, report)
	case c.JSON:
		err = printJSON(a.stdout, doctorReport{"sealmq.doctor/1", report})
	default:
		c.print(a, report)
	}
	if err != nil {
		return err
	}
	return c.verdict(report)
}

func (c *doctorCommand) check() error {
	if c.DryRun && !c.Fix {
		return &failure{exitUsage, "--dry-run belongs to --fix", "without --fix nothing is changed anyway", "sealmq doctor CONFIG --fix --dry-run", nil}
	}
	if c.Fix && c.JSON {
		return &failure{exitUsage, "--fix and --json exclude each other", "", "the JSON form has the repair of each finding", nil}
	}
	for _, id := range c.Only {
		known := false
		for _, e := range doctor.Catalogue() {
			known = known || e.ID == id
		}
		if !known {
			return &failure{exitUsage, "--only " + id + ": there is no such finding", "", "docs/operate/doctor.md lists all ids", nil}
		}
	}
	return nil
}

// gather finds out what is to be judged.
func (c *doctorCommand) gather(ctx context.Context, a *app) (*doctor.Model, error) {
	switch {
	case strings.Contains(c.Target, "://"):
		return c.gatherURL(ctx, a)
	case c.Target == "":
		return c.gatherRunning(ctx, a)
	}
	m, err := gatherFile(c.Target)
	if err != nil {
		return nil, configError(c.Target, err)
	}
	return m, nil
}

func gatherFile(path string) (*doctor.Model, error) {
	dialect, err := gather.Dialect(path)
	if err != nil {
		return nil, err
	}
	if dialect == doctor.Mosquitto {
		return gather.Mosquitto(path)
	}
	return gather.SealMQ(path)
}

// gatherRunning asks the broker of the data folder for its configuration, and looks at its process. Without a broker it
// takes the configuration that serve would use in this folder.
func (c *doctorCommand) gatherRunning(ctx context.Context, a *app) (*doctor.Model, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	status, err := c.status(ctx)
	if err != nil {
		var absent *control.NotRunningError
		if !errors.As(err, &absent) {
			return nil, controlError("cannot ask the broker", c.Data, err)
		}
		a.note("no broker runs here; this is about the configuration that serve would use")
		return c.gatherIdle(a)
	}
	var m *doctor.Model
	if status.Config == "" {
		plan, err := config.FromFlags(config.Flags{})
		if err != nil {
			return nil, err
		}
		m = gather.FromConfig("the running broker, without a file", plan.Config)
	} else if m, err = gather.SealMQ(status.Config); err != nil {
		return nil, configError(status.Config, err)
	}
	m.Process = gather.Process(status.PID, status.MaxClients)
	if !status.Ready {
		m.Process.NotReady = status.Reason
	}
	return m, nil
}

// status asks the broker of the data folder.
func (c *doctorCommand) status(ctx context.Context) (control.Status, error) {
	f := controlFlags{Data: c.Data}
	cl, err := f.connect()
	if err != nil {
		return control.Status{}, err
	}
	defer cl.Close()
	return cl.Status(ctx)
}

// gatherIdle judges the file that is there.
func (c *doctorCommand) gatherIdle(a *app) (*doctor.Model, error) {
	candidates := []string{a.getenv("SEALMQ_CONFIG"), "sealmq.yaml"}
	if c.Data != "" {
		candidates = append(candidates, filepath.Join(c.Data, "sealmq.yaml"))
	} else {
		candidates = append(candidates, filepath.Join("sealmq-data", "sealmq.yaml"))
	}
	for i, path := range candidates {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && i > 0 {
			continue
		}
		m, err := gather.SealMQ(path)
		if err != nil {
			return nil, configError(path, err)
		}
		return m, nil
	}
	plan, err := config.FromFlags(config.Flags{Data: c.Data})
	if err != nil {
		return nil, err
	}
	return gather.FromConfig("serve without a file", plan.Config), nil
}

// verdict is the exit code that --fail-on asks for.
func (c *doctorCommand) verdict(r *doctor.Report) error {
	least, ok := doctor.ParseSeverity(c.FailOn)
	if !ok {
		return nil
	}
	count := 0
	for i := range r.Findings {
		if r.Findings[i].Severity >= least {
			count++
		}
	}
	if count == 0 {
		return nil
	}
	return &failure{exitFindings, fmt.Sprintf("%d findings of severity %s or worse", count, least), "", "docs/operate/doctor.md explains each", nil}
}

// repair shows or makes the mechanical changes.
func (c *doctorCommand) repair(a *app, r *doctor.Report) error {
	plan, err := gather.Repairs(r)
	if err != nil {
		return err
	}
	left := 0
	for _, f := range r.Findings {
		for _, e := range f.Evidence {
			if e.Repair == nil {
				left++
			}
		}
	}
	if c.DryRun {
		writef(a.stdout, "%s", plan.Diff())
	} else {
		done, err := plan.Apply()
		for _, d := range done {
			writef(a.stdout, "%s\n", oneLine(d))
		}
		if err != nil {
			return err
		}
	}
	if plan.Empty() {
		writef(a.stderr, "nothing that a program could change\n")
	}
	if left > 0 {
		writef(a.stderr, "%d more places need a person: sealmq doctor without --fix says what to change\n", left)
	}
	return nil
}

// shownFirst is how many findings are explained without CONFIG.
const shownFirst = 3

// print writes the report for people.
func (c *doctorCommand) print(a *app, r *doctor.Report) {
	writef(a.stdout, "%s: grade %s", oneLine(r.Subject), r.Grade)
	if n := len(r.Findings); n == 0 {
		writef(a.stdout, ", nothing found\n")
	} else {
		writef(a.stdout, ", %d high, %d medium, %d low\n", r.Count(doctor.High), r.Count(doctor.Medium), r.Count(doctor.Low))
	}
	full := len(r.Findings)
	if c.Target == "" && !c.All {
		full = min(full, shownFirst)
	}
	for _, f := range r.Findings[:full] {
		writef(a.stdout, "\n%-7s %s  [%s]\n", strings.ToUpper(f.Severity.String()), f.Title, f.ID)
		for _, e := range f.Evidence {
			writef(a.stdout, "  found    %s\n", oneLine(e.Place.String()+"  "+e.Found))
			writef(a.stdout, "  change   %s\n", oneLine(e.Change))
		}
		writef(a.stdout, "  why      %s\n", f.Why)
	}
	if full < len(r.Findings) {
		writef(a.stdout, "\nand %d more; sealmq doctor --all explains them:\n", len(r.Findings)-full)
		for _, f := range r.Findings[full:] {
			writef(a.stdout, "  %-7s %s  [%s]\n", f.Severity, f.Title, f.ID)
		}
	}
}
