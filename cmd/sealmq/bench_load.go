package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/bench"
	"github.com/sealmq/sealmq/internal/observe"
	"github.com/sealmq/sealmq/mqtt"
)

// loadFlags say which broker is loaded, and how much.
type loadFlags struct {
	URL          string   `arg:"" name:"URL" help:"mqtt://HOST[:PORT] or mqtts://HOST[:PORT] of a broker that you may load."`
	CAFile       string   `name:"cafile" placeholder:"FILE" group:"Broker" help:"Authorities to verify the certificate with, instead of those of the system."`
	Username     string   `short:"u" env:"SEALMQ_USERNAME" group:"Broker" help:"User name of all clients."`
	PasswordFile string   `name:"password-file" placeholder:"FILE" env:"SEALMQ_PASSWORD_FILE" group:"Broker" help:"File with the password in its first line; - reads standard input."`
	Protocol     string   `short:"V" name:"protocol-version" enum:"5,311,31" default:"5" placeholder:"VERSION" group:"Broker" help:"5, 311 or 31."`
	Clients      int      `default:"10" placeholder:"N" help:"Clients at one time."`
	Rate         float64  `placeholder:"N" help:"Operations of all clients together in a second; without it as fast as it goes."`
	Warmup       duration `default:"1" placeholder:"SECONDS" help:"Time at the beginning that is not counted."`
	Duration     duration `default:"10" placeholder:"SECONDS" help:"Time that is counted."`
	JSON         bool     `name:"json" help:"Print one JSON object."`
}

// messageFlags are for kinds with messages.
type messageFlags struct {
	QoS   int    `short:"q" enum:"0,1,2" default:"1" help:"Quality of service."`
	Size  int    `default:"64" placeholder:"BYTES" help:"Payload of a message."`
	Topic string `short:"t" default:"bench" help:"Beginning of the topics; each client has one of its own below it."`
}

type benchConnCommand struct {
	loadFlags `embed:""`
}

// Example is the first line of the command's help.
func (*benchConnCommand) Example() string {
	return "sealmq bench conn mqtt://localhost --clients 20 --duration 10"
}

// Run connects and disconnects.
func (c *benchConnCommand) Run(ctx context.Context, a *app) error {
	return c.run(ctx, a, &bench.Load{Kind: bench.Conn})
}

type benchPubCommand struct {
	loadFlags    `embed:""`
	messageFlags `embed:""`
}

// Example is the first line of the command's help.
func (*benchPubCommand) Example() string {
	return "sealmq bench pub mqtt://localhost --clients 20 -q 1 --size 64"
}

// Run publishes.
func (c *benchPubCommand) Run(ctx context.Context, a *app) error {
	return c.run(ctx, a, c.load(bench.Pub))
}

type benchSubCommand struct {
	loadFlags `embed:""`
	QoS       int    `short:"q" enum:"0,1,2" default:"1" help:"Quality of service."`
	Topic     string `short:"t" default:"bench/#" help:"Topic filter that every client subscribes to."`
}

// Example is the first line of the command's help.
func (*benchSubCommand) Example() string {
	return "sealmq bench sub mqtt://localhost --clients 5 -t 'bench/#'"
}

// Run subscribes and counts.
func (c *benchSubCommand) Run(ctx context.Context, a *app) error {
	return c.run(ctx, a, &bench.Load{Kind: bench.Sub, Topic: c.Topic, QoS: mqtt.QoS(c.QoS)})
}

type benchPipeCommand struct {
	loadFlags    `embed:""`
	messageFlags `embed:""`
}

// Example is the first line of the command's help.
func (*benchPipeCommand) Example() string {
	return "sealmq bench pipe mqtt://localhost --clients 10 --rate 1000"
}

// Run sends each client's messages to itself.
func (c *benchPipeCommand) Run(ctx context.Context, a *app) error {
	return c.run(ctx, a, c.load(bench.Pipe))
}

func (f *messageFlags) load(kind bench.LoadKind) *bench.Load {
	return &bench.Load{Kind: kind, QoS: mqtt.QoS(f.QoS), Size: f.Size, Topic: f.Topic}
}

// Bounds of a load.
const (
	maxLoadClients  = 10_000
	maxLoadRate     = 10_000_000
	maxLoadDuration = 24 * time.Hour
)

func (f *loadFlags) check(o *bench.Load) error {
	switch {
	case f.Clients < 1 || f.Clients > maxLoadClients:
		return usageError(fmt.Sprintf("--clients %d cannot be used", f.Clients), fmt.Sprintf("it can be 1 to %d", maxLoadClients), "")
	case f.Rate < 0 || f.Rate > maxLoadRate:
		return usageError(fmt.Sprintf("--rate %v cannot be used", f.Rate), fmt.Sprintf("it can be up to %d; without it as fast as it goes", maxLoadRate), "")
	case time.Duration(f.Duration) <= 0 || time.Duration(f.Duration) > maxLoadDuration || time.Duration(f.Warmup) > maxLoadDuration:
		return usageError("--duration or --warmup cannot be used", "a run is longer than nothing and ends within a day", "")
	case o.Size < 0 || o.Size > maxBench:
		return usageError(fmt.Sprintf("--size %d cannot be used", o.Size), fmt.Sprintf("it can be 0 to %d", maxBench), "")
	}
	return nil
}

// run loads the broker and prints the summary. What failed, was lost or came twice is exit code 1.
func (f *loadFlags) run(ctx context.Context, a *app, o *bench.Load) error {
	if err := f.check(o); err != nil {
		return err
	}
	o.Clients, o.Rate, o.Warmup, o.Duration = f.Clients, f.Rate, time.Duration(f.Warmup), time.Duration(f.Duration)
	o.Config = client.Config{Server: f.URL, Username: f.Username, Version: map[string]mqtt.Version{"5": mqtt.V5, "311": mqtt.V311, "31": mqtt.V31}[f.Protocol]}
	if f.Protocol == "31" {
		o.Config.ClientID = "bench"
	}
	if f.CAFile != "" {
		roots, err := rootsOf(f.CAFile)
		if err != nil {
			return err
		}
		o.Config.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	if f.PasswordFile != "" {
		password, err := readSecretFile(f.PasswordFile, a)
		if err != nil {
			return err
		}
		o.Config.Password = password
	}
	o.Progress = a.loadProgress()
	s, err := bench.RunLoad(ctx, o)
	if errors.Is(err, bench.ErrPipeSize) {
		return usageError("--size is too small", err.Error(), "")
	}
	if err != nil {
		return clientFailure(err)
	}
	if o.Progress != nil {
		writef(a.stderr, "\r\x1b[K")
	}
	if f.JSON {
		err = printJSON(a.stdout, loadReport{"sealmq.bench.load/1", s})
	} else {
		printLoad(a, s)
	}
	if err == nil && (s.Failed > 0 || s.Lost > 0 || s.Duplicated > 0) {
		return &failure{exitFailed, fmt.Sprintf("%d failed, %d lost, %d came twice", s.Failed, s.Lost, s.Duplicated), s.FirstError, "", nil}
	}
	return err
}

// loadReport is the JSON form.
type loadReport struct {
	Schema string `json:"schema"`
	*bench.Summary
}

// loadProgress is one line on a terminal, and nothing elsewhere.
func (a *app) loadProgress() func(bench.Summary) {
	if !observe.IsTerminal(a.stderr) {
		return nil
	}
	return func(s bench.Summary) {
		writef(a.stderr, "\r\x1b[K%5.0f s  %d done, %.0f/s, p99 %s, %d failed", s.Seconds, s.Operations, s.Rate, millis(s.P99), s.Failed)
	}
}

func millis(v float64) string {
	if v < 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f ms", v)
}

func printLoad(a *app, s *bench.Summary) {
	what := map[bench.LoadKind]string{bench.Conn: "connections", bench.Pub: "published", bench.Sub: "received", bench.Pipe: "received"}[s.Kind]
	writef(a.stdout, "clients     %d for %.1f s\n", s.Clients, s.Seconds)
	writef(a.stdout, "%-11s %d, %.0f in a second", what, s.Operations, s.Rate)
	if s.Kind != bench.Conn {
		writef(a.stdout, ", %s of payload", bytesText(s.Bytes))
	}
	writef(a.stdout, "\ntime        p50 %s, p99 %s, longest %s\n", millis(s.P50), millis(s.P99), millis(s.Longest))
	writef(a.stdout, "failed      %d\n", s.Failed)
	if s.Kind == bench.Pipe {
		writef(a.stdout, "lost        %d of %d, %d came twice (warm-up included)\n", s.Lost, s.Sent, s.Duplicated)
	}
}
