//go:build interop

package interop

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// TestMosquittoACL asks a real mosquitto and our broker the same questions about the same access files: who receives what,
// and whose messages arrive. Ours may never be wider, and narrower only where the documentation says so.
func TestMosquittoACL(t *testing.T) {
	exe := mosquittoBroker(t)
	files := []string{
		"topic read a/#\nuser alice\ntopic readwrite a/#\ntopic deny a/secret\npattern readwrite p/%u/#\n",
		"user alice\ntopic write a/#\ntopic read a/b\nuser bob\ntopic a/b\ntopic deny a/#\n",
		"pattern deny p/x\npattern readwrite p/#\nuser bob\ntopic readwrite p/x\n",
		"pattern readwrite %c/#\npattern read p/%u\nuser alice\ntopic read #\n",
		"pattern deny p/%u/#\npattern read p/#\npattern write #\n",
		"user alice\ntopic deny #\npattern readwrite a/%u\npattern read a/b\n",
		"pattern readwrite %u/#\npattern read $SYS/broker/version\ntopic read $SYS/#\n",
		"user alice\ntopic read +/+\ntopic write +/x\ntopic read 100%u/x\npattern write 100%%u/x\n",
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for range 6 {
		files = append(files, randomACL(random))
	}
	seen := map[string]int{}
	for i, text := range files {
		t.Run(fmt.Sprint("file ", i), func(t *testing.T) {
			text := text + "\nuser probe\ntopic readwrite #\n"
			dir := t.TempDir()
			theirs := answers(t, startMosquittoACL(t, exe, dir, text))
			ours := answers(t, startOursACL(t, dir, text))
			for q, allowed := range ours {
				seen[fmt.Sprint(allowed, theirs[q])]++
				if allowed && !theirs[q] {
					t.Errorf("%+v: allowed by us only\n%s", q, text)
				}
				if !allowed && theirs[q] && !q.stricter() {
					t.Errorf("%+v: allowed by mosquitto only\n%s", q, text)
				}
			}
		})
	}
	t.Logf("ours and theirs: %v", seen)
	if seen["true true"] < 50 || seen["false false"] < 50 {
		t.Errorf("the files say too little: %v", seen)
	}
}

// question is one cell of the table.
type question struct {
	user, client string
	write        bool
	topic        string
}

// stricter are the documented differences: values with a / or at the begin a $ match no allowing pattern, and nobody
// publishes to topics that begin with $.
func (q question) stricter() bool {
	return strings.ContainsAny(q.user+q.client, "/$") || q.write && q.topic[0] == '$'
}

var (
	aclUsers   = []string{"", "alice", "bob", "a/b"}
	aclClients = []string{"c1", "p", "a/b", "x#", "x+y"}
	aclTopics  = []string{"a", "a/b", "a/secret", "a/alice", "a/x", "p/x", "p/alice", "p/alice/z", "p/a/b", "c1/x", "100%u/x", "bob/x"}
)

func randomACL(r *rand.Rand) string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	var b strings.Builder
	for range 1 + r.IntN(10) {
		word := pick("read ", "write ", "readwrite ", "deny ", "")
		switch r.IntN(5) {
		case 0:
			b.WriteString("user " + pick("alice", "bob", "a/b") + "\n")
		case 1, 2:
			b.WriteString("pattern " + word + pick("p/%u", "%c/#", "a/%u/#", "p/%u/#", "%u/x", "p/#", "#", "+/%c") + "\n")
		default:
			b.WriteString("topic " + word + pick("a", "a/#", "a/+", "#", "p/alice", "+/x", "p/#") + "\n")
		}
	}
	return b.String()
}

// mosquittoBroker finds the program, which Debian keeps outside of the path of users.
func mosquittoBroker(t *testing.T) string {
	t.Helper()
	exe, err := exec.LookPath("mosquitto")
	if err != nil {
		exe = need(t, "/usr/sbin/mosquitto", "apt-get install mosquitto")
	}
	return exe
}

func startMosquittoACL(t *testing.T, exe, dir, text string) int {
	t.Helper()
	port := freePort(t)
	config := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nacl_file %s\n", port, writeIn(t, dir, "acl", text))
	if os.Getuid() == 0 {
		config = "user root\n" + config // the folder is for its owner only
	}
	cmd := exec.Command(exe, "-c", writeIn(t, dir, "mosquitto.conf", config))
	output := &synchronized{}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() { stop(t, cmd, exited) })
	waitForPort(t, port, exited, output)
	return port
}

func startOursACL(t *testing.T, dir, text string) int {
	t.Helper()
	port := freePort(t)
	writeIn(t, dir, "acl.txt", text)
	writeIn(t, dir, "passwd", "alice:passwordless\nbob:passwordless\na/b:passwordless\nprobe:passwordless\n")
	config := fmt.Sprintf(`version: 1
node: {data_dir: data}
listeners: [{name: local, bind: "127.0.0.1:%d"}]
auth: {anonymous: true, password: {file: passwd}}
acl: {mosquitto: acl.txt}
`, port)
	return startServe(t, port, "--config "+writeIn(t, dir, "sealmq.yaml", config)).port
}

func writeIn(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// answers asks a broker every question of the table.
func answers(t *testing.T, port int) map[question]bool {
	t.Helper()
	got := map[question]bool{}
	probe := connectTo(t, port, "probe", "probe")
	if probe == nil {
		t.Fatal("the probe is not let in")
	}
	probe.subscribe("#")
	for _, user := range aclUsers {
		for _, client := range aclClients {
			for _, topic := range aclTopics {
				got[question{user, client, true, topic}], got[question{user, client, false, topic}] = false, false
			}
			c := connectTo(t, port, user, client)
			if c == nil {
				continue // not let in: nothing is allowed
			}
			c.subscribe("#")
			probe.publish("read")
			for _, topic := range c.arrived("read") {
				got[question{user, client, false, topic}] = true
			}
			c.publish("write")
			for _, topic := range probe.arrived("write") {
				got[question{user, client, true, topic}] = true
			}
			_ = c.conn.Close()
		}
	}
	return got
}

// asker is a connection that asks one thing after the other.
type asker struct {
	t    *testing.T
	conn net.Conn
	r    *mqtt.Reader
	pid  mqtt.PacketID
	held []*mqtt.Publish
}

// connectTo returns nil when the broker refuses.
func connectTo(t *testing.T, port int, user, client string) *asker {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	a := &asker{t: t, conn: conn, r: mqtt.NewReader(conn, mqtt.V5, 0)}
	a.send(&mqtt.Connect{ProtocolVersion: mqtt.V5, CleanStart: true, ClientID: client, HasUsername: user != "", Username: user})
	p, err := a.r.ReadPacket()
	if err != nil {
		return nil
	}
	if ack, ok := p.(*mqtt.Connack); !ok || ack.ReasonCode.IsError() {
		return nil
	}
	return a
}

func (a *asker) send(p mqtt.Packet) {
	a.t.Helper()
	b, err := p.Append(nil, mqtt.V5)
	if err == nil {
		_, err = a.conn.Write(b)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// until reads up to a packet of a type, and keeps the messages before it.
func (a *asker) until(kind mqtt.PacketType) mqtt.Packet {
	a.t.Helper()
	for {
		p, err := a.r.ReadPacket()
		if err != nil {
			a.t.Fatalf("waiting for %v: %v", kind, err)
		}
		if m, ok := p.(*mqtt.Publish); ok {
			copied := *m
			copied.Payload = append([]byte(nil), m.Payload...)
			copied.Topic = strings.Clone(m.Topic)
			a.held = append(a.held, &copied)
		}
		if p.Type() == kind {
			return p
		}
	}
}

func (a *asker) subscribe(filter string) {
	a.t.Helper()
	a.pid++
	a.send(&mqtt.Subscribe{PacketID: a.pid, Subscriptions: []mqtt.Subscription{{Filter: filter}}})
	if ack := a.until(mqtt.TypeSuback).(*mqtt.Suback); ack.ReasonCodes[0].IsError() {
		a.t.Errorf("a subscription is refused: %v", ack.ReasonCodes)
	}
}

// publish publishes to every topic and returns when the broker has acknowledged, whatever it says.
func (a *asker) publish(payload string) {
	a.t.Helper()
	var b []byte
	for _, topic := range aclTopics {
		a.pid++
		var err error
		b, err = (&mqtt.Publish{Topic: topic, Payload: []byte(payload), QoS: 1, PacketID: a.pid}).Append(b, mqtt.V5)
		if err != nil {
			a.t.Fatal(err)
		}
	}
	if _, err := a.conn.Write(b); err != nil {
		a.t.Fatal(err)
	}
	for range aclTopics {
		a.until(mqtt.TypePuback)
	}
}

// arrived returns the topics of the messages with a payload that have come, and forgets all.
func (a *asker) arrived(payload string) (topics []string) {
	a.t.Helper()
	a.send(&mqtt.Pingreq{})
	a.until(mqtt.TypePingresp)
	for _, m := range a.held {
		if string(m.Payload) == payload {
			topics = append(topics, m.Topic)
		}
	}
	a.held = nil
	return topics
}
