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

// site is where a broker runs: a folder of its own, an address, and for TLS a certificate.
type site struct {
	dir, addr string
	certs     string // folder with server.pem and server.key; "" for plain TCP
	durable   bool
}

// broker is a program that can be measured.
type broker struct {
	name string
	path string
	tls  bool // can be measured with TLS
	args func(s site) ([]string, error)
}

// sealmqConfig has no limits that the load would run into, and no others than a limit that is off.
const sealmqConfig = `version: 1
node: {data_dir: %s}
storage: {engine: %s}
listeners:
  - {name: bench, bind: %q%s}
auth: {anonymous: true}
acl:
  publish: {allow: ["#"]}
  subscribe: {allow: ["#"]}
limits:
  publish_rate: {per_client: unlimited}
  publish_bytes: {per_client: unlimited}
  subscriptions_per_client: 100000
  queue: {messages: 2000000, bytes: 4GiB}
  queue_total: 8GiB
`

// installed lists the brokers that are there, SealMQ first.
func installed() []broker {
	all := []broker{
		{name: "SealMQ", path: os.Getenv("SEALMQ_BIN"), tls: true, args: sealmqArgs},
		{name: "floor (Go)", path: os.Getenv("SEALMQ_FLOOR"), tls: true, args: floorArgs},
		{name: "mosquitto", path: "mosquitto", tls: true, args: mosquittoArgs},
		{name: "nats-server", path: "nats-server", tls: true, args: natsArgs},
		{name: "mochi", path: os.Getenv("SEALMQ_MOCHI"), args: func(s site) ([]string, error) { return []string{s.addr}, nil }},
	}
	var there []broker
	for _, b := range all {
		if path, err := exec.LookPath(b.path); err == nil {
			b.path = path
			there = append(there, b)
		}
	}
	return there
}

func sealmqArgs(s site) ([]string, error) {
	if !s.durable && s.certs == "" {
		return []string{"serve", "--dev", "--listen", "mqtt://" + s.addr}, nil
	}
	if s.durable {
		return []string{"serve", "--dev", "--data", filepath.Join(s.dir, "data"), "--listen", "mqtt://" + s.addr}, nil
	}
	tls := fmt.Sprintf(", tls: {cert: %q, key: %q}", filepath.Join(s.certs, "server.pem"), filepath.Join(s.certs, "server.key"))
	return s.config("serve --config", fmt.Sprintf(sealmqConfig, filepath.Join(s.dir, "data"), "memory", s.addr, tls))
}

func floorArgs(s site) ([]string, error) {
	_, port, err := net.SplitHostPort(s.addr)
	if s.certs != "" {
		return []string{"-tls", s.certs, port, "coalesce"}, err
	}
	return []string{port, "coalesce"}, err
}

func mosquittoArgs(s site) ([]string, error) {
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("listener %s %s\nallow_anonymous true\n", port, host)
	if me, err := user.Current(); err == nil && me.Uid == "0" {
		text += "user root\n" // it would give up the right to read its certificate
	}
	if s.certs != "" {
		text += fmt.Sprintf("certfile %s\nkeyfile %s\ntls_version tlsv1.3\n", filepath.Join(s.certs, "server.pem"), filepath.Join(s.certs, "server.key"))
	}
	return s.config("-c", text)
}

func natsArgs(s site) ([]string, error) {
	tls := ""
	if s.certs != "" {
		tls = fmt.Sprintf(", tls: { cert_file: %q, key_file: %q }", filepath.Join(s.certs, "server.pem"), filepath.Join(s.certs, "server.key"))
	}
	own, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return s.config("-c", fmt.Sprintf("server_name: bench\nlisten: %q\njetstream { store_dir: %q }\nmqtt { listen: %q%s }\n",
		own, filepath.Join(s.dir, "jetstream"), s.addr, tls))
}

// config writes a configuration and returns the arguments that name it.
func (s site) config(words, text string) ([]string, error) {
	file := filepath.Join(s.dir, "broker.conf")
	return append(strings.Fields(words), file), os.WriteFile(file, []byte(text), 0o600)
}

// running is a started broker.
type running struct {
	cmd  *exec.Cmd
	addr string
	dir  string
}

// start starts a broker and waits until it accepts connections. env is added to its environment.
func (b *broker) start(ctx context.Context, certs string, durable bool, env ...string) (*running, error) {
	dir, err := os.MkdirTemp("", "sealmq-bench-")
	if err != nil {
		return nil, err
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	args, err := b.args(site{dir, addr, certs, durable})
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
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	r := &running{cmd, addr, dir}
	for range 300 {
		if c, err := net.Dial("tcp", addr); err == nil {
			return r, c.Close()
		}
		time.Sleep(50 * time.Millisecond) // polls a condition
	}
	text, _ := os.ReadFile(filepath.Join(dir, "log"))
	r.stop()
	return nil, fmt.Errorf("%s does not listen: %s", b.name, text)
}

func (r *running) stop() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
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
