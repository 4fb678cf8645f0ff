package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/node"
	"github.com/sealmq/sealmq/internal/observe"
	"github.com/sealmq/sealmq/internal/setup"
)

// prepareHome makes the folder that serve uses without a configuration, or keeps the one that is there in shape.
func (a *app) prepareHome(ctx context.Context, dir string) error {
	if dir == "" {
		dir = config.Folder
	}
	if setup.Exists(dir) {
		done, err := setup.Renew(dir, time.Now())
		if err != nil {
			a.warn(err.Error())
		}
		if done != "" {
			a.note(done)
		}
		return nil
	}
	return a.makeHome(ctx, setup.Options{Dir: dir, Profile: setup.Home, Now: time.Now()})
}

// makeHome makes a folder and says what is in it.
func (a *app) makeHome(ctx context.Context, o setup.Options) error {
	made, err := setup.Make(ctx, o)
	if errors.Is(err, setup.ErrOccupied) {
		return &failure{
			exitFailed, "cannot start without a configuration in " + o.Dir, setup.ErrOccupied.Error(),
			"name a configuration with --config FILE, or another folder with --data DIR", err,
		}
	}
	if err != nil {
		return &failure{exitFailed, "cannot make " + o.Dir, err.Error(), "", err}
	}
	if made == nil {
		return nil // somebody else was faster
	}
	writef(a.stderr, "made %s: an authority (ca.crt), a certificate for %s, and %s\n", oneLine(o.Dir), strings.Join(made.Names, ", "), config.FolderFile)
	for _, n := range made.Notes {
		a.note(n)
	}
	return nil
}

// printAccess gives lines to paste. They hold secrets only if a terminal is all that sees them; otherwise they name the
// files, which only the owner can read.
func (a *app) printAccess(n *node.Node, plan *config.Plan, home string) {
	if abs, err := filepath.Abs(home); err == nil {
		home = abs
	}
	lines := accessLines(setup.Read(home), ports(n, plan), observe.IsTerminal(a.stderr), program())
	if len(lines) == 0 {
		return
	}
	writef(a.stderr, "\nTry it from other terminals; stop the broker with Ctrl-C:\n")
	for _, l := range lines {
		writef(a.stderr, "  %s\n", l)
	}
	writef(a.stderr, "\n")
}

// openPorts are the ports of the listeners that lines are printed for; "" without one.
type openPorts struct{ local, tls, psk string }

func ports(n *node.Node, plan *config.Plan) openPorts {
	var p openPorts
	for i, address := range n.Addrs() {
		l := &plan.Config.Listeners[i]
		_, port, err := net.SplitHostPort(address.String())
		if err != nil || l.WebSocket.Path != "" {
			continue
		}
		switch {
		case l.PSK.File != "" && p.psk == "":
			p.psk = port
		case l.TLS.Cert != "" && p.tls == "":
			p.tls = port
		case !l.Encrypted() && l.Loopback() && p.local == "":
			p.local = port
		}
	}
	return p
}

// program is how this program is called: by its name if that finds it.
func program() string {
	const name = "sealmq"
	if _, err := exec.LookPath(name); err == nil {
		return name
	}
	if self, err := os.Executable(); err == nil {
		return self
	}
	return name
}

// accessLines are commands that work when they are pasted into a POSIX shell.
func accessLines(s setup.Access, p openPorts, secrets bool, program string) []string {
	var lines []string
	mosquitto, own := "", ""
	switch {
	case s.CertFile != "":
		mosquitto = " --cert " + shellWord(s.CertFile) + " --key " + shellWord(s.KeyFile)
		own = mosquitto
	case s.User != "":
		mosquitto = " -u " + shellWord(s.User) + " -P " + secretWord(secrets, s.Password, "cat "+shellWord(s.PasswordFile))
		own = " -u " + shellWord(s.User) + " --password-file " + shellWord(s.PasswordFile)
	}
	if p.tls != "" && mosquitto != "" {
		at := " -h localhost -p " + p.tls + " --cafile " + shellWord(s.CAFile)
		lines = append(
			lines,
			"mosquitto_sub"+at+mosquitto+" -t 'test/#' -v",
			"mosquitto_pub"+at+mosquitto+" -t test/hello -m hello",
			shellWord(program)+" pub"+at+own+" -t test/hello -m hello",
		)
	}
	if p.psk != "" && s.PSKIdentity != "" {
		key := secretWord(secrets, s.PSK, "sed -n "+shellWord("s/^"+s.PSKIdentity+"://p")+" "+shellWord(s.PSKFile))
		lines = append(lines, "mosquitto_pub -h localhost -p "+p.psk+" --psk-identity "+shellWord(s.PSKIdentity)+" --psk "+key+
			" -t "+shellWord("devices/"+s.PSKIdentity+"/hello")+" -m hello")
	}
	if p.local != "" && s.Password != "" {
		lines = append(lines, shellWord(program)+" sub -h 127.0.0.1 -p "+p.local+" -u "+shellWord(s.User)+" --password-file "+shellWord(s.PasswordFile)+" -t '#' -v")
	}
	return lines
}

// secretWord is a secret, or a command that reads it.
func secretWord(show bool, secret, command string) string {
	if show {
		return shellWord(secret)
	}
	return `"$(` + command + `)"`
}
