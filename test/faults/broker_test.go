package faults

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// program is the broker under test, built once.
var program string

func TestMain(m *testing.M) {
	if addr := os.Getenv(neighbourEnv); addr != "" {
		if err := beNeighbour(addr, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	dir, err := os.MkdirTemp("", "sealmq-faults-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "sealmq")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	build := exec.Command("go", "build", "-o", program, "github.com/sealmq/sealmq/cmd/sealmq")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the broker:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// server is a broker process with its data folder, which outlives the process.
type server struct {
	t    testing.TB
	addr string
	data string
	// config is a configuration file, "" for the settings of --dev.
	config string
	// plain leaves data folder and listener to the configuration file.
	plain  bool
	cmd    *exec.Cmd
	exited chan error // yields the result of cmd when its output is read
}

func newServer(t testing.TB) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return &server{t: t, addr: l.Addr().String(), data: t.TempDir()}
}

// start runs the broker and waits until it accepts connections.
func (s *server) start() time.Duration {
	s.t.Helper()
	begin := time.Now()
	args := []string{"serve", "--dev", "--data", s.data, "--listen", "mqtt://" + s.addr}
	switch {
	case s.plain:
		args = []string{"serve", "--config", s.config}
	case s.config != "":
		args = append(args, "--config", s.config)
	}
	s.cmd = exec.Command(program, args...)
	var log bytes.Buffer
	s.cmd.Stderr = &log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.exited = make(chan error, 1)
	go func() { s.exited <- s.cmd.Wait() }()
	for {
		c, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err == nil {
			_ = c.Close()
			return time.Since(begin)
		}
		select {
		case err := <-s.exited:
			s.t.Fatalf("the broker ended at its start: %v\n%s", err, log.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Since(begin) > time.Minute {
			s.t.Fatal("the broker does not listen")
		}
	}
}

// kill ends the process as a power cut would, as far as the process is concerned: no handler runs.
func (s *server) kill() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	<-s.exited // the kernel has closed its sockets
}
