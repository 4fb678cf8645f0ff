package load

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"runtime/debug"
)

// Command reads options, carries the scenario out, and writes the report as one JSON object.
func Command(ctx context.Context, words []string, stdout, stderr io.Writer) error {
	o, err := Parse(words, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	debug.SetGCPercent(800) // its own garbage should not take processor time from the broker
	r, err := Run(ctx, o)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(r)
}
