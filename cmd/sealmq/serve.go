package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/observe"
)

// serveFunc runs the broker of a plan until ctx is done, and returns nil when it has stopped in order. level may be
// changed while it runs.
type serveFunc func(ctx context.Context, plan *config.Plan, log *slog.Logger, level *slog.LevelVar) error

type serveCommand struct {
	Config string   `placeholder:"FILE" env:"SEALMQ_CONFIG" help:"Configuration file. Without one, and without --dev, the one in ./sealmq-data, which is made at the first start: certificates, a first user and a device included."`
	Data   string   `placeholder:"DIR" env:"SEALMQ_DATA" help:"Folder for durable state, instead of the configured one; without --config it is used instead of ./sealmq-data."`
	Listen []string `placeholder:"URL" sep:"none" help:"Address such as mqtt://127.0.0.1:1883, instead of the configured listeners. Can be repeated."`
	Dev    bool     `help:"For trying: loopback, no login, generous limits, nothing kept unless --data is given."`
}

// Example is the first line of the command's help.
func (*serveCommand) Example() string { return "sealmq serve --config sealmq.yaml" }

// Run starts the broker and waits for its end.
func (c *serveCommand) Run(ctx context.Context, a *app) error {
	flags := config.Flags{Config: c.Config, Data: c.Data, Listen: c.Listen, Dev: c.Dev}
	plan, err := config.FromFlags(flags)
	if err == nil && c.Config == "" && !c.Dev {
		if err := a.prepareHome(ctx, c.Data); err != nil {
			return err
		}
		plan, err = config.FromFlags(flags)
	}
	if err != nil {
		return configError(c.Config, err)
	}
	for _, n := range plan.Notes() {
		a.note(n)
	}
	log, level := a.logger(plan.Config.Log)
	return a.serve(ctx, plan, log, level)
}

// logger makes the log of a long-running command, on stderr.
func (a *app) logger(c config.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(logLevel(c.Level))
	json := c.Format == config.FormatJSON || c.Format == config.FormatAuto && !observe.IsTerminal(a.stderr)
	return observe.NewLogger(a.stderr, observe.LogOptions{Level: level, JSON: json, Colour: a.colour}), level
}

func logLevel(l config.LogLevel) slog.Level {
	switch l {
	case config.LevelDebug:
		return slog.LevelDebug
	case config.LevelWarn:
		return slog.LevelWarn
	case config.LevelError:
		return slog.LevelError
	}
	return slog.LevelInfo
}

// configError gives a file that cannot be read the exit code of a bad configuration.
func configError(file string, err error) error {
	var path *fs.PathError
	if file == "" && errors.As(err, &path) {
		file = path.Path
	}
	if !errors.As(err, &path) {
		return err
	}
	hint := "check the path and its permissions"
	if errors.Is(err, fs.ErrNotExist) {
		hint = "check the path; the least file is the line: version: 1"
	}
	return &failure{exitConfig, "cannot read the configuration " + file, path.Err.Error(), hint, err}
}
