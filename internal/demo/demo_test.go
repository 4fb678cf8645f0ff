package demo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/sealmq/sealmq/internal/outcomes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiverChecks are the checks that refuse what no broker has refused.
var receiverChecks = map[string]string{
	"flip a bit as the operator, behind the broker": "verify (" + checksSection + ")",
	"as the operator: hand the last one out again":  "duplicate (" + checksSection + ")",
}

// TestEverything: all of it ends as declared, and nothing is left behind.
func TestEverything(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	p := &Printer{Out: &out, Width: 80}
	r, err := Run(t.Context(), Options{All: !testing.Short(), Watch: p})
	if err != nil {
		t.Fatal(err)
	}
	p.Finish(r, nil)
	for _, w := range r.Wrong {
		t.Error(w)
	}
	if !r.OK || len(r.Matrix) != len(outcomes.Mechanisms)*len(outcomes.Attacks) {
		t.Errorf("ok %v, %d pairs", r.OK, len(r.Matrix))
	}
	for _, l := range r.Attacks {
		if broker := l.Layer == "payload" || l.Layer == "access" || l.Layer == "login" || l.Layer == "limit" || l.Layer == "transport"; broker &&
			(!strings.HasPrefix(l.Rule, configFile+":") || l.Decision == "") {
			t.Errorf("%s, %s: rule %q, decision %q", l.Attack, l.Tried, l.Rule, l.Decision)
		}
		if want := receiverChecks[l.Tried]; l.Check != want || (want != "") != (l.Layer == layerReceiver) {
			t.Errorf("%s, %s: the check of the layer %s is %q, want %q", l.Attack, l.Tried, l.Layer, l.Check, want)
		}
	}
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
		if strings.ContainsAny(line, "\x1b\r") || strings.HasSuffix(line, " \n") {
			t.Errorf("not plain: %q", line)
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestFaults: each defect of the set-up is noticed, by the line it belongs to.
func TestFaults(t *testing.T) {
	for fault, line := range map[Fault]string{
		ProtectionOff:    "tamper (sign)",
		ACLOpen:          "forge a sender (access rules)",
		ReplayOff:        "replay a command (sign): as the operator",
		LockoutOff:       "brute force (lockout)",
		PlaintextAllowed: "downgrade to plain (sign)",
	} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			r, err := Run(t.Context(), Options{Fault: fault})
			if err != nil {
				t.Fatal(err)
			}
			if r.OK || len(r.Wrong) == 0 {
				t.Fatal("not noticed")
			}
			named := false
			for _, w := range r.Wrong {
				named = named || strings.HasPrefix(w, line)
			}
			if !named {
				t.Errorf("noticed in other lines only: %q", r.Wrong)
			}
			if fault != ProtectionOff && len(r.Wrong) != 1 {
				t.Errorf("%d lines: %q", len(r.Wrong), r.Wrong)
			}
		})
	}
}

// TestKeepRefuses: what is in a folder stays as it is.
func TestKeepRefuses(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine")
	if err := os.WriteFile(mine, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), Options{Keep: dir}); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v", entries, err)
	}
}

// TestFaultsHaveTheirPlace: the texts that faults replace stand in the configuration.
func TestFaultsHaveTheirPlace(t *testing.T) {
	for f := range edits {
		if _, err := writeConfig(t.TempDir(), f); err != nil {
			t.Error(err)
		}
	}
}

// stopper ends a demo at its first attack.
type stopper struct {
	nobody
	stop context.CancelFunc
}

func (s stopper) Attack(*Line) { s.stop() }

// TestInterrupt: a demo that is stopped says so, calls nothing undeclared, and leaves nothing behind.
func TestInterrupt(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	r, err := Run(ctx, Options{Watch: stopper{stop: stop}})
	if !errors.Is(err, context.Canceled) || r.OK || len(r.Wrong) > 0 {
		t.Errorf("got %v, %+v", err, r)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
