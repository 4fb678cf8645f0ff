package translation

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/mosquittoconf"
)

// home is a folder with every file that a configuration of these tests names.
func home(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		// One round of PBKDF2: the password is "dpass".
		"passwd": "dave:$7$101$bZ3pSE6ozTQvyg69$W07/+atJwVhvqZFi2Nsg/9d0Z1FmZPboXzgNIcktNnKSqDNZKJQtBVEhjfeNwRLvMo0nuyMCobUG8PZyjxKkJQ==\n",
		"acl":    "user dave\ntopic readwrite a/#\n", "psk.txt": "dev1:00112233445566778899aabbccddeeff\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// translate also reads the result as serve would.
func translate(t testing.TB, dir, text string, o Options) (*Result, *config.Config) {
	t.Helper()
	r := Translate(mosquittoconf.Parse(filepath.Join(dir, "mosquitto.conf"), []byte(text)), o)
	c, err := config.Parse(filepath.Join(dir, "sealmq.yaml"), []byte(r.YAML))
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, text, r.YAML)
	}
	return r, c
}

// verdicts lists them in a row of letters.
func verdicts(r *Result) string {
	var b strings.Builder
	for _, l := range r.Lines {
		b.WriteByte(string(l.Verdict)[0])
	}
	return b.String()
}

func names(c *config.Config) string {
	var out []string
	for i := range c.Listeners {
		out = append(out, c.Listeners[i].Name+"="+c.Listeners[i].Address())
	}
	return strings.Join(out, " ")
}

// TestTranslate: configurations as they are found, with the verdict of each line (kept, tightened, refused) and the
// listeners that are left.
func TestTranslate(t *testing.T) {
	dir := home(t)
	for name, c := range map[string]struct {
		text      string
		o         Options
		verdicts  string
		listeners string
		anonymous bool
		check     func(*config.Config) bool
	}{
		"of a distribution": {
			text: "# settings\npid_file /run/mosquitto.pid\npersistence true\npersistence_location /var/lib/m/\nlog_dest file /var/log/m.log\n", verdicts: "rtrr",
			listeners: "local=127.0.0.1:1883", anonymous: true,
		},
		"nothing": {text: "", verdicts: "", listeners: "local=127.0.0.1:1883", anonymous: true},
		"home automation": {
			text: "listener 1883\nallow_anonymous false\npassword_file passwd\n", verdicts: "tkk", listeners: "port-1883=127.0.0.1:1883",
			check: func(c *config.Config) bool { return c.Auth.Password.File != "" },
		},
		"home automation, open": {
			text: "listener 1883\nallow_anonymous false\npassword_file passwd\n", o: Options{AllowPlaintext: true}, verdicts: "kkk",
			listeners: "port-1883=[::]:1883", check: func(c *config.Config) bool { return c.Listeners[0].AllowPlaintext && c.Listeners[0].AllowClearPassword },
		},
		"open to everybody": {
			text: "listener 1883\nallow_anonymous true\n", o: Options{AllowPlaintext: true}, verdicts: "tt", listeners: "port-1883=127.0.0.1:1883", anonymous: true,
		},
		"deprecated names": {
			text: "port 1883\nbind_address 127.0.0.1\nmax_connections -1\nmessage_size_limit 100\nretry_interval 20\n", verdicts: "kktkr",
			listeners: "port-1883=127.0.0.1:1883", check: func(c *config.Config) bool { return c.Limits.Packet == 100+topicRoom },
		},
		"mutual TLS": {
			text:     "listener 8883\ncertfile s.crt\nkeyfile s.key\ncafile ca.crt\ncrlfile ca.crl\nrequire_certificate true\nuse_identity_as_username true\nacl_file acl\n",
			verdicts: "kkkktkkk", listeners: "port-8883=[::]:8883",
			check: func(c *config.Config) bool {
				l := &c.Listeners[0]
				return c.Auth.Certificate.Identity == "{cn}" && l.ClientCert.Mode == config.RequireCert && l.ClientCert.CRL != "" && c.ACL.Mosquitto != "" && l.TLS.MinVersion == config.TLS12
			},
		},
		"TLS without client certificates": {
			text: "listener 8883\ncertfile s.crt\nkeyfile s.key\ncafile ca.crt\ntls_version tlsv1.3\npassword_file passwd\n", verdicts: "kkkrkk",
			listeners: "port-8883=[::]:8883", check: func(c *config.Config) bool {
				return c.Listeners[0].TLS.MinVersion == config.TLS13 && c.Listeners[0].ClientCert.CA == ""
			},
		},
		"pre-shared keys": {
			text: "listener 8886\npsk_hint h\npsk_file psk.txt\nuse_identity_as_username true\n", verdicts: "kkkk", listeners: "port-8886=[::]:8886",
			check: func(c *config.Config) bool { return c.Auth.PSK && c.Listeners[0].PSK.File != "" },
		},
		"pre-shared keys and a password": {
			text: "listener 8886\npsk_hint h\npsk_file psk.txt\npassword_file passwd\n", verdicts: "kkkk", listeners: "port-8886=[::]:8886",
			check: func(c *config.Config) bool { return !c.Auth.PSK },
		},
		"version 2.1": {
			text:     "listener 1883 127.0.0.1\nlistener_allow_anonymous false\nglobal_plugin /usr/lib/mosquitto_password_file.so\nplugin_opt_password_file passwd\nplugin /usr/lib/mosquitto_acl_file.so\nplugin_opt_acl_file acl\nplugin /usr/lib/mosquitto_persist_sqlite.so\n",
			verdicts: "kkkkkkt", listeners: "port-1883=127.0.0.1:1883",
			check: func(c *config.Config) bool { return c.Auth.Password.File != "" && c.ACL.Mosquitto != "" },
		},
		"a plug-in that decides": {
			text: "listener 1883 127.0.0.1\npassword_file passwd\nplugin /usr/lib/mosquitto_dynamic_security.so\nplugin_opt_config_file x.json\n", verdicts: "kkrr",
			listeners: "port-1883=127.0.0.1:1883", check: nothingAllowed,
		},
		"client identifiers": {
			text: "listener 1883 127.0.0.1\nclientid_prefixes dev-\npassword_file passwd\n", verdicts: "krk", listeners: "port-1883=127.0.0.1:1883", check: nothingAllowed,
		},
		"rules that are gone": {
			text: "listener 1883 127.0.0.1\nacl_file absent\npassword_file passwd\n", verdicts: "krk", listeners: "port-1883=127.0.0.1:1883", check: nothingAllowed,
		},
		"accounts that are gone": {
			text: "listener 1883 127.0.0.1\npassword_file absent\n", verdicts: "kr", listeners: "port-1883=127.0.0.1:1883",
			check: func(c *config.Config) bool { return !c.Auth.HasLogin() },
		},
		"listeners that cannot be": {
			text:      "listener 1\nmount_point a/\nlistener 2\nbind_interface eth0\nlistener 3 broker.example\nlistener 4\nsocket_domain ipv6\nlistener 5\nprotocol http_api\nlistener 6\ncertfile x\nlistener 7\nenable_proxy_protocol true\nlistener 0 /run/m.sock\nlistener 8 127.0.0.1\n",
			verdicts:  "rrrrrrrrrrrrrkk",
			listeners: "unix=unix:/run/m.sock port-8=127.0.0.1:8",
		},
		"the same port twice": {
			text: "listener 8883 192.0.2.1\ncertfile s\nkeyfile k\nlistener 8883\ncertfile s\nkeyfile k\n", verdicts: "kkkrrr", listeners: "port-8883=192.0.2.1:8883",
		},
		"WebSocket": {
			text: "listener 9001 127.0.0.1\nprotocol websockets\nwebsockets_origin https://plant.example\n", verdicts: "ktk", listeners: "port-9001=127.0.0.1:9001",
			check: func(c *config.Config) bool {
				return c.Listeners[0].WebSocket.Path == "/mqtt" && len(c.Listeners[0].WebSocket.Origins) == 1
			},
		},
		"limits": {
			text:     "max_inflight_messages 0\nmax_queued_messages 50\nmax_queued_bytes 100\nmax_packet_size 20000000\nmax_keepalive 100\npersistent_client_expiration 2w\nretain_available false\nsys_interval 0\nqueue_qos0_messages true\nlog_type all\npersistence false\n",
			verdicts: "kkkkkkktkkk", listeners: "local=127.0.0.1:1883", anonymous: true,
			check: func(c *config.Config) bool {
				l := &c.Limits
				return l.Inflight == 65535 && l.Queue.Messages == 50 && l.Packet == 20000000 && l.Queue.Bytes == 20000000 && l.UnackedV3.Bytes == 20000000 &&
					l.Retained.Messages == 0 && l.Queue.QoS0Offline && c.Log.Level == config.LevelDebug && c.Storage.Engine == config.EngineMemory
			},
		},
		"bridge": {
			text: "listener 1883 127.0.0.1\nconnection b\naddress 192.0.2.1\nremote_password geheim\ntopic # both\n", verdicts: "krrrr", listeners: "port-1883=127.0.0.1:1883",
		},
		"nonsense": {text: "lisener 1883\nmax_packet_size many\n", verdicts: "rr", listeners: "local=127.0.0.1:1883", anonymous: true},
		"one listener per login": {
			text: "per_listener_settings true\nlistener 1883 127.0.0.1\nallow_anonymous true\nlistener 8883\ncertfile s\nkeyfile k\npassword_file passwd\n", verdicts: "kktkkkk",
			listeners: "port-1883=127.0.0.1:1883 port-8883=[::]:8883",
		},
		"accounts of two kinds": {
			text:      "per_listener_settings true\nlistener 1883 127.0.0.1\npassword_file passwd\nlistener 1884 127.0.0.1\npassword_file other\nlistener 1885 127.0.0.1\n",
			verdicts:  "kkkrrr",
			listeners: "port-1883=127.0.0.1:1883",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Usable = func(f Copy) error {
				if _, err := os.Stat(f.From); err != nil {
					return errors.New("no such file")
				}
				return nil
			}
			r, got := translate(t, dir, c.text, c.o)
			if v := verdicts(r); v != c.verdicts {
				t.Errorf("verdicts %s, want %s\n%s", v, c.verdicts, describe(r))
			}
			if n := names(got); n != c.listeners || got.Auth.Anonymous != c.anonymous {
				t.Errorf("listeners %s, anonymous %v\n%s\n%s", n, got.Auth.Anonymous, r.YAML, describe(r))
			}
			if c.check != nil && !c.check(got) {
				t.Errorf("got\n%s", r.YAML)
			}
			if strings.Contains(describe(r)+r.YAML, "geheim") {
				t.Error("a secret is shown")
			}
		})
	}
}

func nothingAllowed(c *config.Config) bool { return c.ACL.Rules != nil && len(c.ACL.Rules) == 0 }

func describe(r *Result) string {
	var b strings.Builder
	for _, l := range r.Lines {
		fmt.Fprintf(&b, "%s %d %s: %s\n", l.Verdict, l.Line, l.Text, l.Why)
	}
	return b.String()
}

// TestEveryDirective: whatever stands alone in a file gets one verdict with a reason, and the result is valid.
func TestEveryDirective(t *testing.T) {
	dir := home(t)
	all := mosquittoconf.Names()
	slices.Sort(all)
	for _, name := range all {
		for _, value := range []string{"", "true", "false", "1", "0", "-1", "x", "tlsv1.2", "1883 ::1"} {
			for _, before := range []string{"", "listener 1883\n", "connection b\n"} {
				text := before + name + " " + value + "\n"
				r, _ := translate(t, dir, text, Options{AllowPlaintext: true})
				if len(r.Lines) != strings.Count(text, "\n") {
					t.Errorf("%q: %d lines", text, len(r.Lines))
				}
				for _, l := range r.Lines {
					if l.Why == "" || l.Verdict == "" {
						t.Errorf("%q: %+v", text, l)
					}
				}
			}
		}
	}
}

// FuzzTranslate: any text gives a valid configuration, and one verdict for each of its directives.
func FuzzTranslate(f *testing.F) {
	f.Add("listener 1883\nlistener 1883 127.0.0.1\npassword_file passwd\n")
	f.Add("per_listener_settings true\nlistener 1\nmax_connections 5\nglobal_max_clients 2\n")
	f.Add("max_packet_size 300\nmax_queued_bytes 99999999999\nlistener 0 /x\n")
	f.Add("max_packet_size 70000000\nretain_available false\n")
	f.Add("listener 8883 fe80::1%eth0\ncertfile \"\nkeyfile \\\n")
	dir := home(f)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 10_000 {
			return
		}
		conf := mosquittoconf.Parse(filepath.Join(dir, "mosquitto.conf"), []byte(text))
		r := Translate(conf, Options{AllowPlaintext: true})
		if len(r.Lines) != len(conf.Directives) {
			t.Errorf("%d directives, %d lines", len(conf.Directives), len(r.Lines))
		}
		if _, err := config.Parse(filepath.Join(dir, "sealmq.yaml"), []byte(r.YAML)); err != nil {
			t.Errorf("%v\n%s", err, r.YAML)
		}
	})
}
