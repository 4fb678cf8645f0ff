package node

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/psktls"
)

// TestWatch: what counts as a change, and when it is believed.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write := func(text string, age time.Duration) {
		t.Helper()
		at := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	write("one", time.Hour)
	var w watch
	w.begin([]string{path, filepath.Join(dir, "absent")})
	poll := func(want bool) {
		t.Helper()
		got := w.changed(time.Now())
		if wanted := []string{path}; want && !slices.Equal(got, wanted) || !want && len(got) > 0 {
			t.Errorf("changed: %v, want %v", got, want)
		}
	}
	poll(false)
	write("two!", time.Minute) // old enough to be whole
	poll(true)
	w.begin([]string{path})
	write("three", -time.Minute) // from the future, as on a server with another clock: two looks must agree
	poll(false)
	poll(true)
	w.failed(lookAll([]string{path}))
	poll(false) // tried, and not again
	write("four", time.Minute)
	poll(true)
	w.begin([]string{path})
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	poll(true)
	w.begin([]string{path})
	other := filepath.Join(dir, "other") // same size and time, renamed into place
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(other, []byte("4our"), 0o600), os.Chmod(other, 0o640), os.Chtimes(other, info.ModTime(), info.ModTime()), os.Rename(other, path)); err != nil {
		t.Fatal(err)
	}
	poll(true)
	w.begin([]string{path})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	poll(false)
	poll(true)
}

// logged counts the lines of a log.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), part)
}

// accountsConfig has accounts that need no password, so that a thousand logins cost nothing.
func accountsConfig(kept, other string) string {
	return `
version: 1
listeners: [{name: local, bind: "127.0.0.1:0"}]
auth:
  password: {file: passwd}
groups:
  kept: [` + kept + `]
  other: [` + other + `]
acl:
  - {who: "group:kept", allow: [subscribe, publish], topic: "u/%u"}
  - {who: "group:other", allow: [subscribe, publish], topic: "other/%u"}
limits: {clients: 2000}
storage: {engine: memory}
`
}

// TestEntitlement: under a thousand live connections accounts are removed, which the poll of the files notices, and then
// rules are changed. Within a second of each everybody who is not entitled any more is out, or no longer receives, and
// nobody else notices. A broken file in between changes nothing and is logged once.
func TestEntitlement(t *testing.T) {
	count := 1000
	if testing.Short() {
		count = 100
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		at := time.Now().Add(-time.Minute)
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	removed := func(i int) bool { return i%10 == 3 }
	demoted := func(i int) bool { return i%10 == 7 }
	var all, fewer, everybody, kept, other []string
	for i := range count {
		name := fmt.Sprintf("u%d", i)
		all = append(all, name+":passwordless\n")
		everybody = append(everybody, name)
		if !removed(i) {
			fewer = append(fewer, name+":passwordless\n")
		}
		if demoted(i) {
			other = append(other, name)
		} else {
			kept = append(kept, name)
		}
	}
	write("passwd", strings.Join(all, ""))
	write("sealmq.yaml", accountsConfig(strings.Join(everybody, ", "), "nobody"))
	plan, err := config.FromFlags(config.Flags{Config: filepath.Join(dir, "sealmq.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	log := new(logged)
	n := startNodeLog(t, plan, slog.NewTextHandler(log, nil))
	conns := make([]*wire, count)
	for i := range conns {
		conns[i] = dial(t, n, mqtt.V5)
		_ = conns[i].conn.SetDeadline(time.Now().Add(2 * time.Minute))
		conns[i].raw(rawConnect(5, fmt.Sprintf("c%d", i), []byte(everybody[i]), nil))
		if code, ok := conns[i].connack(); !ok || code != mqtt.Success {
			t.Fatalf("login %d: %v", i, code)
		}
		conns[i].send(&mqtt.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "u/" + everybody[i]}}})
		if p, err := conns[i].r.ReadPacket(); err != nil || p.(*mqtt.Suback).ReasonCodes[0] != mqtt.Success {
			t.Fatalf("subscription %d: %v %v", i, p, err)
		}
	}

	write("passwd", "u0\n") // broken
	n.Poll(plan, time.Now())
	n.Poll(plan, time.Now())
	if got := log.count("nothing was taken over"); got != 1 {
		t.Errorf("a broken file was logged %d times", got)
	}
	answers(t, conns[3])

	write("passwd", strings.Join(fewer, ""))
	before := time.Now()
	n.Poll(plan, time.Now())
	for i, c := range conns {
		if removed(i) {
			p, err := c.r.ReadPacket()
			if d, ok := p.(*mqtt.Disconnect); err != nil || !ok || d.ReasonCode != mqtt.NotAuthorized {
				t.Fatalf("removed account %d: %v %v", i, p, err)
			}
		}
	}
	if took := time.Since(before); took > time.Second {
		t.Errorf("the last removed account was out after %v", took)
	} else {
		t.Logf("%d connections: the last removed account was out after %v", count, took)
	}
	if log.count("changed files taken over") != 1 {
		t.Error("the log does not say that files were taken over")
	}

	write("sealmq.yaml", accountsConfig(strings.Join(kept, ", "), strings.Join(other, ", ")))
	next, _, err := plan.Reload()
	if err != nil {
		t.Fatal(err)
	}
	before = time.Now()
	if err := n.Reload(next); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(before); took > time.Second {
		t.Errorf("the rules were in force after %v", took)
	} else {
		t.Logf("%d connections: the rules were in force after %v", count, took)
	}
	for i, c := range conns {
		switch {
		case removed(i):
		case demoted(i):
			if s, err := n.Broker().Session(fmt.Sprintf("c%d", i)); err != nil || s.Subscriptions != 0 || !s.Online {
				t.Fatalf("subscriptions of %d: %+v %v", i, s, err)
			}
			answers(t, c)
		default:
			c.send(&mqtt.Publish{Topic: "u/" + everybody[i], Payload: []byte("x")})
			if p, err := c.r.ReadPacket(); err != nil || p.Type() != mqtt.TypePublish {
				t.Fatalf("entitled client %d: %v %v", i, p, err)
			}
		}
	}
	again := dial(t, n, mqtt.V5)
	again.raw(rawConnect(5, "c3", []byte("u3"), nil))
	if code, _ := again.connack(); code == mqtt.Success {
		t.Error("a removed account logs in")
	}
}

// answers shows that a connection lives.
func answers(t *testing.T, w *wire) {
	t.Helper()
	w.send(&mqtt.Pingreq{})
	if p, err := w.r.ReadPacket(); err != nil || p.Type() != mqtt.TypePingresp {
		t.Fatalf("ping: %v %v", p, err)
	}
}

// TestPresharedKeysAreWatched: a key that is replaced in the file ends its connections without a signal, another stays.
func TestPresharedKeysAreWatched(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "psk.txt")
	write := func(text string) {
		t.Helper()
		at := time.Now().Add(-time.Minute)
		if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.Chtimes(file, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	keyA, keyB := strings.Repeat("a1", 16), strings.Repeat("b2", 16)
	write("a:" + keyA + "\nb:" + keyB + "\n")
	yaml := filepath.Join(dir, "sealmq.yaml")
	if err := os.WriteFile(yaml, []byte(`
version: 1
listeners: [{name: psk, bind: "127.0.0.1:0", tls_psk: {file: psk.txt}}]
auth: {psk: true}
storage: {engine: memory}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	plan, err := config.FromFlags(config.Flags{Config: yaml})
	if err != nil {
		t.Fatal(err)
	}
	n := startNode(t, plan)
	a, b := dialPSK(t, n, "a", keyA), dialPSK(t, n, "b", keyB)
	write("a:" + keyA + "\nb:" + strings.Repeat("c3", 16) + "\n")
	n.Poll(plan, time.Now())
	rest, err := io.ReadAll(b.conn)
	if err != nil || !bytes.HasPrefix(rest, []byte{0xE0}) || rest[2] != byte(mqtt.NotAuthorized) {
		t.Errorf("the connection of a replaced key: % x %v", rest, err)
	}
	answers(t, a)
}

// TestAccessFileIsWatched: a changed access file of Mosquitto is in force without a signal, a broken one is not.
func TestAccessFileIsWatched(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		at := time.Now().Add(-time.Minute)
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	write("acl", "user a\ntopic readwrite x/#\n")
	write("passwd", "a:passwordless\n")
	write("sealmq.yaml", `
version: 1
listeners: [{name: local, bind: "127.0.0.1:0"}]
auth: {password: {file: passwd}}
acl: {mosquitto: acl}
storage: {engine: memory}
`)
	plan, err := config.FromFlags(config.Flags{Config: filepath.Join(dir, "sealmq.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	n := startNode(t, plan)
	w := dial(t, n, mqtt.V5)
	w.raw(rawConnect(5, "c", []byte("a"), nil))
	if code, ok := w.connack(); !ok || code != mqtt.Success {
		t.Fatal(code)
	}
	may := func(topic string) bool {
		t.Helper()
		w.send(&mqtt.Publish{Topic: topic, QoS: mqtt.AtLeastOnce, PacketID: 1})
		p, err := w.r.ReadPacket()
		ack, ok := p.(*mqtt.Puback)
		if err != nil || !ok {
			t.Fatalf("%v %v", p, err)
		}
		return ack.ReasonCode != mqtt.NotAuthorized
	}
	if !may("x/1") || may("y/1") {
		t.Error("the rules are not in force")
	}
	write("acl", "topik\n")
	n.Poll(plan, time.Now())
	if !may("x/1") || may("y/1") {
		t.Error("a broken file changed the rules")
	}
	write("acl", "user a\ntopic readwrite y/#\n")
	n.Poll(plan, time.Now())
	if may("x/1") || !may("y/1") {
		t.Error("the new rules are not in force")
	}
}

func dialPSK(t *testing.T, n *Node, id, key string) *wire {
	t.Helper()
	conn := pskConn(t, n.Addrs()[0].String(), id, key)
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	w := &wire{t, conn, mqtt.NewReader(conn, mqtt.V5, 0), mqtt.V5}
	w.raw(rawConnect(5, id, nil, nil))
	if code, ok := w.connack(); !ok || code != mqtt.Success {
		t.Fatalf("login of %s: %v", id, code)
	}
	return w
}

func pskConn(t *testing.T, address, id, key string) net.Conn {
	t.Helper()
	raw, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := hex.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	conn := psktls.Client(raw, &psktls.Config{Identity: []byte(id), Key: secret})
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
