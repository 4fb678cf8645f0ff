//go:build interop

package interop_test

import (
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/probe"
)

// TestProbeMosquitto: what the probe sees of mosquitto without a configuration, which lets this machine in.
func TestProbeMosquitto(t *testing.T) {
	r, err := probe.Run(t.Context(), probe.Options{Target: mosquitto(t), Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	e := &r.Endpoints[0]
	if !e.Reachable || !e.Loopback || !e.Anonymous || e.TLS != nil || len(e.Versions) != 3 || e.Limits == nil {
		t.Fatalf("%+v", e)
	}
	for _, v := range e.Versions {
		if !v.Accepted {
			t.Errorf("MQTT %s: %s", v.Name, v.Answer)
		}
	}
	for _, g := range e.Granted {
		if !g.Granted { // it lets strangers read everything, $SYS too
			t.Errorf("%s: %s", g.Filter, g.Answer)
		}
	}
	if l := e.Limits; l.MaximumPacketSize != 0 || l.TopicAliasMaximum != 10 || l.ReceiveMaximum != 20 || l.MaximumQoS != 2 {
		t.Errorf("%+v", l)
	}
}
