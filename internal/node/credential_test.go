package node

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/authn"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// Secrets that must show nowhere but in the files that are for them.
const (
	canaryPassword = "CANARY password of alice"
	canaryShared   = "CANARY key of a pump, 32 bytes.." // pre-shared key, 32 bytes
)

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// credentialBroker is a broker that accepts credentials, its clients' records, and everything that it has said.
type credentialBroker struct {
	*Node
	plan *config.Plan
	dir  string
	recs map[keyring.Use]*keyring.Record
	log  *lockedBuffer
}

func newCredentialBroker(t *testing.T) *credentialBroker {
	t.Helper()
	b := &credentialBroker{dir: t.TempDir(), recs: map[keyring.Use]*keyring.Record{}, log: &lockedBuffer{}}
	pair := func(alg cose.Algorithm) *cose.Key {
		k, err := cose.GenerateKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	shared, err := cose.NewSymmetricKey([]byte(canaryShared))
	if err != nil {
		t.Fatal(err)
	}
	p1, p3 := pair(cose.AlgECDHESA256KW), pair(cose.AlgES256)
	print1, print3 := p1.Thumbprint(), p3.Thumbprint()
	byClient := keyring.SenderRule{Kind: keyring.SenderClientID}
	b.recs[keyring.UseP1] = &keyring.Record{KID: print1[:8], Key: p1, Use: keyring.UseP1, Alg: cose.AlgECDHESA256KW, ContentAlg: cose.AlgA256GCM, Sender: byClient, Group: "login"}
	b.recs[keyring.UseP2] = &keyring.Record{KID: []byte("pump\x00\x01"), Key: shared, Use: keyring.UseP2, Alg: cose.AlgHMAC256, Sender: byClient, Group: "pump", Binding: true}
	b.recs[keyring.UseP3] = &keyring.Record{KID: print3[:8], Key: p3, Use: keyring.UseP3, Alg: cose.AlgES256, Sender: keyring.SenderRule{Kind: keyring.SenderAnonymous}, Group: "press"}
	dir, err := keyring.Create(filepath.Join(b.dir, "keys"), keyring.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	for use, rec := range b.recs {
		rec.State = keyring.StateActive
		held := rec
		if use == keyring.UseP3 {
			held = rec.Public()
		}
		if err := dir.Add(held); err != nil {
			t.Fatal(err)
		}
	}
	v, err := authn.NewVerifier(authn.Argon2id, []byte(canaryPassword))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"passwd": "alice:" + v.Encode() + "\n",
		"sealmq.yaml": `
version: 1
node: {data_dir: data}
listeners: [{name: field, bind: "127.0.0.1:0"}]
storage: {engine: memory}
audit: {file: audit.log}
ops: {bind: "127.0.0.1:0"}
auth:
  password: {file: passwd}
  credential: {keyring: keys, server: plant}
  lockout: {failures: 1000, address_failures: 1000}
`,
	} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if b.plan, err = config.FromFlags(config.Flags{Config: filepath.Join(b.dir, "sealmq.yaml")}); err != nil {
		t.Fatal(err)
	}
	b.start(t)
	return b
}

func (b *credentialBroker) start(t *testing.T) {
	t.Helper()
	var err error
	b.Node, err = Start(t.Context(), b.plan, slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})), "test")
	if err != nil {
		t.Fatal(err)
	}
	n := b.Node
	t.Cleanup(func() { b.stop(t, n) })
}

// stop ends the broker once.
func (b *credentialBroker) stop(t *testing.T, n *Node) {
	if b.Node != n {
		return
	}
	b.Node = nil
	stop(t, n)
}

// connect is a CONNECT with the credential of a form, sealed over its own bytes.
func (b *credentialBroker) connect(t *testing.T, use keyring.Use, level byte, id string, number uint64, change func(*mqtt.Connect)) *mqtt.Connect {
	t.Helper()
	p := &mqtt.Connect{
		ProtocolVersion: mqtt.Version(level), CleanStart: true, ClientID: id, KeepAlive: 60, HasUsername: true, HasPassword: true,
		Username: map[keyring.Use]string{keyring.UseP1: "alice", keyring.UseP2: "pump", keyring.UseP3: "press"}[use],
		HasWill:  true, Will: mqtt.Will{Topic: "will/" + id, Payload: []byte("gone")},
	}
	prefix, err := p.AppendCredentialPrefix(nil, p.ProtocolVersion)
	if err != nil {
		t.Fatal(err)
	}
	cfg := protect.CredentialConfig{Record: b.recs[use], Number: number, Clock: time.Now}
	if use == keyring.UseP1 {
		cfg.Password = keyring.NewSecret([]byte(canaryPassword))
	}
	p.Password, err = protect.SealCredential(cfg, &protect.Connect{
		Level: level, ClientID: id, HasUsername: true, Username: p.Username, Server: "plant", HasBinding: true, Binding: sha256.Sum256(prefix),
	})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(p)
	}
	return p
}

func (b *credentialBroker) code(t *testing.T, p *mqtt.Connect) mqtt.ReasonCode {
	t.Helper()
	w := dial(t, b.Node, p.ProtocolVersion)
	w.send(p)
	code, ok := w.connack()
	if !ok {
		t.Fatal("no CONNACK")
	}
	return code
}

// TestCredentialsOverTheWire: every form on every level once, the CONNECT itself covered where the key says so, and not
// again, not after a reload and not after a restart.
func TestCredentialsOverTheWire(t *testing.T) {
	b := newCredentialBroker(t)
	var used []*mqtt.Connect
	for use := range b.recs {
		for level := byte(3); level <= 5; level++ {
			id := fmt.Sprintf("%v-%d", use, level)
			p := b.connect(t, use, level, id, 5, nil)
			if use == keyring.UseP2 { // its key covers the CONNECT: nothing in it can be another
				q := b.connect(t, use, level, id, 5, func(q *mqtt.Connect) { q.KeepAlive++ })
				if code := b.code(t, q); !code.IsError() {
					t.Errorf("%s with another keep alive: %v", id, code)
				}
				q = b.connect(t, use, level, id, 5, func(q *mqtt.Connect) { q.Will.Payload = []byte("fine") })
				if code := b.code(t, q); !code.IsError() {
					t.Errorf("%s with another will: %v", id, code)
				}
			}
			if code := b.code(t, p); code != mqtt.Success {
				t.Errorf("%s: %v", id, code)
			}
			used = append(used, p)
		}
	}
	again := func(when string) {
		t.Helper()
		for _, p := range used {
			if code := b.code(t, p); code != mqtt.BadUserNameOrPassword {
				t.Errorf("%s %s: %v", p.ClientID, when, code)
			}
		}
	}
	again("once more")
	if err := b.Reload(b.plan); err != nil {
		t.Fatal(err)
	}
	again("after a reload")
	b.stop(t, b.Node)
	b.start(t)
	again("after a restart")
	if code := b.code(t, b.connect(t, keyring.UseP3, 5, "p3-5", 6, nil)); code != mqtt.Success {
		t.Errorf("the next number: %v", code)
	}
}

// spellings are the ways in which a secret could be written.
func spellings(secret string) []string {
	return []string{secret, hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret))[:20], fmt.Sprint([]byte(secret))[1:40]}
}

// TestSecretsShowNowhere: logins that succeed and fail in every way leave no secret in the log at its lowest level, in
// refusals as explain shows them, in the audit record, the metrics, the state on disk or a dump of all goroutines.
func TestSecretsShowNowhere(t *testing.T) {
	b := newCredentialBroker(t)
	for use := range b.recs {
		for _, change := range []func(*mqtt.Connect){
			nil, nil, // once more
			func(p *mqtt.Connect) { p.ClientID += "x" },
			func(p *mqtt.Connect) { p.Username = "mallory" },
			func(p *mqtt.Connect) { p.Password[len(p.Password)-1] ^= 1 },
			func(p *mqtt.Connect) { p.Password = p.Password[:20] },
		} {
			b.code(t, b.connect(t, use, 5, "canary", 7, change))
		}
	}
	b.code(t, &mqtt.Connect{ProtocolVersion: mqtt.V5, ClientID: "plain", HasUsername: true, Username: "alice", HasPassword: true, Password: []byte(canaryPassword)})
	b.code(t, &mqtt.Connect{ProtocolVersion: mqtt.V5, ClientID: "plain", HasUsername: true, Username: "bob", HasPassword: true, Password: []byte(canaryPassword)})
	dump := make([]byte, 4<<20)
	said := map[string]string{
		"log": b.log.String(), "metrics": fetch(t, b.OpsURL()+"/metrics"), "goroutines": string(dump[:runtime.Stack(dump, true)]),
	}
	b.stop(t, b.Node)
	err := filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "/keys/") { // the keyring is where keys are
			return err
		}
		content, err := os.ReadFile(path)
		said[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said["log"], "login refused") || len(said) < 6 || !strings.Contains(said["metrics"], "credential") {
		t.Fatalf("nothing was said: %d places", len(said))
	}
	key := b.recs[keyring.UseP1].Key
	secret, err := cose.AppendKey(nil, key, cose.KeyInfo{}, true)
	if err != nil {
		t.Fatal(err)
	}
	for place, text := range said {
		for _, s := range []string{canaryPassword, canaryShared, string(secret[len(secret)-32:])} {
			for _, form := range spellings(s) {
				if strings.Contains(text, form) {
					t.Errorf("%s shows a secret", place)
				}
			}
		}
	}
	if leak := fmt.Sprintf("%x", canaryShared); !strings.Contains(leak, spellings(canaryShared)[1]) {
		t.Error("the search finds nothing")
	}
}

// TestCredentialRefusalIsExplained: what a client may not know, the broker's owner is told.
func TestCredentialRefusalIsExplained(t *testing.T) {
	b := newCredentialBroker(t)
	b.code(t, b.connect(t, keyring.UseP3, 5, "dev", 7, nil))
	b.code(t, b.connect(t, keyring.UseP3, 5, "dev", 7, nil))
	log := b.log.String()
	for _, want := range []string{"credential: stale", "a number above all that were used"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
	if p := (identity.Principal{Method: "p3", Name: "press"}); !strings.Contains(log, p.Method) {
		t.Errorf("the log does not name the method:\n%s", log)
	}
}

// TestBackupKeepsMarks: a credential that was used before a backup is refused by the broker that was made of it, and a
// backup whose list of used credentials is missing or changed makes none.
func TestBackupKeepsMarks(t *testing.T) {
	b := newCredentialBroker(t)
	b.stop(t, b.Node)
	b.plan.Config.Storage.Engine = config.EngineDisk
	b.start(t)
	used := b.connect(t, keyring.UseP3, 5, "press", 7, nil)
	if code := b.code(t, used); code != mqtt.Success {
		t.Fatal(code)
	}
	saved := filepath.Join(b.dir, "saved")
	if _, err := (operator{n: b.Node, plan: b.plan}).Backup(t.Context(), saved, false); err != nil {
		t.Fatal(err)
	}
	b.stop(t, b.Node)

	log := slog.New(slog.DiscardHandler)
	fresh := filepath.Join(b.dir, "fresh")
	if _, err := Restore(saved, fresh, log, false); err != nil {
		t.Fatal(err)
	}
	b.plan.Config.Node.DataDir, b.plan.Config.Audit.File = fresh, filepath.Join(fresh, "audit.log")
	b.start(t)
	if code := b.code(t, used); code != mqtt.BadUserNameOrPassword {
		t.Errorf("the same credential once more: %v", code)
	}
	if code := b.code(t, b.connect(t, keyring.UseP3, 5, "press", 8, nil)); code != mqtt.Success {
		t.Errorf("the next one: %v", code)
	}

	marks := filepath.Join(saved, marksFile)
	whole, err := os.ReadFile(marks)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func() error{
		"shorter": func() error { return os.WriteFile(marks, whole[:len(whole)-1], 0o600) },
		"missing": func() error { return os.Remove(marks) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(b.dir, "from "+name)
		var none *NoBackupError
		if _, err := Restore(saved, to, log, false); !errors.As(err, &none) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something was made: %v", name, err)
		}
	}
}
