//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"testing"
)

// wiretap is what somebody on the way sees: it passes every byte on, both ways, and keeps it.
type wiretap struct {
	port int
	mu   sync.Mutex
	seen bytes.Buffer
}

func tap(t *testing.T, to int) *wiretap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wiretap{port: l.Addr().(*net.TCPAddr).Port}
	var passing sync.WaitGroup
	t.Cleanup(func() { l.Close(); passing.Wait() })
	passing.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", to))
			if err != nil {
				client.Close()
				return
			}
			passing.Go(func() { w.pass(server, client) })
			passing.Go(func() { w.pass(client, server) })
		}
	})
	return w
}

func (w *wiretap) pass(to, from net.Conn) {
	defer to.Close()
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		w.mu.Lock()
		w.seen.Write(b[:n])
		w.mu.Unlock()
		if _, werr := to.Write(b[:n]); err != nil || werr != nil {
			return
		}
	}
}

func (w *wiretap) saw(s string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.seen.Bytes(), []byte(s))
}

// TestCapture: on a plain connection whoever listens has the password, the topic, the Client Identifier and the payload; under
// TLS and TLS-PSK, in both versions, none of them, although the message arrives.
func TestCapture(t *testing.T) {
	s := startSecured(t)
	watch := s.watch()
	pub := need(t, "mosquitto_pub", mosquittoClients)
	ca := []string{"--cafile", s.file("ca.crt"), "-h", "localhost", "-u", "alice", "-P", "correct horse", "-t", "plant/capture-topic"}
	psk := []string{"-h", "localhost", "--psk-identity", "lamp", "--psk", pskKey, "-t", "lamps/lamp/capture-topic"}
	for _, c := range []struct {
		name    string
		port    int
		args    []string
		visible bool
	}{
		{"plain", s.local, []string{"-h", "localhost", "-u", "alice", "-P", "correct horse", "-t", "plant/capture-topic"}, true},
		{"TLS 1.2", s.tls, append(ca, "--tls-version", "tlsv1.2"), false},
		{"TLS 1.3", s.tls, append(ca, "--tls-version", "tlsv1.3"), false},
		{"PSK, TLS 1.2", s.tiny, append(psk, "--tls-version", "tlsv1.2"), false},
		{"PSK, TLS 1.3", s.tiny, append(psk, "--tls-version", "tlsv1.3"), false},
	} {
		w := tap(t, c.port)
		payload := "capture-payload of " + c.name
		mustRun(t, pub, append(c.args, "-p", fmt.Sprint(w.port), "-V", "mqttv5", "-q", "1", "-i", "capture-client", "-m", payload)...)
		watch.wait(t, payload)
		for _, secret := range []string{"capture-topic", "capture-client", "capture-payload", "correct horse"} {
			if c.visible != w.saw(secret) {
				t.Errorf("%s: %q on the wire: %v", c.name, secret, w.saw(secret))
			}
		}
		if w.seen.Len() < 100 {
			t.Errorf("%s: %d bytes were seen", c.name, w.seen.Len())
		}
	}
}
