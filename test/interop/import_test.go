//go:build interop

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// importCase is a configuration of Mosquitto with free ports in place of {1}, {2} and {3}. Watch logs in with what
// receives everything.
type importCase struct {
	name  string
	conf  string
	watch []string
	// same says that SealMQ also delivers all that Mosquitto does, except for clients that say another name than their
	// certificate or key.
	same bool
}

var importCases = []importCase{
	{
		name: "one login for all", watch: []string{"-p", "{1}", "-u", "dave", "-P", "dpass"}, same: true,
		conf: `allow_anonymous false
password_file passwd
acl_file acl
listener {1} 127.0.0.1
listener {2} 127.0.0.1
certfile server.crt
keyfile server.key
cafile ca.crt
require_certificate true
use_identity_as_username true
listener {3} 127.0.0.1
psk_hint plant
use_identity_as_username true
psk_file psk
`,
	},
	{
		name: "everybody on this machine", watch: []string{"-p", "{1}"}, same: true,
		conf: "listener {1} 127.0.0.1\nallow_anonymous true\n",
	},
	{
		name: "a login for each listener", watch: []string{"-p", "{2}", "-u", "dave", "-P", "dpass"},
		conf: `per_listener_settings true
listener {1} 127.0.0.1
allow_anonymous true
listener {2} 127.0.0.1
allow_anonymous false
password_file passwd
listener {3} 127.0.0.1
allow_anonymous false
psk_hint plant
psk_file psk
password_file passwd
`,
	},
}

// visitors are clients with everything and nothing, for each port.
func visitors(ports [3]int, dir string) [][]string {
	file := func(name string) string { return filepath.Join(dir, name) }
	var out [][]string
	for _, login := range [][]string{nil, {"-u", "dave", "-P", "dpass"}, {"-u", "dave", "-P", "wrong"}, {"-u", "eve", "-P", "dpass"}, {"-u", "pump-7"}} {
		for _, port := range ports {
			p := strconv.Itoa(port)
			out = append(
				out,
				append([]string{"-h", "127.0.0.1", "-p", p}, login...),
				append([]string{"-h", "localhost", "-p", p, "--cafile", file("ca.crt")}, login...),
				append([]string{"-h", "localhost", "-p", p, "--cafile", file("ca.crt"), "--cert", file("pump-7.crt"), "--key", file("pump-7.key")}, login...),
				append([]string{"-h", "127.0.0.1", "-p", p, "--psk-identity", "dev1", "--psk", "00112233445566778899aabbccddeeff"}, login...),
			)
		}
	}
	return out
}

// delivered lets every visitor publish to topics that rules are about, and returns what the watcher received.
func delivered(t *testing.T, watch []string, all [][]string) map[string]bool {
	t.Helper()
	args := append([]string{"-oL", "mosquitto_sub", "-h", "127.0.0.1", "-d", "-q", "1", "-t", "#", "-F", "message %t"}, watch...)
	w := start(t, "stdbuf", args...)
	w.wait(t, "Subscribed")
	got := map[string]bool{}
	for i, v := range all {
		for _, topic := range []string{"open/x", "devices/pump-7/x", "devices/dev1/x"} {
			name := fmt.Sprintf("%s/%d", topic, i)
			run(t, "mosquitto_pub", append(append([]string{}, v...), "-q", "1", "-i", fmt.Sprintf("v%d", i), "-t", name, "-m", "x")...)
		}
	}
	mustRun(t, "mosquitto_pub", append([]string{"-h", "127.0.0.1", "-q", "1", "-t", "end", "-m", "x"}, watch...)...)
	for {
		line := w.wait(t, "message ")
		name := strings.TrimPrefix(line, "message ")
		if name == "end" {
			return got
		}
		got[name] = true
	}
}

// TestImportAgainstMosquitto asks a real mosquitto, and then SealMQ with what it took over, the same questions: nothing
// that is delivered now was not delivered before.
func TestImportAgainstMosquitto(t *testing.T) {
	need(t, "mosquitto_pub", mosquittoClients)
	need(t, "stdbuf", "apt-get install coreutils")
	server := mosquittoBroker(t)
	if os.Getenv("SEALMQ_INTEROP_BROKER") != "" {
		t.Skip("skipped: the configuration is for our own program")
	}
	program := os.Getenv("SEALMQ_BIN")
	if program == "" {
		program = filepath.Join("..", "..", "bin", "sealmq")
	}
	me := "root" // otherwise Mosquitto becomes a user who cannot read these files
	if os.Geteuid() != 0 {
		me = os.Getenv("USER")
	}
	for _, c := range importCases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			mustRun(t, program, "ca", "init", dir, "--name", "test")
			mustRun(t, program, "ca", "issue", "server", "--profile", "server", "--san", "localhost", "--san", "127.0.0.1", "--dir", dir)
			mustRun(t, program, "ca", "issue", "pump-7", "--dir", dir)
			for name, text := range map[string]string{
				"passwd": "dave:$7$101$bZ3pSE6ozTQvyg69$W07/+atJwVhvqZFi2Nsg/9d0Z1FmZPboXzgNIcktNnKSqDNZKJQtBVEhjfeNwRLvMo0nuyMCobUG8PZyjxKkJQ==\n",
				"acl":    "user dave\ntopic readwrite #\npattern readwrite devices/%u/#\n",
				"psk":    "dev1:00112233445566778899aabbccddeeff\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ports := [3]int{freePort(t), freePort(t), freePort(t)}
			place := strings.NewReplacer("{1}", strconv.Itoa(ports[0]), "{2}", strconv.Itoa(ports[1]), "{3}", strconv.Itoa(ports[2]))
			conf := filepath.Join(dir, "mosquitto.conf")
			if err := os.WriteFile(conf, []byte("user "+me+"\n"+place.Replace(c.conf)), 0o600); err != nil {
				t.Fatal(err)
			}
			var watch []string
			for _, w := range c.watch {
				watch = append(watch, place.Replace(w))
			}
			all := visitors(ports, dir)

			cmd := exec.Command(server, "-c", conf)
			cmd.Dir = dir
			output := &synchronized{}
			cmd.Stdout, cmd.Stderr = output, output
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			exited := make(chan error, 1)
			go func() { exited <- cmd.Wait() }()
			waitForPort(t, ports[0], exited, output)
			before := delivered(t, watch, all)
			stop(t, cmd, exited)

			report := mustRun(t, program, "config", "import", conf, filepath.Join(dir, "new"))
			file := filepath.Join(dir, "new", "sealmq.yaml")
			yaml, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// All visitors have one address, and many of them are wrong.
			patient := strings.Replace(string(yaml), "\nauth:\n", "\nauth:\n  lockout: {failures: 1000, address_failures: 1000}\n", 1)
			if !strings.Contains(patient, "password:") {
				patient = string(yaml)
			}
			if err := os.WriteFile(file, []byte(patient), 0o600); err != nil {
				t.Fatal(err)
			}
			startServe(t, ports[0], "--config "+file)
			after := delivered(t, watch, all)
			wider, narrower := 0, 0
			for name := range after {
				if !before[name] {
					wider++
					t.Errorf("%s is delivered now and was not before", name)
				}
			}
			for name := range before {
				i, err := strconv.Atoi(name[strings.LastIndexByte(name, '/')+1:])
				if err != nil {
					t.Fatal(err)
				}
				v := strings.Join(all[i], " ")
				twoNames := strings.Contains(v, " -u ") && (strings.Contains(v, "--cert ") || strings.Contains(v, "--psk "))
				if !after[name] && !twoNames {
					narrower++
				}
			}
			if wider > 0 || len(after) == 0 || c.same && narrower > 0 {
				t.Errorf("before %d, now %d, %d of them new, %d gone\n%s", len(before), len(after), wider, narrower, report)
			}
			t.Logf("before %d messages, now %d", len(before), len(after))
		})
	}
}
