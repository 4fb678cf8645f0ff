package node

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/mqtt"
)

// extreme writes a file with every limit at one end of its range, and its plan. Keys that would contradict others there
// take the nearest value that does not.
func extreme(t *testing.T, end int) *config.Plan {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("version: 1\nauth: {anonymous: true}\nacl: {publish: {allow: [\"#\"]}, subscribe: {allow: [\"#\"]}}\n")
	b.WriteString("listeners: [{name: local, bind: \"127.0.0.1:0\"}]\nstorage: {engine: memory}\n")
	values := map[string]string{}
	for _, k := range config.Keys() {
		bounds := strings.Split(k.Range, " to ")
		if !strings.HasPrefix(k.Path, "limits.") || len(bounds) != 2 {
			continue
		}
		v := bounds[end]
		switch {
		case v == "256B":
			v = "1KiB" // everything must have room for one packet, and the client below needs so much
		case end == 0 && k.Path == "limits.retained.messages":
			v = "1" // 0 turns them off, and then their bytes have no effect
		case end == 0 && k.Path == "limits.connect_timeout":
			v = "10s" // a busy machine may need it
		case end == 1 && strings.HasSuffix(k.Path, ".burst"):
			continue // without effect beside an unlimited rate, and refused for it
		}
		values[k.Path] = v
	}
	if len(values) < 25 {
		t.Fatalf("only %d limits found", len(values))
	}
	write(&b, "limits", values, 0)
	file := filepath.Join(t.TempDir(), "sealmq.yaml")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	plan, err := config.FromFlags(config.Flags{Config: file})
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	return plan
}

// write prints the keys below a section as nested YAML.
func write(b *bytes.Buffer, section string, values map[string]string, depth int) {
	name := section[strings.LastIndexByte(section, '.')+1:]
	fmt.Fprintf(b, "%s%s:\n", strings.Repeat("  ", depth), name)
	below := map[string]bool{}
	for path, v := range values {
		rest, ok := strings.CutPrefix(path, section+".")
		if !ok {
			continue
		}
		if key, _, nested := strings.Cut(rest, "."); nested {
			below[section+"."+key] = true
		} else {
			fmt.Fprintf(b, "%s%s: %s\n", strings.Repeat("  ", depth+1), key, v)
		}
	}
	for s := range below {
		write(b, s, values, depth+1)
	}
}

// TestAttack55_Extremes: with every limit at an end of its range nothing overflows, divides by zero or hangs: the broker
// starts and carries a message.
func TestAttack55_Extremes(t *testing.T) {
	for end, name := range []string{"lowest", "highest"} {
		t.Run(name, func(t *testing.T) {
			plan := extreme(t, end)
			v := reflect.ValueOf(settings(plan))
			for i := range v.NumField() {
				f, field := v.Field(i), v.Type().Field(i).Name
				switch {
				case f.CanInt() && f.Int() < 0, f.CanFloat() && (f.Float() < 0 || math.IsInf(f.Float(), 0) || math.IsNaN(f.Float())):
					t.Errorf("%s is %v", field, f)
				case field == "MaxClients" || field == "MaxPacket" || field == "PublishBurst" || field == "SendQuota" || field == "ReceiveMaximum":
					if f.IsZero() {
						t.Errorf("%s is 0", field)
					}
				}
			}
			n, err := Start(t.Context(), plan, slog.New(slog.DiscardHandler), "test")
			if err != nil {
				t.Fatal(err)
			}
			defer stop(t, n)
			c, err := client.Dial(t.Context(), client.Config{Server: "mqtt://" + n.Addrs()[0].(*net.TCPAddr).String()})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close(t.Context()) //nolint:errcheck // test
			if _, err := c.Subscribe(t.Context(), mqtt.Subscription{Filter: "a", QoS: 1}); err != nil {
				t.Fatal(err)
			}
			if err := c.Publish(t.Context(), &client.Message{Topic: "a", Payload: []byte("x"), QoS: 1}); err != nil {
				t.Fatal(err)
			}
			if m, err := c.Receive(t.Context()); err != nil || string(m.Payload) != "x" {
				t.Errorf("%+v %v", m, err)
			}
		})
	}
}

// TestUnlimited: the word is never a large number by accident.
func TestUnlimited(t *testing.T) {
	s := settings(extreme(t, 1))
	for name, got := range map[string]uint32{
		"session expiry": s.SessionExpiryMax, "session expiry of MQTT 3": s.SessionExpiryV3,
		"will delay": s.WillDelayMax, "message expiry": s.MessageExpiryMax,
	} {
		if got != math.MaxUint32 {
			t.Errorf("%s: %d", name, got)
		}
	}
	if s.KeepAliveMax != 0 || s.PublishRate != 0 || s.PublishBytesRate != 0 {
		t.Errorf("keep alive %d, rates %v and %v", s.KeepAliveMax, s.PublishRate, s.PublishBytesRate)
	}
}
