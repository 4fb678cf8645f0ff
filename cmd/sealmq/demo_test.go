package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/node"
	"github.com/sealmq/sealmq/internal/transport"
)

// TestDemoKeep: what the demo leaves behind works with the commands that it prints.
func TestDemoKeep(t *testing.T) {
	run := func(line string) (exitCode, string) {
		var out, notes bytes.Buffer
		a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &notes, getenv: func(string) string { return "" }}
		a.serve = func(_ context.Context, p *config.Plan, _ *slog.Logger, _ *slog.LevelVar) error { return nil }
		code := a.main(strings.Fields(line)[1:])
		return code, out.String() + notes.String()
	}
	var n *node.Node
	var next []string
	for range 5 {
		dir := filepath.Join(t.TempDir(), "kept")
		code, out := run("sealmq demo --speed fast --keep " + dir)
		if code != exitOK {
			t.Fatal(out)
		}
		_, rest, _ := strings.Cut(out, "\nNEXT\n")
		next = next[:0]
		for line := range strings.Lines(rest) {
			if _, command, ok := strings.Cut(line, " sealmq "); ok {
				next = append(next, "sealmq "+strings.TrimSpace(command))
			}
		}
		if len(next) != 3 {
			t.Fatalf("next: %q", rest)
		}
		plan, err := config.FromFlags(config.Flags{Config: filepath.Join(dir, "sealmq.yaml")})
		if err != nil {
			t.Fatal(err)
		}
		var busy *transport.BusyError
		n, err = node.Start(t.Context(), plan, slog.New(slog.NewTextHandler(io.Discard, nil)), "test")
		if errors.As(err, &busy) {
			continue // somebody else has taken one of the ports meanwhile
		}
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	if n == nil {
		t.Fatal("no ports are free")
	}
	defer func() {
		if err := n.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	for i, want := range []exitCode{exitOK, exitOK, exitNotAllowed} {
		if code, out := run(next[i]); code != want {
			t.Errorf("%s: exit code %d, want %d: %s", next[i], code, want, out)
		}
	}
}
