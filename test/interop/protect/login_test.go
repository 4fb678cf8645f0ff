//go:build interop

package protect

import (
	"bytes"
	"encoding/hex"
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

// loginBroker is our broker as a process that can be killed, behind a tap that records every byte of its connections.
type loginBroker struct {
	t    *testing.T
	dir  string
	addr string
	cmd  *exec.Cmd

	mu       sync.Mutex
	recorded bytes.Buffer
}

const (
	loginPassword = "correct horse battery"
	loginServer   = "plant"
)

// newLoginBroker makes the keys of a broker and of its clients, as docs/operate/login.md shows it.
func newLoginBroker(t *testing.T) (b *loginBroker, tapped string) {
	t.Helper()
	sealmq, dir := ourTool(t), t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b = &loginBroker{t: t, dir: dir, addr: l.Addr().String()}
	l.Close()
	for name, text := range map[string]string{
		"password": loginPassword + "\n",
		"sealmq.yaml": fmt.Sprintf("version: 1\nnode: {data_dir: data}\nlisteners: [{name: field, bind: %q}]\nauth:\n  password: {file: passwd}\n"+
			"  credential: {keyring: broker, server: %s}\n", b.addr, loginServer),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{
		"passwd add passwd alice --password-file password",
		"keys new p1 --type p1 --keyring broker",
		"keys export p1 --out p1.pub --keyring broker",
		"keys import p1.pub --name p1 --type p1 --keyring device",
		"keys new pump --type p2 --keyring broker",
		"keys export pump --out p2.key --export-secret-key --keyring broker",
		"keys import p2.key --name p2 --type p2 --keyring device",
		"keys new p3 --type p3 --keyring device",
		"keys export p3 --out p3.pub --keyring device",
		"keys import p3.pub --name press --type p3 --keyring broker",
	} {
		runIn(t, dir, sealmq, strings.Fields(line)...)
	}
	b.start()
	t.Cleanup(b.kill)
	return b, b.tap()
}

func (b *loginBroker) start() {
	b.t.Helper()
	b.cmd = exec.Command(ourTool(b.t), "serve", "--config", "sealmq.yaml")
	b.cmd.Dir = b.dir
	var log bytes.Buffer
	b.cmd.Stderr = &log
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.DialTimeout("tcp", b.addr, time.Second); err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			b.kill()
			b.t.Fatalf("the broker does not listen\n%s", log.String())
		}
	}
}

// kill is SIGKILL: nothing in the process runs any more.
func (b *loginBroker) kill() {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
}

// tap listens, records what passes in both directions, and returns its port.
func (b *loginBroker) tap() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	var all sync.WaitGroup
	b.t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { b.pass(client) })
		}
	})
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func (b *loginBroker) pass(client net.Conn) {
	defer client.Close()
	broker, err := net.Dial("tcp", b.addr)
	if err != nil {
		return
	}
	defer broker.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(client, io.TeeReader(broker, b))
		client.Close()
	}()
	_, _ = io.Copy(broker, io.TeeReader(client, b))
	broker.Close()
	<-done
}

// Write records.
func (b *loginBroker) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.recorded.Write(p)
}

func (b *loginBroker) saw(secret []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Contains(b.recorded.Bytes(), secret)
}

// paho logs in with a password of raw bytes and returns what the script prints.
func (b *loginBroker) paho(port, version, id, user, password string) string {
	b.t.Helper()
	out, err := exec.CommandContext(b.t.Context(), python(b.t, "paho.mqtt.client"), "scripts/login.py", port, version, id, user, password).Output()
	if err != nil {
		b.t.Fatal(stderrOf(err))
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// loginUsers are the user names that each form logs in.
var loginUsers = map[string]string{"p1": "alice", "p2": "pump", "p3": "press"}

// credential makes the bytes that other clients send.
func (b *loginBroker) credential(form, version, id string) string {
	args := []string{
		"credential", "--type", form, "--key", form, "--client-id", id, "--username", loginUsers[form], "--server", loginServer, "-V", version, "--keyring", "device",
	}
	if form == "p1" {
		args = append(args, "--password-file", "password")
	}
	return strings.TrimSpace(string(runIn(b.t, b.dir, ourTool(b.t), args...)))
}

// TestCredentialsFromPaho: P1, P2 and P3 log Paho in on 3.1.1 and 5 with the bytes of sealmq credential, once; not again,
// not as another client, and not after the broker was killed. Nothing that logs in is ever on the wire.
func TestCredentialsFromPaho(t *testing.T) {
	b, port := newLoginBroker(t)
	refused := map[string]string{"311": "4", "5": "134"} // Paho shows 3.1.1's return code 4 as the reason code of 5
	isRefusal := func(version, got string) bool { return got == refused[version] || got == "134" }
	type used struct{ version, id, user, bytes string }
	var all []used
	for _, version := range []string{"311", "5"} {
		for form, user := range loginUsers {
			id := form + "-" + version
			password := b.credential(form, version, id)
			if got := b.paho(port, version, id+"x", user, password); !isRefusal(version, got) {
				t.Errorf("%s as another client: %s", id, got)
			}
			if got := b.paho(port, version, id, user, password); got != "0 published" {
				t.Errorf("%s: %s", id, got)
			}
			if got := b.paho(port, version, id, user, password); !isRefusal(version, got) {
				t.Errorf("%s once more: %s", id, got)
			}
			all = append(all, used{version, id, user, password})
		}
	}
	b.kill()
	b.start()
	for _, u := range all {
		if got := b.paho(port, u.version, u.id, u.user, u.bytes); !isRefusal(u.version, got) {
			t.Errorf("%s after SIGKILL: %s", u.id, got)
		}
	}
	b.secrets()
	// The tap finds a password that is sent.
	if got := b.paho(port, "5", "open", "alice", hex.EncodeToString([]byte(loginPassword))); got != "0 published" {
		t.Errorf("login with a password: %s", got)
	}
	if !b.saw([]byte(loginPassword)) {
		t.Error("the tap records nothing")
	}
}

// secrets fails if anything that logs in was on the wire.
func (b *loginBroker) secrets() {
	b.t.Helper()
	key, err := os.ReadFile(filepath.Join(b.dir, "p2.key"))
	if err != nil {
		b.t.Fatal(err)
	}
	at := bytes.Index(key, []byte{0x20, 0x58, 0x20}) // k of a symmetric COSE_Key, 32 bytes
	if at < 0 {
		b.t.Fatal("the key of p2 is not found")
	}
	for name, secret := range map[string][]byte{"password": []byte(loginPassword), "pre-shared key": key[at+3 : at+35]} {
		if b.saw(secret) {
			b.t.Errorf("the %s was on the wire", name)
		}
	}
}

// TestCredentialsFromSealmq: pub and sub log in with each form on 3.1.1 and 5, as often as they connect.
func TestCredentialsFromSealmq(t *testing.T) {
	b, port := newLoginBroker(t)
	sealmq := ourTool(t)
	for _, version := range []string{"311", "5"} {
		for form, user := range loginUsers {
			t.Run(version+"/"+form, func(t *testing.T) {
				args := func(command, id string, more ...string) []string {
					base := []string{
						command, "-p", port, "-V", version, "-i", id, "-u", user, "-t", "login/" + version + form, "--keyring", "device",
						"--credential", form, "--credential-key", form, "--server-name", loginServer,
					}
					if form == "p1" {
						base = append(base, "--password-file", "password")
					}
					return append(base, more...)
				}
				for range 2 {
					runIn(t, b.dir, sealmq, args("pub", "pub-"+form, "-m", "hello", "-q", "1", "-r")...)
				}
				got := runIn(t, b.dir, sealmq, args("sub", "sub-"+form, "-C", "1", "--open", "raw")...)
				if string(got) != "hello\n" {
					t.Errorf("got %q", got)
				}
			})
		}
	}
	b.secrets()
}
