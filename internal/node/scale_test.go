//go:build scale

package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/internal/store/pebblestore"
	"github.com/sealmq/sealmq/mqtt"
)

// How much TestScale stores.
const (
	scaleSessions = 1_000_000
	scaleRetained = 200_000
)

// What the restart may take. Beside other work the clock on the wall says little, so processor time counts then.
const (
	scaleTime   = 6 * time.Second
	scaleMemory = 900 << 20
)

// TestScale measures how long a broker takes to come back, and how much memory it needs, with a million durable sessions,
// each of a principal of its own with a subscription (every second one with a wildcard) and a queued message, and
// 200,000 Retained Messages: after an orderly end, and after SIGKILL. Afterwards one of the sessions gets its message. It is
// not part of the ordinary tests: go test -tags scale ./internal/node -run TestScale -v -timeout 30m
//
// SEALMQ_SCALE_DIR names a folder that is kept, for profiles.
func TestScale(t *testing.T) {
	dir := cmp.Or(os.Getenv("SEALMQ_SCALE_DIR"), t.TempDir())
	program := filepath.Join(dir, "sealmq")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/sealmq/sealmq/cmd/sealmq").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	data := filepath.Join(dir, "data")
	begin := time.Now()
	if _, err := os.Stat(data); errors.Is(err, fs.ErrNotExist) {
		scaleLoad(t, filepath.Join(data, storeFolder))
		t.Logf("filled in %v", time.Since(begin).Round(time.Millisecond))
	}
	awake := scaleID(scaleSessions / 2)
	files := map[string]string{
		"passwd": awake + ":passwordless\n",
		"sealmq.yaml": `version: 1
node: {data_dir: data}
listeners: [{name: local, bind: "127.0.0.1:0"}]
auth: {password: {file: passwd}}
acl: [{who: anyone, allow: all, topic: "#"}]
limits: {retained: {messages: 1000000, bytes: 1GiB}, queue_total: 4GiB}
`,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, after := range []string{"an orderly end", "SIGKILL", "SIGKILL again"} {
		p := scaleStart(t, program, filepath.Join(dir, "sealmq.yaml"), awake)
		processor, memory := p.processor(t), p.settled(t)
		t.Logf("after %s: first CONNACK %v after exec, with %v of processor time, resident memory %d MiB",
			after, p.took.Round(time.Millisecond), processor, memory>>20)
		if min(p.took, processor) > scaleTime {
			t.Errorf("the restart took %v and %v of processor time, the limit is %v", p.took, processor, scaleTime)
		}
		if memory > scaleMemory {
			t.Errorf("the broker takes %d MiB, the limit is %d MiB", memory>>20, scaleMemory>>20)
		}
		if after == "SIGKILL again" {
			p.receive(t, awake)
		}
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = p.cmd.Wait()
	}
}

func scaleID(i int) string { return fmt.Sprintf("device-%07d", i) }

// scaleLoad writes what a broker would have written.
func scaleLoad(t *testing.T, dir string) {
	s, err := pebblestore.Open(dir, pebblestore.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	slots := make(chan struct{}, 2000)
	commit := func(b *store.Batch) {
		slots <- struct{}{}
		s.Commit(b, func(err error) {
			if err != nil {
				t.Error(err)
			}
			<-slots
		})
	}
	now := time.Now().UnixNano()
	author := &identity.Principal{Method: "password", Name: "plant"}
	made := func(name string, payload int) *message.Message {
		p := mqtt.Publish{Topic: name, QoS: 1, Payload: make([]byte, payload)}
		for i := range p.Payload {
			p.Payload[i] = byte(i) ^ name[i%len(name)]
		}
		return message.New(&p, "plant", author, now)
	}
	for i := 1; i <= scaleSessions; i++ {
		id, name := store.SessionID(i), scaleID(i)
		filter, where := "plant/"+name+"/command", "plant/"+name+"/command"
		if i%2 == 1 {
			filter += "/#"
		}
		m := made(where, 100)
		commit(&store.Batch{Sync: true, Ops: []store.Op{
			{Kind: store.PutSession, Session: id, Meta: &store.Session{
				ClientID: name, Principal: identity.Principal{Method: "password", Name: name}, Version: mqtt.V5,
				Expiry: 30 * 86400, ExpiresAt: now + 30*86400*1e9 + int64(i), Created: now,
			}},
			{Kind: store.PutSubscription, Session: id, Subscription: &store.Subscription{Filter: filter, QoS: 1}},
			{Kind: store.PutBody, Body: store.BodyID(i), Message: m},
			{Kind: store.PutQueue, Session: id, Ord: 1, Pointer: store.Pointer{
				Body: store.BodyID(i), QoS: 1, Sole: true, Size: uint32(m.Size()),
			}},
		}})
	}
	for i := range scaleRetained {
		commit(&store.Batch{Sync: true, Ops: []store.Op{{
			Kind: store.PutRetained, Message: made("plant/"+scaleID(i)+"/state", 50),
		}}})
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// scaleProcess is a broker in a process of its own.
type scaleProcess struct {
	cmd  *exec.Cmd
	addr string
	took time.Duration // from exec to the first CONNACK
}

// scaleStart runs the broker and waits until it has answered a client.
func scaleStart(t *testing.T, program, file, id string) *scaleProcess {
	t.Helper()
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &scaleProcess{addr: probe.Addr().String()}
	_ = probe.Close()
	begin := time.Now()
	p.cmd = exec.Command(program, "serve", "--config", file, "--listen", "mqtt://"+p.addr)
	var log strings.Builder
	p.cmd.Stderr = &log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	for p.took == 0 {
		c, err := client.Dial(t.Context(), client.Config{Server: "mqtt://" + p.addr, ClientID: "probe", Username: id})
		switch {
		case err == nil:
			p.took = time.Since(begin)
			_ = c.Disconnect(t.Context(), &mqtt.Disconnect{})
		case time.Since(begin) > 5*time.Minute:
			t.Fatalf("no answer: %v\n%s", err, log.String())
		default:
			time.Sleep(5 * time.Millisecond) // polls a condition with a deadline
		}
	}
	return p
}

// processor is the processor time that the process has used, of all threads.
func (p *scaleProcess) processor(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Skip("this system does not show the processor time of a process")
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	var ticks time.Duration
	for _, f := range fields[11:13] { // user and system
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * time.Second / 100
}

// settled is the resident memory once the process has given back what it needed for its start only.
func (p *scaleProcess) settled(t *testing.T) int64 {
	t.Helper()
	least, before := p.memory(t), p.processor(t)
	for quiet := 0; quiet < 20; quiet++ {
		time.Sleep(250 * time.Millisecond) // a sample every now and then, until it was at rest and none lower for five seconds
		now, used := p.memory(t), p.processor(t)
		if now < least || used-before > 20*time.Millisecond {
			least, quiet = min(least, now), 0
		}
		before = used
	}
	return least
}

// memory is the resident memory of the process.
func (p *scaleProcess) memory(t *testing.T) (rss int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("this system does not show the memory of a process")
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if n, err := fmt.Sscanf(line, "VmRSS: %d kB", &rss); n == 1 && err == nil {
			return rss << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// receive resumes one of the sessions and expects its message.
func (p *scaleProcess) receive(t *testing.T, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got := make(chan string, 10)
	cfg := client.Config{
		Server: "mqtt://" + p.addr, ClientID: id, Username: id,
		Handler: func(m *client.Message) { got <- m.Topic },
	}
	cfg.Properties.SetSessionExpiry(3600)
	c, err := client.Dial(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case name := <-got:
		if name != "plant/"+id+"/command" {
			t.Errorf("message on %s", name)
		}
	case <-ctx.Done():
		t.Error("the queued message did not arrive")
	}
	_ = c.Disconnect(t.Context(), &mqtt.Disconnect{})
}
