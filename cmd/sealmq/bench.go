package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sealmq/sealmq/internal/bench"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/control"
	"github.com/sealmq/sealmq/internal/observe"
)

type benchCommand struct {
	Protect benchProtectCommand `cmd:"" help:"Measure what each mechanism of security costs on this machine."`
	Conn    benchConnCommand    `cmd:"" help:"Connect and disconnect, again and again."`
	Pub     benchPubCommand     `cmd:"" help:"Publish as fast as it goes, or at a rate."`
	Sub     benchSubCommand     `cmd:"" help:"Subscribe and count what comes."`
	Pipe    benchPipeCommand    `cmd:"" help:"Send messages round: time of the way, what is lost, what comes twice."`
}

// Example is the first line of the command's help.
func (*benchCommand) Example() string { return "sealmq bench protect --out costs" }

type benchProtectCommand struct {
	Rounds   int    `default:"5" placeholder:"N" help:"Rounds; each figure is their median, its spread their range."`
	Connects int    `default:"20" placeholder:"N" help:"Connections of one round."`
	Messages int    `default:"400" placeholder:"N" help:"Messages of one round."`
	Idle     int    `default:"200" placeholder:"N" help:"Connections held open to see the memory of one; 0 leaves it out."`
	Size     int    `default:"32" placeholder:"BYTES" help:"Payload of a message."`
	Out      string `placeholder:"DIR" help:"Folder for protect.json, protect.csv and charts as SVG."`
	JSON     bool   `name:"json" help:"Print one JSON object."`
}

// Example is the first line of the command's help.
func (*benchProtectCommand) Example() string { return "sealmq bench protect --out costs" }

// Bounds of what can be asked for.
const (
	maxRounds   = 100
	maxConnects = 1000
	maxMessages = 100_000
	maxIdle     = 2000
	maxBench    = 128 << 10 // bytes of a payload
)

// Run measures and reports. Nothing is left behind but what --out names.
func (c *benchProtectCommand) Run(ctx context.Context, a *app) (err error) {
	for _, b := range []struct {
		flag            string
		value, lo, most int
	}{
		{"--rounds", c.Rounds, 1, maxRounds},
		{"--connects", c.Connects, 1, maxConnects},
		{"--messages", c.Messages, 1, maxMessages},
		{"--idle", c.Idle, 0, maxIdle},
		{"--size", c.Size, 0, maxBench},
	} {
		if b.value < b.lo || b.value > b.most {
			return usageError(fmt.Sprintf("%s %d cannot be used", b.flag, b.value), fmt.Sprintf("it can be %d to %d", b.lo, b.most), "")
		}
	}
	if c.Out != "" {
		if err := os.MkdirAll(c.Out, 0o755); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "sealmq-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	result, err := bench.Run(ctx, dir, launchChild, bench.Options{
		Rounds: c.Rounds, Connects: c.Connects, Messages: c.Messages, Idle: c.Idle, Size: c.Size, Progress: a.benchProgress(),
	})
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(a.stdout, result)
	} else {
		printBench(a, result)
	}
	if err == nil && c.Out != "" {
		err = c.write(a, result)
	}
	return err
}

// benchProgress is one line on a terminal, and nothing elsewhere.
func (a *app) benchProgress() func(string, int, int) {
	if !observe.IsTerminal(a.stderr) {
		return nil
	}
	return func(what string, done, all int) {
		writef(a.stderr, "\r\x1b[K")
		if done < all {
			writef(a.stderr, "[%d/%d] %s", done+1, all, what)
		}
	}
}

// launchChild runs the broker of the bench as a process of its own, so that its processor time and memory are its own.
func launchChild(ctx context.Context, file string, lean bool) (*bench.Broker, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	plan, err := config.FromFlags(config.Flags{Config: file})
	if err != nil {
		return nil, err
	}
	var log strings.Builder
	cmd := exec.Command(exe, "serve", "--config", file) //nolint:noctx // it is asked to stop, so that its end is in order
	cmd.Args[0] = "sealmq"
	cmd.Stderr = &log
	cmd.Env = append(os.Environ(), "SEALMQ_CONFIG=", "SEALMQ_DATA=", "NOTIFY_SOCKET=")
	if lean {
		cmd.Env = append(cmd.Env, "GOGC=10")
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop := func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return errors.Join(err, cmd.Process.Kill())
		}
		select {
		case err := <-ended:
			return err
		case <-time.After(2 * stopTimeout):
			return errors.Join(errors.New("the broker of the bench does not stop"), cmd.Process.Kill())
		}
	}
	socket := control.NewClient(plan.Config.Node.DataDir)
	defer socket.Close()
	ctx, cancel := context.WithTimeout(ctx, statusTimeout*3)
	defer cancel()
	for {
		if s, err := socket.Status(ctx); err == nil && s.Ready {
			b := &bench.Broker{PID: cmd.Process.Pid, Stop: stop}
			for _, l := range s.Listeners {
				b.Addresses = append(b.Addresses, l.Address)
			}
			return b, nil
		}
		select {
		case err := <-ended:
			return nil, fmt.Errorf("the broker of the bench did not start: %w: %s", err, log.String())
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), stop())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (c *benchProtectCommand) write(a *app, r *bench.Result) error {
	var text, table strings.Builder
	if err := printJSON(&text, r); err != nil {
		return err
	}
	if err := r.WriteCSV(&table); err != nil {
		return err
	}
	files := r.Charts()
	files["protect.json"], files["protect.csv"] = text.String(), table.String()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(c.Out, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	writef(a.stderr, "%d files in %s\n", len(files), c.Out)
	return nil
}

// busyMachine is the share of the processors from which on what others do shows in the figures.
const busyMachine = 0.1

// printBench writes the tables for people.
func printBench(a *app, r *bench.Result) {
	writef(a.stdout, "%s, %d processors, %s: median of %d rounds, ± the farthest round\n", r.Machine, r.Processors, r.Go, r.Rounds)
	if r.Others >= busyMachine {
		writef(a.stdout, "Other programs had %.0f%% of the processors meanwhile: processor times are higher than on a quiet machine, and\n"+
			"another run may lie outside of the spread. Bytes and round trips do not depend on it.\n", 100*r.Others)
	}
	t := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	writef(t, "\nCONNECT (%d a round)\tbytes up\tdown\ttrips\tclient µs\tbroker µs\tms\tp99 ms\tmemory\t\n", r.Connects)
	for i := range r.Connecting {
		c := &r.Connecting[i]
		memory := "-"
		if c.Memory >= 0 {
			memory = bytesText(int64(c.Memory))
		}
		writef(t, "%s\t%d\t%d\t%d\t%v\t%v\t%v\t%.2f\t%s\t\n", c.Title, c.Traffic.Up, c.Traffic.Down, c.Traffic.Trips, c.ClientCPU, c.BrokerCPU, c.Latency, c.LatencyP99, memory)
	}
	writef(t, "\nPUBLISH of %d bytes (%d a round)\tbytes up\tadded\tdown\tseal µs\topen µs\tclient µs\tbroker µs\tms\tp99 ms\t\n", r.Size, r.Messages)
	for i := range r.Messaging {
		m := &r.Messaging[i]
		writef(t, "%s\t%d\t%+d\t%d\t%v\t%v\t%v\t%v\t%v\t%.2f\t\n", m.Title, m.Traffic.Up, m.Overhead, m.Traffic.Down, m.Seal, m.Open, m.ClientCPU, m.BrokerCPU, m.Latency, m.LatencyP99)
	}
	_ = t.Flush() // a reader that went away
	writef(a.stdout, "\nAsymmetric to symmetric:\n")
	for _, x := range r.Ratios {
		writef(a.stdout, "  %6.1f times  %s\n", x.Times, x.What)
	}
	writef(a.stdout, "\nWhat to use:\n")
	for _, x := range r.Advice {
		writef(a.stdout, "  %-12s  %s and %s: %s\n  %-12s  otherwise: %s\n", x.Profile, r.Connect(x.Connect).Title, r.Message(x.Message).Title, x.Why, "", x.Else)
	}
	writef(a.stdout, "\nWhen not to use:\n")
	for i := range r.Connecting {
		writef(a.stdout, "  %s: %s\n", r.Connecting[i].Title, r.Connecting[i].NotWhen)
	}
	for i := range r.Messaging {
		writef(a.stdout, "  %s: %s\n", r.Messaging[i].Title, r.Messaging[i].NotWhen)
	}
	writef(a.stdout, "\nBytes are payloads of TCP; its handshake is one more round trip. A message is with QoS 1, to its PUBACK.\n")
}
