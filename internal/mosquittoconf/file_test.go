package mosquittoconf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sample = `# comment
pid_file /run/mosquitto.pid
allow_anonymous true
listener 1883
protocol mqtt
max_connections 10
listener 8883 0.0.0.0
certfile /etc/a b.crt
 keyfile key.pem
nonsense 1
connection plant
address broker.example:1883
topic # both 0
require_certificate true
auth_opt_x y
`

func TestParse(t *testing.T) {
	c := Parse("/etc/mosquitto/mosquitto.conf", []byte(sample))
	if len(c.Listeners) != 2 || len(c.Bridges) != 1 || len(c.Problems) != 0 {
		t.Fatalf("%d listeners, %d bridges, %v", len(c.Listeners), len(c.Bridges), c.Problems)
	}
	tls := &c.Listeners[1]
	if tls.Start.Args != "8883 0.0.0.0" || tls.Start.Line != 7 || len(tls.Start.Words()) != 2 {
		t.Errorf("second listener: %+v", tls.Start)
	}
	if d := tls.Get("certfile"); d == nil || d.Args != "/etc/a b.crt" || d.Place() != "/etc/mosquitto/mosquitto.conf:8" {
		t.Errorf("certfile: %+v", d)
	}
	if d := tls.Get("keyfile"); d == nil || c.Path(d) != "/etc/mosquitto/key.pem" {
		t.Errorf("keyfile: %+v", d)
	}
	if d := tls.Get("require_certificate"); d == nil || !d.True() { // a listener's directive behind a bridge is still its
		t.Errorf("require_certificate: %+v", d)
	}
	if len(c.Unknown) != 1 || c.Unknown[0].Name != "nonsense" || c.Unknown[0].Line != 10 {
		t.Errorf("unknown: %+v", c.Unknown)
	}
	if d := c.Security(tls, "allow_anonymous"); d == nil || d.Line != 3 {
		t.Errorf("allow_anonymous: %+v", d)
	}
	if c.Bridges[0].Get("address").Args != "broker.example:1883" || len(c.Bridges[0].All("topic")) != 1 {
		t.Errorf("bridge: %+v", c.Bridges[0])
	}
}

// TestPerListener: with per_listener_settings login and rules belong to the listener above, and those before the first
// listener to nobody else.
func TestPerListener(t *testing.T) {
	c := Parse("m.conf", []byte("per_listener_settings true\nallow_anonymous true\nlistener 1\nlistener 2\npassword_file p\n"))
	if d := c.Security(&c.Listeners[0], "allow_anonymous"); d != nil {
		t.Errorf("a global directive reached a listener: %+v", d)
	}
	if d := c.Security(&c.Listeners[1], "password_file"); d == nil {
		t.Error("the listener's directive is missing")
	}
	c = Parse("m.conf", []byte("listener 1\nlistener_allow_anonymous true\nallow_anonymous false\n"))
	if d := c.Security(&c.Listeners[0], "allow_anonymous"); d == nil || d.Name != "listener_allow_anonymous" {
		t.Errorf("version 2.1: %+v", d)
	}
}

func TestInclude(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"m.conf": "listener 1\ninclude_dir conf.d\nuser x\n", "conf.d/b.conf": "listener 3\n", "conf.d/a.conf": "listener 2\ninclude_dir .\n",
		"conf.d/README": "listener 9\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(filepath.Join(dir, "m.conf"))
	if err != nil {
		t.Fatal(err)
	}
	var ports []string
	for i := range c.Listeners {
		ports = append(ports, c.Listeners[i].Start.Args+" "+filepath.Base(c.Listeners[i].Start.File))
	}
	if strings.Join(ports, ",") != "1 m.conf,2 a.conf,3 b.conf" || c.Global.Get("user") == nil {
		t.Errorf("%v", ports)
	}
	if len(c.Problems) != 1 || !strings.Contains(c.Problems[0].Error(), "a.conf:2: include_dir within") {
		t.Errorf("%v", c.Problems)
	}
	if _, err := Load(filepath.Join(dir, "absent")); err == nil {
		t.Error("a file that is not there was read")
	}
	if _, err := Load(dir); err == nil {
		t.Error("a folder was read")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("topic # both\nlistener\n\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := Parse("m.conf", data)
		n := len(c.Global.Directives) + len(c.Default.Directives) + len(c.Listeners) + len(c.Bridges) + len(c.Unknown) + len(c.Problems)
		for i := range c.Listeners {
			n += len(c.Listeners[i].Directives)
		}
		for i := range c.Bridges {
			n += len(c.Bridges[i].Directives)
		}
		if n < len(c.Directives) {
			t.Fatalf("%d directives, %d of them in a section", len(c.Directives), n)
		}
	})
}
