package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"time"
)

// site is where a broker runs: a folder of its own, an address, and what the case wants of it.
type site struct {
	dir, addr string
	c         *benchCase
	lab       *lab
}

// broker is a program that can be measured. SealMQ stands in the table several times, with more and more to check.
type broker struct {
	name   string
	path   string
	rights rights // SealMQ
	can    func(t transport) bool
	most   int // runs; 0: as many as asked for
	args   func(s *site) ([]string, error)
}

// Names that targets refer to.
const (
	sealmqName    = "SealMQ"
	rightsName    = "with login and rules"
	signedName    = "and signatures"
	floorName     = "floor (Go)"
	mosquittoName = "mosquitto"
)

// installed lists the brokers that are there, SealMQ first. bin is a folder that is looked into before PATH. The last two
// have one run where runs take long, and mochi, which is far from the others, two elsewhere.
func installed(bin string) ([]broker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	every := func(transport) bool { return true }
	noPSK := func(t transport) bool { return !t.psk() }
	all := []broker{
		{name: sealmqName, path: "sealmq", can: every},
		{name: rightsName, path: "sealmq", can: every, rights: loginAndRules},
		{name: signedName, path: "sealmq", can: every, rights: signatures},
		{name: floorName, path: self, can: noPSK, args: floorArgs},
		{name: mosquittoName, path: "mosquitto", can: every, args: mosquittoArgs},
		{name: "nats-server", path: "nats-server", can: noPSK, args: natsArgs, most: 5},
		{name: "mochi", path: "mochi", can: noPSK, args: mochiArgs, most: 2},
	}
	var there []broker
	for _, b := range all {
		if b.args == nil {
			b.args = func(s *site) ([]string, error) { return sealmqArgs(s, b.rights) }
		}
		for _, place := range []string{filepath.Join(bin, b.path), b.path, filepath.Join("/usr/sbin", b.path)} {
			if path, err := exec.LookPath(place); err == nil || errors.Is(err, exec.ErrDot) {
				b.path, err = filepath.Abs(path)
				if err != nil {
					return nil, err
				}
				there = append(there, b)
				break
			}
		}
	}
	if len(there) == 0 || there[0].name != sealmqName {
		return nil, fmt.Errorf("there is no sealmq in %s or PATH: make build", bin)
	}
	return there, nil
}

// does says whether a broker is measured in a case.
func (b *broker) does(c *benchCase) bool {
	switch {
	case b.rights == signatures:
		return c.signed
	case b.isSealMQ():
		return true
	case c.alone, b.name == floorName && c.noFloor:
		return false
	}
	return b.can(c.transport)
}

// runs is how many runs of all a broker takes part in.
func (b *broker) runs(c *benchCase, all int) int {
	switch {
	case b.most == 0 && c.most == 0:
		return all
	case b.most == 0:
		return min(all, c.most)
	case c.most == 0:
		return min(all, b.most)
	}
	return 1
}

func (b *broker) isSealMQ() bool { return b.name == sealmqName || b.rights != open }

func floorArgs(s *site) ([]string, error) {
	words := []string{"floor", "-addr", s.addr}
	if s.c.transport == certificate {
		words = append(words, "-cert", s.lab.cert, "-key", s.lab.key)
	}
	return words, nil
}

func mochiArgs(s *site) ([]string, error) {
	if s.c.transport == certificate {
		return []string{s.addr, s.lab.cert, s.lab.key}, nil
	}
	return []string{s.addr}, nil
}

func mosquittoArgs(s *site) ([]string, error) {
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("listener %s %s\nallow_anonymous true\n", port, host)
	if me, err := user.Current(); err == nil && me.Uid == "0" {
		text += "user root\n" // it would give up the right to read its certificate
	}
	switch t := s.c.transport; {
	case t == certificate:
		text += fmt.Sprintf("certfile %s\nkeyfile %s\ntls_version tlsv1.3\n", s.lab.cert, s.lab.key)
	case t.psk():
		text += fmt.Sprintf("psk_hint bench\npsk_file %s\n", s.lab.psk)
	}
	return s.config("-c", text)
}

func natsArgs(s *site) ([]string, error) {
	tls := ""
	if s.c.transport == certificate {
		tls = fmt.Sprintf(", tls: { cert_file: %q, key_file: %q, timeout: 20 }", s.lab.cert, s.lab.key)
	}
	own, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return s.config("-c", fmt.Sprintf("server_name: bench\nlisten: %q\njetstream { store_dir: %q }\nmqtt { listen: %q%s }\n",
		own, filepath.Join(s.dir, "jetstream"), s.addr, tls))
}

// config writes a configuration and returns the arguments that name it.
func (s *site) config(words, text string) ([]string, error) {
	file := filepath.Join(s.dir, "broker.conf")
	return append(strings.Fields(words), file), os.WriteFile(file, []byte(text), 0o600)
}

// running is a started broker.
type running struct {
	cmd   *exec.Cmd
	addr  string
	dir   string
	ended chan struct{} // closed when the process has ended
}

// start starts a broker and waits until it accepts connections. env is added to its environment.
func (b *broker) start(ctx context.Context, l *lab, c *benchCase, env ...string) (*running, error) {
	dir, err := os.MkdirTemp("", "sealmq-bench-")
	if err != nil {
		return nil, err
	}
	r, err := b.startIn(ctx, dir, l, c, env)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return r, nil
}

func (b *broker) startIn(ctx context.Context, dir string, l *lab, c *benchCase, env []string) (*running, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	args, err := b.args(&site{dir, addr, c, l})
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, b.path, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.Env = log, log, dir, append(os.Environ(), env...)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &running{cmd: cmd, addr: addr, dir: dir, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(r.ended)
	}()
	if err := r.await(); err != nil {
		text, _ := os.ReadFile(log.Name())
		r.stop()
		return nil, fmt.Errorf("%s: %w: %.400s", b.name, err, text)
	}
	return r, nil
}

// await waits until the broker accepts connections. It looks first whether the broker still runs: somebody else may have
// taken the port.
func (r *running) await() error {
	for range 600 {
		select {
		case <-r.ended:
			return errors.New("has ended")
		case <-time.After(25 * time.Millisecond): // polls a condition
		}
		if c, err := net.Dial("tcp", r.addr); err == nil {
			return c.Close()
		}
	}
	return errors.New("does not listen")
}

func (r *running) stop() {
	_ = r.cmd.Process.Kill()
	<-r.ended
	_ = os.RemoveAll(r.dir)
}

// freeAddress finds a loopback port that is free now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
