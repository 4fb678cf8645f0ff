package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/control"
)

// controlFlags say which running broker on this machine is meant. It is found by its data folder.
type controlFlags struct {
	Config string `placeholder:"FILE" env:"SEALMQ_CONFIG" help:"Configuration file of the running broker."`
	Data   string `placeholder:"DIR" env:"SEALMQ_DATA" help:"Its data folder; wins over the file."`
	JSON   bool   `name:"json" help:"One JSON object per line."`
}

// connect makes a client for the broker of the flags; the caller closes it.
func (f *controlFlags) connect() (*control.Client, error) {
	dir := f.Data
	if dir == "" {
		plan, err := config.FromFlags(config.Flags{Config: f.Config})
		if err != nil {
			return nil, configError(f.Config, err)
		}
		dir = plan.Config.Node.DataDir
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the data folder %s: %w", dir, err)
	}
	return control.NewClient(abs), nil
}

// ask runs one request against the broker of the flags. what says what was wanted, for the error.
func (f *controlFlags) ask(what string, do func(*control.Client) error) error {
	c, err := f.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := do(c); err != nil {
		return controlError(what, c.Path(), err)
	}
	return nil
}

// controlError says in the form of the command line why a request failed.
func controlError(what, socket string, err error) error {
	var (
		absent  *control.NotRunningError
		peer    *control.PeerError
		refused *control.Error
	)
	f := &failure{code: exitFailed, what: what, why: err.Error(), err: err}
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &absent) && errors.Is(err, fs.ErrPermission):
		f.code, f.why = exitConnect, "this user may not open "+socket
		f.hint = "run it as the user of the broker, or as root"
	case errors.As(err, &absent):
		f.code, f.why = exitConnect, "no broker answers at "+socket
		f.hint = "name the data folder of a running broker with --data DIR, or its file with --config FILE"
	case errors.As(err, &peer):
		f.code, f.hint = exitConnect, "the socket belongs to somebody else: check who owns the data folder"
	case errors.As(err, &refused):
		f.why, f.hint = refused.Message, controlHints[refused.Code]
	default:
		f.hint = "the log of the broker may say more"
	}
	return f
}

var controlHints = map[control.Code]string{
	control.NotFound: "sealmq admin sessions lists what there is",
	control.Internal: "the log of the broker says more",
}

// printLine writes v as one line of JSON.
func (a *app) printLine(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode JSON: %w", err)
	}
	writef(a.stdout, "%s\n", text)
	return nil
}

// bytesText is a size as people read it.
func bytesText(n int64) string {
	const step = 1024
	if n < step {
		return strconv.FormatInt(n, 10) + " B"
	}
	value, unit := float64(n), 0
	for value >= step && unit < len(byteUnits) {
		value, unit = value/step, unit+1
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + byteUnits[unit-1]
}

var byteUnits = []string{"KiB", "MiB", "GiB", "TiB"}

// timeText is a moment in UTC, or "-".
func timeText(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// cell makes text fit for a column: one line, nothing a terminal acts on, not endless.
func cell(s string) string {
	const limit = 60
	s = oneLine(strings.ToValidUTF8(s, "\uFFFD"))
	if r := []rune(s); len(r) > limit {
		s = string(r[:limit-1]) + "…"
	}
	if s == "" {
		return "-"
	}
	return s
}
