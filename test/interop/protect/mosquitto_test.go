//go:build interop

package protect

import (
	"bytes"
	"context"
	"encoding/hex"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tool is one of the programs of a test.
func tool(t *testing.T, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if exe, err := exec.LookPath(path); err == nil {
			return exe
		}
	}
	t.Skipf("skipped: %s is not installed (apt-get install mosquitto mosquitto-clients coreutils)", name)
	return ""
}

// ourTool is the built sealmq.
func ourTool(t *testing.T) string {
	t.Helper()
	name := os.Getenv("SEALMQ_BIN")
	if name == "" {
		name = filepath.Join("..", "..", "..", "bin", "sealmq")
	}
	if _, err := os.Stat(name); err != nil {
		t.Fatalf("%v: make build makes it, SEALMQ_BIN names another", err)
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// startMosquitto starts Debian's broker and returns its port.
func startMosquitto(t *testing.T) string {
	t.Helper()
	exe := tool(t, "mosquitto")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, exe, "-p", port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second); err == nil {
			c.Close()
			return port
		}
	}
	t.Fatal("mosquitto does not listen")
	return ""
}

func runIn(t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// TestThroughMosquitto: every level passes through Debian's broker and its own clients unharmed, and opens.
func TestThroughMosquitto(t *testing.T) {
	mosquittoPub, mosquittoSub := tool(t, "mosquitto_pub"), tool(t, "mosquitto_sub")
	sealmq, dir, port := ourTool(t), t.TempDir(), startMosquitto(t)
	for name, args := range map[string][]string{
		"group": {"--type", "encrypt"}, "session": {"--type", "encrypt", "--mode", "S"}, "mac": {"--type", "mac"},
		"signer": {"--type", "sign"}, "reader": {"--type", "recipient"},
	} {
		runIn(t, dir, sealmq, append([]string{"keys", "new", name, "--topics", "p/#", "--keyring", "keys"}, args...)...)
	}
	levels := map[string][]string{
		"mac": {"mac", "--key", "mac"}, "sign": {"sign", "--key", "signer"}, "r": {"encrypt", "--key", "group"},
		"s": {"encrypt", "--key", "session"}, "to": {"encrypt", "--to", "reader"},
		"both": {"sign+encrypt", "--key", "signer", "--to", "reader"},
	}
	for _, version := range []string{"mqttv5", "mqttv311"} {
		for topic, level := range levels {
			t.Run(version+"/"+topic, func(t *testing.T) {
				topic := "p/" + version + "/" + topic
				args := []string{"pub", "-p", port, "-V", version, "-t", topic, "-m", "hello " + topic, "-r", "-q", "1", "--keyring", "keys", "--protect"}
				runIn(t, dir, sealmq, append(args, level...)...)
				// The stock subscriber sees the envelope; the stock publisher sends the same bytes on, to be opened.
				b := runIn(t, dir, mosquittoSub, "-p", port, "-V", version, "-t", topic, "-C", "1", "-N")
				if level[0] != "mac" && level[0] != "sign" && bytes.Contains(b, []byte("hello")) {
					t.Error("the broker can read the payload")
				}
				file := filepath.Join(dir, "envelope")
				if err := os.WriteFile(file, b, 0o600); err != nil {
					t.Fatal(err)
				}
				runIn(t, dir, mosquittoPub, "-p", port, "-V", version, "-t", topic, "-f", file, "-r", "-q", "2")
				got := runIn(t, dir, sealmq, "sub", "-p", port, "-V", version, "-t", topic, "-C", "1", "--keyring", "keys", "--open", "require", "--require", level[0])
				if string(got) != "hello "+topic+"\n" {
					t.Errorf("got %q", got)
				}
			})
		}
	}
}

// TestChecksumWithCoreutils: sha256sum over the payload behind the head gives the bytes of the head.
func TestChecksumWithCoreutils(t *testing.T) {
	sum, mosquittoSub := tool(t, "sha256sum"), tool(t, "mosquitto_sub")
	sealmq, dir, port := ourTool(t), t.TempDir(), startMosquitto(t)
	for form, head := range map[string]int{"prefix": 36, "raw": 32} {
		runIn(t, dir, sealmq, "pub", "-p", port, "-t", form, "-m", "payload", "-r", "-q", "1", "--protect", "checksum", "--checksum", form)
		b := runIn(t, dir, mosquittoSub, "-p", port, "-t", form, "-C", "1", "-N")
		file := filepath.Join(dir, form)
		if err := os.WriteFile(file, b[head:], 0o600); err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(runIn(t, dir, sum, file)))
		if got := hex.EncodeToString(b[head-32 : head]); fields[0] != got || string(b[head:]) != "payload" {
			t.Errorf("%s: %s, sha256sum says %s", form, got, fields[0])
		}
		if form == "prefix" && !bytes.HasPrefix(b, []byte{0x82, 0x2f, 0x58, 0x20}) {
			t.Errorf("head %x", b[:4])
		}
	}
}
