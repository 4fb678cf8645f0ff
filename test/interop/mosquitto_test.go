//go:build interop

package interop

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

const mosquittoClients = "apt-get install mosquitto-clients"

// versions are the protocol versions as mosquitto's clients call them.
var versions = []string{"mqttv31", "mqttv311", "mqttv5"}

// mosquitto holds the two clients and the arguments that lead to the broker.
type mosquitto struct {
	pub, sub string
	broker   broker
}

func newMosquitto(t *testing.T) mosquitto {
	t.Helper()
	return mosquitto{
		pub:    need(t, "mosquitto_pub", mosquittoClients),
		sub:    need(t, "mosquitto_sub", mosquittoClients),
		broker: startBroker(t),
	}
}

func (m mosquitto) args(version string, more ...string) []string {
	return append([]string{"-h", "127.0.0.1", "-p", strconv.Itoa(m.broker.port), "-V", version}, more...)
}

// subscribe starts a subscriber that prints a line for each message and returns once SUBACK has arrived.
func (m mosquitto) subscribe(t *testing.T, version string, more ...string) *background {
	t.Helper()
	// Without stdbuf the client keeps its lines until it ends.
	stdbuf := need(t, "stdbuf", "apt-get install coreutils")
	args := append([]string{"-oL", m.sub}, m.args(version, append([]string{"-d", "-F", "message %t qos=%q retain=%r %p"}, more...)...)...)
	b := start(t, stdbuf, args...)
	b.wait(t, "Subscribed")
	return b
}

func TestMosquittoEveryQoS(t *testing.T) {
	m := newMosquitto(t)
	for _, publisher := range versions {
		for _, subscriber := range versions {
			for qos := range 3 {
				t.Run(fmt.Sprintf("%s to %s QoS %d", publisher, subscriber, qos), func(t *testing.T) {
					topic := fmt.Sprintf("interop/%s/%s/%d", publisher, subscriber, qos)
					q := strconv.Itoa(qos)
					s := m.subscribe(t, subscriber, "-q", q, "-t", topic+"/#")
					mustRun(t, m.pub, m.args(publisher, "-q", q, "-t", topic+"/a", "-m", "hello "+q)...)
					want := fmt.Sprintf("message %s/a qos=%d retain=0 hello %d", topic, qos, qos)
					if got := s.wait(t, "message "); got != want {
						t.Errorf("got %q, want %q", got, want)
					}
				})
			}
		}
	}
}

func TestMosquittoRetained(t *testing.T) {
	m := newMosquitto(t)
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			topic := "interop/retained/" + version
			mustRun(t, m.pub, m.args(version, "-q", "1", "-r", "-t", topic, "-m", "kept")...)
			got := mustRun(t, m.sub, m.args(version, "-q", "1", "-C", "1", "-F", "%r %p", "-t", topic)...)
			if got != "1 kept\n" {
				t.Errorf("got %q, want the retained message", got)
			}
			mustRun(t, m.pub, m.args(version, "-q", "1", "-r", "-n", "-t", topic)...)
			out, code := run(t, m.sub, m.args(version, "-W", "1", "-C", "1", "-t", topic)...)
			if code != 27 || out != "" {
				t.Errorf("after removal: exit code %d, output %q, want a time-out without a message", code, out)
			}
		})
	}
}

func TestMosquittoWill(t *testing.T) {
	m := newMosquitto(t)
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			topic := "interop/will/" + version
			watcher := m.subscribe(t, version, "-q", "1", "-t", topic)
			dying := m.subscribe(t, version, "-t", "interop/other", "--will-topic", topic, "--will-payload", "gone", "--will-qos", "1")
			if err := dying.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if got := watcher.wait(t, "message "); !strings.HasSuffix(got, "qos=1 retain=0 gone") {
				t.Errorf("got %q, want the will", got)
			}
		})
	}
}

func TestMosquittoStoredSession(t *testing.T) {
	m := newMosquitto(t)
	for _, version := range versions {
		for qos := 1; qos <= 2; qos++ {
			t.Run(fmt.Sprintf("%s QoS %d", version, qos), func(t *testing.T) {
				topic, q := fmt.Sprintf("interop/session/%s/%d", version, qos), strconv.Itoa(qos)
				session := []string{"-c", "-i", fmt.Sprintf("keeper-%s-%d", version, qos), "-q", q, "-t", topic}
				if version == "mqttv5" {
					session = append(session, "-x", "300")
				}
				mustRun(t, m.sub, m.args(version, append(session, "-E")...)...)
				for i := range 3 {
					mustRun(t, m.pub, m.args(version, "-q", q, "-t", topic, "-m", strconv.Itoa(i))...)
				}
				got := mustRun(t, m.sub, m.args(version, append(session, "-C", "3", "-F", "%q %p")...)...)
				if want := fmt.Sprintf("%[1]d 0\n%[1]d 1\n%[1]d 2\n", qos); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		}
	}
}

// TestMosquittoLargePayload sends more than a socket buffer holds.
func TestMosquittoLargePayload(t *testing.T) {
	m := newMosquitto(t)
	payload := strings.Repeat("0123456789abcdef", 2048)
	s := m.subscribe(t, "mqttv311", "-q", "1", "-t", "interop/large")
	mustRun(t, m.pub, m.args("mqttv5", "-q", "1", "-t", "interop/large", "-m", payload)...)
	if got := s.wait(t, "message "); !strings.HasSuffix(got, " "+payload) {
		t.Errorf("got %d bytes, want %d", len(got), len(payload))
	}
}
