//go:build unix && !race

package docs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sealmq/sealmq/internal/repotree"
)

// page is what the commands of a page presume.
type page struct {
	checkout string            // the commands run in this folder of a checkout; "" for an empty folder
	files    map[string]string // what lies in it before the first command
	before   []string          // commands that have been run before
	places   []string          // pairs: a path, an address or a name of the page, and what it is in the test
}

// devBroker is a broker that takes everybody on this machine.
const devBroker = "sealmq serve --dev --listen mqtt://127.0.0.1:0"

// firstStart are the ports of a first start, which are others where these are taken, and the names of the machine.
var firstStart = []string{
	":1883 (local", ":… (local", ":8883 (tls", ":… (tls", ":8886 (psk", ":… (psk", "-p 8883", "-p …",
	"pump-house, localhost", "…localhost", "pump-house, pump-house.local, localhost", "…localhost", "::1,", "::1…,", "192.0.2.7, and", "and",
	"/home/eve", "…",
}

// plant is a broker with a user, maria, who may do everything, and a topic for everybody on this machine.
const (
	plant = `version: 1
listeners:
  - {name: local, bind: "127.0.0.1:0"}
auth: {anonymous: true, password: {file: passwd}}
acl:
  - {who: "user:maria", allow: all, topic: "#"}
  - {who: anyone, allow: [publish, subscribe], topic: "test/#"}
`
	addMaria   = "sealmq passwd add passwd maria --password-file password.txt"
	servePlant = "sealmq serve --config sealmq.yaml"
	asMaria    = " -u maria --password-file password.txt"
)

var plantFiles = map[string]string{"sealmq.yaml": plant, "password.txt": "correct horse battery\n"}

// system are the folders of a machine, which a test has in its own.
var system = []string{
	"/etc/", "$WORK/etc/", "/var/lib/", "$WORK/var/lib/", "/backup/", "$WORK/backup/", "/usr/bin/", "$WORK/usr/bin/", "/usr/local/", "$WORK/usr/local/",
	"/usr/share/", "$WORK/usr/share/",
}

// paho is what the examples with Paho's clients presume.
var paho = page{checkout: "examples/paho-go", before: []string{devBroker}, places: []string{"127.0.0.1:1883", "127.0.0.1:$SEALMQ_PORT"}}

// pages has a line for each page whose commands presume something.
var pages = map[string]page{
	"README.md": {
		checkout: ".",
		files:    map[string]string{"mosquitto.conf": mosquittoConf, "passwd": mosquittoPasswd},
		places:   firstStart,
	},
	"docs/guide/protect.md": {before: []string{devBroker}},
	"docs/guide/costs.md":   {before: []string{devBroker}, places: []string{"mqtt://localhost", "mqtt://127.0.0.1:$SEALMQ_PORT"}},
	"docs/performance.md": {
		checkout: ".", before: []string{devBroker},
		places: []string{"127.0.0.1:1883", "127.0.0.1:$SEALMQ_PORT", "-pid PID", "-pid $BROKER_PID"},
	},
	"examples/paho-go/v3/main.go": paho,
	"examples/paho-go/v5/main.go": paho,
	"packaging/Containerfile":     {checkout: "."},
	"docs/operate/admin.md": {
		files: plantFiles,
		before: []string{
			addMaria, servePlant, "sealmq pub -t plant/temp -m 21.5 -r -q 1" + asMaria,
			"sealmq sub -t 'plant/+' -i desk -c -x 3600 -q 0 -E" + asMaria,
		},
	},
	"docs/operate/audit.md": {
		files:  plantFiles,
		before: []string{addMaria, servePlant, "! sealmq pub -i desk -t plant/7/cmd -m start -q 1"},
	},
	"docs/operate/backup.md": {
		files: plantFiles, places: system,
		before: []string{
			"mkdir -p /backup/ /var/lib/", addMaria, servePlant + " --data /var/lib/sealmq",
			"sealmq pub -t plant/temp -m 21.5 -r -q 1" + asMaria,
		},
	},
	"docs/operate/certificates.md": {
		places: []string{
			`":8883"`, `"127.0.0.1:0"`, "--san 192.0.2.7", "--san 192.0.2.7 --san localhost", "-h broker.example -p 8883", "-h localhost -p $SEALMQ_PORT",
			"192.0.2.8:8883", "127.0.0.1:$SEALMQ_PORT", "192.0.2.8", "127.0.0.1", "broker.example, 192.0.2.7", "broker.example, localhost, 192.0.2.7",
		},
		files: map[string]string{"pump-9.csr": certificateRequest()},
	},
	"docs/operate/configuration.md": {places: []string{"127.0.0.1:1883", "127.0.0.1:0"}},
	"docs/operate/doctor.md": {
		files: map[string]string{
			"etc/mosquitto/mosquitto.conf": mosquittoConf, "etc/mosquitto/passwd": mosquittoPasswd, "sealmq.yaml": plant,
			"password.txt": "correct horse battery\n",
		},
		before: []string{addMaria, servePlant},
		places: append([]string{"mqtts://broker.example", "mqtt://127.0.0.1:$SEALMQ_PORT"}, system...),
	},
	"docs/operate/first-start.md": {places: firstStart},
	"docs/operate/from-mosquitto.md": {
		files:  map[string]string{"etc/mosquitto/mosquitto.conf": mosquittoConf, "etc/mosquitto/passwd": mosquittoPasswd},
		places: append([]string{"serve --config sealmq-import/sealmq.yaml", "serve --config sealmq-import/sealmq.yaml --listen mqtt://127.0.0.1:0"}, system...),
	},
	"docs/operate/install.md": {
		checkout: ".",
		files:    map[string]string{"etc/sealmq/sealmq.yaml": plant, "etc/sealmq/passwd": ""},
		before: []string{
			"mkdir -p bin /usr/bin/ /usr/local/share/man/ /usr/share/bash-completion/completions /usr/local/share/zsh/site-functions " +
				"/usr/share/fish/vendor_completions.d /etc/systemd/system/",
			"cp $(command -v sealmq) bin/sealmq", // make interop builds it as the page says
		},
		places: system,
	},
	"docs/operate/login.md": {
		files:  map[string]string{"password.txt": "correct horse battery\n"},
		places: []string{"0.0.0.0:1883", "127.0.0.1:0"},
	},
	"docs/operate/payload-policy.md": {
		before: []string{"mkdir -p secrets"},
		places: []string{"serve --config sealmq.yaml", "serve --config sealmq.yaml --listen mqtt://127.0.0.1:0"},
	},
	"docs/operate/probe.md": {
		before: []string{devBroker},
		places: []string{"mqtts://broker.example", "mqtt://127.0.0.1:$SEALMQ_PORT", "broker.example", "mqtt://127.0.0.1:$SEALMQ_PORT"},
	},
	"docs/operate/refusals.md": {files: plantFiles, before: []string{addMaria, servePlant}},
	"docs/operate/upgrade.md": {
		files: map[string]string{"etc/sealmq/sealmq.yaml": plant, "password.txt": "correct horse battery\n"},
		before: []string{
			"mkdir -p /backup/ /var/lib/", "sealmq passwd add /etc/sealmq/passwd maria --password-file password.txt",
			"sealmq serve --config /etc/sealmq/sealmq.yaml --data /var/lib/sealmq",
		},
		places: system,
	},
}

const (
	mosquittoConf   = "listener 1883 127.0.0.1\nallow_anonymous false\npassword_file passwd\n"
	mosquittoPasswd = "eve:$7$1000$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n"
)

// certificateRequest is what a device that has made its own key sends.
func certificateRequest() string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "pump-9"}}, key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// written is a page with its commands.
type written struct {
	path     string // from the top of this tree
	steps    []step
	mentions []step // commands for this tree in the running text
}

// allPages reads every page of this tree that has commands: Markdown, and the comments of what is packed or an example.
var allPages = sync.OnceValues(func() ([]written, error) {
	root, err := repotree.Root()
	if err != nil {
		return nil, err
	}
	var all []written
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "bin" || d.Name() == "testdata" || d.Name() == "node_modules" || name != "." && strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		markdown := filepath.Ext(name) == ".md"
		top, _, _ := strings.Cut(filepath.ToSlash(name), "/")
		if !markdown && top != "packaging" && top != "examples" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		w := written{path: filepath.ToSlash(name), steps: commentSteps(string(text))}
		if markdown {
			w.mentions = mentions(string(text))
			if w.steps, err = steps(string(text)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if len(w.steps)+len(w.mentions) > 0 {
			all = append(all, w)
		}
		return nil
	})
	return all, err
})

// TestPages runs the commands of every page.
func TestPages(t *testing.T) {
	all, err := allPages()
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for name := range pages {
		left[name] = true
	}
	for _, w := range all {
		delete(left, w.path)
		if len(w.steps) == 0 {
			continue
		}
		t.Run(w.path, func(t *testing.T) {
			t.Parallel()
			if err := runPage(t.Context(), t.TempDir(), pages[w.path], w.steps, t.Logf); err != nil {
				t.Errorf("%s: %v", w.path, err)
			}
		})
	}
	for name := range left {
		t.Errorf("%s has no commands", name)
	}
}
