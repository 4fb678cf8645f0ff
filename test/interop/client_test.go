//go:build interop

// Package interop_test runs our parts against other implementations of MQTT. Each test skips, visibly, when the other
// side is not installed.
package interop_test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/mqtt"
)

// mosquitto starts the broker on a free port of loopback and returns its URL.
func mosquitto(t *testing.T) string {
	t.Helper()
	exe, err := exec.LookPath("mosquitto")
	if err != nil {
		exe, err = exec.LookPath("/usr/sbin/mosquitto")
	}
	if err != nil {
		t.Skip("skipped: mosquitto is not installed (apt install mosquitto)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, exe, "-p", strconv.Itoa(port))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait()
	})
	url := fmt.Sprintf("mqtt://127.0.0.1:%d", port)
	deadline, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		c, err := client.Dial(deadline, client.Config{Server: url, CleanStart: true})
		if err == nil {
			_ = c.Close(deadline)
			return url
		}
		if deadline.Err() != nil {
			t.Fatalf("mosquitto does not answer: %v", err)
		}
	}
}

func dial(t *testing.T, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func subscribe(t *testing.T, c *client.Client, filter string, q mqtt.QoS) {
	t.Helper()
	if _, err := c.Subscribe(t.Context(), mqtt.Subscription{Filter: filter, QoS: q}); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c *client.Client) *client.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m, err := c.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// forEach runs a test for each version and QoS.
func forEach(t *testing.T, f func(t *testing.T, url string, v mqtt.Version, q mqtt.QoS)) {
	url := mosquitto(t)
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		for q := mqtt.AtMostOnce; q <= mqtt.ExactlyOnce; q++ {
			t.Run(fmt.Sprintf("%v-qos%d", v, q), func(t *testing.T) { f(t, url, v, q) })
		}
	}
}

func TestClientMosquittoRoundTrip(t *testing.T) {
	forEach(t, func(t *testing.T, url string, v mqtt.Version, q mqtt.QoS) {
		const n = 500
		// Mosquitto 2.0.11 sends more QoS 2 messages than the Receive Maximum of an MQTT 5 client allows (mosquitto_sub 2.0.11
		// ends with a protocol error, too), so the client allows as many as there can be.
		sub := dial(t, client.Config{Server: url, Version: v, CleanStart: true, ReceiveMaximum: 65535})
		subscribe(t, sub, "round/+", q)
		pub := dial(t, client.Config{Server: url, Version: v, CleanStart: true, TopicAliases: true})
		for i := range n {
			m := &client.Message{Topic: "round/trip", Payload: []byte(strconv.Itoa(i)), QoS: q}
			if err := pub.PublishAsync(t.Context(), m, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := pub.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			m := receive(t, sub)
			if string(m.Payload) != strconv.Itoa(i) || m.QoS != q || m.Topic != "round/trip" {
				t.Fatalf("message %d is %q on %q with qos %d", i, m.Payload, m.Topic, m.QoS)
			}
		}
	})
}

func TestClientMosquittoRetained(t *testing.T) {
	forEach(t, func(t *testing.T, url string, v mqtt.Version, q mqtt.QoS) {
		name := fmt.Sprintf("kept/%d/%d", v, q)
		pub := dial(t, client.Config{Server: url, Version: v, CleanStart: true})
		if err := pub.Publish(t.Context(), &client.Message{Topic: name, Payload: []byte("r"), QoS: q, Retain: true}); err != nil {
			t.Fatal(err)
		}
		subscribe(t, pub, name, q)
		if m := receive(t, pub); !m.Retain || string(m.Payload) != "r" || m.QoS != q {
			t.Fatalf("got %+v", m)
		}
	})
}

func TestClientMosquittoWill(t *testing.T) {
	forEach(t, func(t *testing.T, url string, v mqtt.Version, q mqtt.QoS) {
		name := fmt.Sprintf("will/%d/%d", v, q)
		watch := dial(t, client.Config{Server: url, Version: v, CleanStart: true})
		subscribe(t, watch, name, q)
		will := &client.Message{Topic: name, Payload: []byte("gone"), QoS: q, Retain: true}
		polite := dial(t, client.Config{Server: url, Version: v, CleanStart: true, Will: will})
		if err := polite.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		dying := dial(t, client.Config{Server: url, Version: v, CleanStart: true, Will: will, KeepAlive: -1, NoReconnect: true, Dial: cutter(t)})
		<-dying.Done()
		if m := receive(t, watch); m.Topic != name || string(m.Payload) != "gone" || m.QoS != q {
			t.Fatalf("got %+v", m)
		}
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if m, err := watch.Receive(short); err == nil {
			t.Fatalf("a second will, of the client that said goodbye: %+v", m)
		}
	})
}

// TestClientMosquittoSession: a kept session holds the messages of its absence; QoS 0 ones may be lost.
func TestClientMosquittoSession(t *testing.T) {
	forEach(t, func(t *testing.T, url string, v mqtt.Version, q mqtt.QoS) {
		if q == mqtt.AtMostOnce {
			return // may be lost for an absent client: nothing to check
		}
		name := fmt.Sprintf("absent/%d/%d", v, q)
		cfg := client.Config{Server: url, Version: v, ClientID: fmt.Sprintf("absent-%d-%d", v, q)}
		if v == mqtt.V5 {
			cfg.Properties.SetSessionExpiry(60)
		}
		first := dial(t, cfg)
		subscribe(t, first, name, q)
		if err := first.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		pub := dial(t, client.Config{Server: url, Version: v, CleanStart: true})
		for i := range 10 {
			if err := pub.Publish(t.Context(), &client.Message{Topic: name, Payload: []byte{byte('0' + i)}, QoS: q}); err != nil {
				t.Fatal(err)
			}
		}
		second := dial(t, cfg)
		if v != mqtt.V31 && !second.Connack().SessionPresent {
			t.Fatal("the session is gone")
		}
		for i := range 10 {
			if m := receive(t, second); string(m.Payload) != strconv.Itoa(i) {
				t.Fatalf("message %d is %q", i, m.Payload)
			}
		}
	})
}
