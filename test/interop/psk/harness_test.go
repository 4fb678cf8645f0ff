//go:build interop

package psk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealmq/sealmq/psktls"
)

const (
	identity = "sensor-7"
	greeting = "hello from the other side\n"
	patience = 20 * time.Second // for one case, other programs' start included
)

var (
	key      = bytes.Repeat([]byte{0x3C}, 32)
	wrongKey = bytes.Repeat([]byte{0x99}, 32)
	keyHex   = hex.EncodeToString(key)
)

// matrix collects one line per case for the end of the run.
var matrix struct {
	sync.Mutex
	rows            []string
	passed, skipped int
}

func TestMain(m *testing.M) {
	code := m.Run()
	fmt.Printf("\ninterop matrix: %d of %d cases reached, %d peers absent\n",
		matrix.passed, len(matrix.rows)-matrix.skipped, matrix.skipped)
	for _, row := range matrix.rows {
		fmt.Println(row)
	}
	os.Exit(code)
}

func record(peer, name, result, detail string) {
	matrix.Lock()
	defer matrix.Unlock()
	matrix.rows = append(matrix.rows, fmt.Sprintf("%-22s %-38s %-6s %s", peer, name, result, detail))
	switch result {
	case "ok":
		matrix.passed++
	case "absent":
		matrix.skipped++
	}
}

// need skips, visibly, unless a program is installed.
func need(t *testing.T, peer, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		record(peer, program, "absent", "")
		t.Skipf("interop: %s is not installed, %s skipped", program, peer)
	}
}

// attempt runs one case as a subtest and records it. body gives a detail for
// the matrix.
func attempt(t *testing.T, peer, name string, body func(t *testing.T) string) {
	t.Helper()
	detail := ""
	if t.Run(name, func(t *testing.T) { detail = body(t) }) {
		record(peer, name, "ok", detail)
	} else {
		record(peer, name, "FAIL", detail)
	}
}

// outcome is what our server saw of one connection.
type outcome struct {
	state    psktls.ConnectionState
	identity string
	err      error
	received string
}

// server is a psktls listener that answers one line with the same line.
type server struct {
	port     string
	outcomes chan outcome
}

func getKey(id []byte) ([]byte, error) {
	if string(id) == identity {
		return key, nil
	}
	return nil, nil
}

// startServer listens until the test ends. talk runs after each handshake.
func startServer(t *testing.T, config *psktls.Config, talk func(*psktls.Conn) (string, error)) *server {
	t.Helper()
	config.GetKey = getKey
	if err := config.ValidateServer(); err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(inner.Addr().String())
	s := &server{port: port, outcomes: make(chan outcome, 8)}
	l := psktls.NewListener(inner, config)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn.(*psktls.Conn), talk)
		}
	}()
	return s
}

func (s *server) serve(conn *psktls.Conn, talk func(*psktls.Conn) (string, error)) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	o := outcome{err: conn.HandshakeContext(context.Background())}
	if o.err == nil {
		o.state, o.identity = conn.ConnectionState(), conn.PSKIdentity()
		o.received, o.err = talk(conn)
	} else {
		// Let the peer read the alert before the port is reset.
		_, _ = io.Copy(io.Discard, conn.NetConn())
	}
	s.outcomes <- o
}

// echoLine answers one line with the same line.
func echoLine(conn *psktls.Conn) (string, error) {
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return line, err
	}
	_, err = io.WriteString(conn, line)
	return line, err
}

// next waits for the next outcome.
func (s *server) next(t *testing.T) outcome {
	t.Helper()
	select {
	case o := <-s.outcomes:
		return o
	case <-time.After(patience):
		t.Fatal("our server saw no connection end")
		return outcome{}
	}
}

// accepted fails unless the connection was made as wanted; zero fields of want
// are not compared.
func (o outcome) accepted(t *testing.T, want psktls.ConnectionState) string {
	t.Helper()
	if o.err != nil {
		t.Fatalf("our server: %v", o.err)
	}
	if o.identity != identity {
		t.Errorf("identity %q", o.identity)
	}
	return compare(t, o.state, want)
}

func compare(t *testing.T, got, want psktls.ConnectionState) string {
	t.Helper()
	if want.Version != 0 && got.Version != want.Version || want.CipherSuite != 0 && got.CipherSuite != want.CipherSuite ||
		want.Group != 0 && got.Group != want.Group || want.HelloRetryRequest && !got.HelloRetryRequest {
		t.Errorf("connection is %s, want %s", describe(got), describe(want))
	}
	return describe(got)
}

func describe(s psktls.ConnectionState) string {
	text := fmt.Sprintf("%s %s %s", psktls.VersionName(s.Version), psktls.CipherSuiteName(s.CipherSuite), psktls.GroupName(s.Group))
	if s.HelloRetryRequest {
		text += " after HelloRetryRequest"
	}
	return text
}

// refused fails unless our server refused with the check and alert.
func (o outcome) refused(t *testing.T, check psktls.Check, alert psktls.Alert) string {
	t.Helper()
	var e *psktls.Error
	if !errors.As(o.err, &e) || e.Check != check || e.Alert != alert {
		t.Fatalf("our server: %v (%s), want %q and alert %v", o.err, describe(o.state), string(check), alert)
	}
	return alert.String()
}

// run runs a program with the greeting on standard input, which is left open
// until the program ends, and gives what it printed.
func run(t *testing.T, stdin string, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(in, stdin)
	err = cmd.Wait()
	return out.String(), err
}

// daemon starts a program that runs until the test ends and waits until its
// output holds ready.
func daemon(t *testing.T, ready string, program string, args ...string) (line string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe() // stays open: some servers stop at its end
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	t.Cleanup(func() {
		cancel()
		_ = in.Close()
		_ = cmd.Wait()
		_ = r.Close()
	})
	found := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(r)
		var seen strings.Builder
		for lines.Scan() {
			fmt.Fprintln(&seen, lines.Text())
			if strings.Contains(lines.Text(), ready) {
				found <- lines.Text()
				_, _ = io.Copy(io.Discard, r)
				return
			}
		}
		found <- "not ready: " + seen.String()
	}()
	select {
	case line = <-found:
	case <-time.After(patience):
		t.Fatalf("%s is not ready", program)
	}
	if !strings.Contains(line, ready) {
		t.Fatalf("%s: %s", program, line)
	}
	return line
}

// dial connects a psktls client and sends the greeting.
func dial(t *testing.T, port string, config *psktls.Config) (*psktls.Conn, error) {
	t.Helper()
	raw, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.SetDeadline(time.Now().Add(patience))
	if config.Identity == nil {
		config.Identity = []byte(identity)
	}
	if config.Key == nil {
		config.Key = key
	}
	conn := psktls.Client(raw, config)
	t.Cleanup(func() { _ = conn.Close() })
	return conn, conn.HandshakeContext(t.Context())
}

// exchange sends the greeting and expects answer.
func exchange(t *testing.T, conn *psktls.Conn, answer string) {
	t.Helper()
	if _, err := io.WriteString(conn, greeting); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(answer))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != answer {
		t.Fatalf("answer %q, %v; want %q", got, err, answer)
	}
}

// freePort gives a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// compile builds one of our C programs against an installed library; a missing
// compiler or library is a visible skip.
func compile(t *testing.T, peer, source string, libraries ...string) string {
	t.Helper()
	need(t, peer, "cc")
	binary := filepath.Join(t.TempDir(), strings.TrimSuffix(source, ".c"))
	args := append([]string{"-O1", "-o", binary, filepath.Join("testdata", source)}, libraries...)
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		if strings.Contains(string(out), "No such file") || strings.Contains(string(out), "cannot find -l") {
			record(peer, source, "absent", "")
			t.Skipf("interop: the library of %s is not installed", peer)
		}
		t.Fatalf("compile %s: %s", source, out)
	}
	return binary
}
