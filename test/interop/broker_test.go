//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait for another process.
const patience = time.Minute

// A broker is a running program that listens on a port of 127.0.0.1.
type broker struct {
	port int
	pid  int
	kill func() // ends it with SIGKILL
}

func (b broker) url(scheme string) string { return fmt.Sprintf("%s://127.0.0.1:%d", scheme, b.port) }

// startBroker runs the program for one test and stops it at the end; its output is shown if the test failed.
func startBroker(t *testing.T) broker {
	t.Helper()
	return startServe(t, freePort(t), "--dev --listen mqtt://127.0.0.1:{port}")
}

// startServe is startBroker with other flags, in which {port} is the port.
func startServe(t *testing.T, port int, flags string) broker {
	t.Helper()
	command := os.Getenv("SEALMQ_INTEROP_BROKER")
	if command == "" {
		program := os.Getenv("SEALMQ_BIN")
		if program == "" {
			program = filepath.Join("..", "..", "bin", "sealmq")
		}
		if _, err := os.Stat(program); err != nil {
			t.Fatalf("%v: make build makes it, SEALMQ_BIN names another", err)
		}
		command = program + " serve " + flags
	}
	args := strings.Fields(strings.ReplaceAll(command, "{port}", strconv.Itoa(port)))
	cmd := exec.Command(args[0], args[1:]...)
	output := &synchronized{}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	killed := false
	t.Cleanup(func() {
		if !killed {
			stop(t, cmd, exited)
		}
		if t.Failed() {
			t.Logf("output of %s:\n%s", args[0], output.String())
		}
	})
	waitForPort(t, port, exited, output)
	return broker{port: port, pid: cmd.Process.Pid, kill: func() {
		t.Helper()
		if err := cmd.Process.Kill(); err != nil {
			t.Fatalf("kill the broker: %v", err)
		}
		<-exited
		killed = true
	}}
}

func stop(t *testing.T, cmd *exec.Cmd, exited <-chan error) {
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Errorf("the broker did not live until the end of the test: %v", err)
		return
	}
	select {
	case <-exited:
	case <-time.After(patience):
		t.Errorf("the broker did not stop within %v of an interrupt", patience)
		_ = cmd.Process.Kill()
		<-exited
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func waitForPort(t *testing.T, port int, exited chan error, output fmt.Stringer) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), time.Second)
		if err == nil {
			c.Close()
			return
		}
		select {
		case err := <-exited:
			exited <- err
			t.Fatalf("the broker ended before it listened: %v\n%s", err, output)
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatalf("nothing listens on port %d after %v\n%s", port, patience, output)
}

// synchronized collects the output of a process.
type synchronized struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *synchronized) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *synchronized) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// need returns the path of a program, or skips the test with the way to get it.
func need(t *testing.T, program, how string) string {
	t.Helper()
	name, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed: %s", program, how)
	}
	return name
}

// run runs a client to its end and returns what it printed on stdout.
func run(t *testing.T, name string, args ...string) (stdout string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		t.Fatalf("%s %s did not end within %v\n%s%s", name, strings.Join(args, " "), patience, out, stderr.String())
	}
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if cmd.ProcessState.ExitCode() != 0 {
		t.Logf("%s %s: exit code %d\n%s", filepath.Base(name), strings.Join(args, " "), cmd.ProcessState.ExitCode(), stderr.String())
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// mustRun is run for a client that has to succeed.
func mustRun(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, code := run(t, name, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s", name, strings.Join(args, " "), code, out)
	}
	return out
}

// A background client runs beside the test; its lines can be waited for.
type background struct {
	cmd   *exec.Cmd
	lines chan string
}

func start(t *testing.T, name string, args ...string) *background {
	t.Helper()
	cmd := exec.Command(name, args...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := &background{cmd: cmd, lines: make(chan string, 64)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(b.lines)
		pass(stdout, b.lines, t.Context())
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
	})
	return b
}

func pass(r io.Reader, lines chan<- string, ctx context.Context) {
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		select {
		case lines <- scanner.Text():
		case <-ctx.Done():
			return
		}
	}
}

// wait returns the first line that contains part.
func (b *background) wait(t *testing.T, part string) string {
	t.Helper()
	var seen []string
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-b.lines:
			if !ok {
				t.Fatalf("%s ended without %q; it printed\n%s", b.cmd.Path, part, strings.Join(seen, "\n"))
			}
			if strings.Contains(line, part) {
				return line
			}
			seen = append(seen, line)
		case <-timeout:
			t.Fatalf("no %q within %v; %s printed\n%s", part, patience, b.cmd.Path, strings.Join(seen, "\n"))
		}
	}
}
