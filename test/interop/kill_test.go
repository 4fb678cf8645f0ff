//go:build interop

package interop

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// TestMosquittoKill: messages for a stored session that is away survive SIGKILL of the broker, which comes as soon as the
// publisher is through; so do a Retained Message and the Will of a client that was connected. QoS 2 ones come once, also when
// the broker is killed again before it was told that they arrived.
func TestMosquittoKill(t *testing.T) {
	for _, version := range versions {
		for qos := 1; qos <= 2; qos++ {
			t.Run(fmt.Sprintf("%s QoS %d", version, qos), func(t *testing.T) { mosquittoKill(t, version, strconv.Itoa(qos)) })
		}
	}
}

func mosquittoKill(t *testing.T, version, qos string) {
	m := newMosquitto(t)
	port := freePort(t)
	flags := "--dev --data " + t.TempDir() + " --listen mqtt://127.0.0.1:{port}"
	m.broker = startServe(t, port, flags)
	expiry := []string{}
	if version == "mqttv5" {
		expiry = []string{"-x", "300"}
	}
	session := func(id, topic string, more ...string) []string {
		args := append([]string{"-c", "-i", id, "-q", qos, "-t", topic}, expiry...)
		return m.args(version, append(args, more...)...)
	}
	mustRun(t, m.sub, session("away", "kill/#", "-E")...)
	dying := m.subscribe(t, version, "-t", "other", "--will-topic", "kill/will", "--will-payload", "gone", "--will-qos", qos)
	for i := range 3 {
		mustRun(t, m.pub, m.args(version, "-q", qos, "-t", "kill/a", "-m", strconv.Itoa(i))...)
	}
	mustRun(t, m.pub, m.args(version, "-q", qos, "-r", "-t", "kept", "-m", "kept")...)
	m.broker.kill()
	_ = dying.cmd.Process.Kill() // or it would come back and cancel its Will
	m.broker = startServe(t, port, flags)
	m.broker.kill()
	m.broker = startServe(t, port, flags)
	got := strings.Fields(mustRun(t, m.sub, session("away", "kill/#", "-C", "4", "-F", "%q:%p")...))
	want := []string{qos + ":0", qos + ":1", qos + ":2", qos + ":gone"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := mustRun(t, m.sub, m.args(version, "-q", qos, "-C", "1", "-F", "%r %p", "-t", "kept")...); got != "1 kept\n" {
		t.Errorf("got %q, want the retained message", got)
	}
	if qos == "1" {
		return // may come again, since acknowledgements need not be on disk
	}
	m.broker.kill()
	m.broker = startServe(t, port, flags)
	out, code := run(t, m.sub, session("away", "kill/#", "-W", "2", "-C", "1", "-F", "%q:%p")...)
	if code != 27 || out != "" {
		t.Errorf("after all were received: exit code %d, output %q, want a time-out without a message", code, out)
	}
}
