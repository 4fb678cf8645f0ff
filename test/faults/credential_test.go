package faults

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// tool runs a sealmq command in a folder and returns what it prints.
func tool(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sealmq %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// credentialSite makes the keys of a broker and of its devices, and the configuration that accepts them.
func credentialSite(t *testing.T, s *server) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("password", "correct horse battery\n")
	write("sealmq.yaml", fmt.Sprintf(`
version: 1
node: {data_dir: %q}
listeners: [{name: local, bind: %q}]
auth:
  password: {file: passwd}
  credential: {keyring: broker, server: plant}
`, s.data, s.addr))
	s.config = filepath.Join(dir, "sealmq.yaml")
	s.plain = true
	tool(t, dir, "passwd", "add", "passwd", "alice", "--password", "correct horse battery")
	tool(t, dir, "keys", "new", "p1", "--type", "p1", "--keyring", "broker")
	tool(t, dir, "keys", "export", "p1", "--out", "p1.pub", "--keyring", "broker")
	tool(t, dir, "keys", "import", "p1.pub", "--name", "p1", "--type", "p1", "--keyring", "device")
	tool(t, dir, "keys", "new", "pump", "--type", "p2", "--keyring", "broker")
	tool(t, dir, "keys", "export", "pump", "--out", "p2.key", "--export-secret-key", "--keyring", "broker")
	tool(t, dir, "keys", "import", "p2.key", "--name", "p2", "--type", "p2", "--keyring", "device")
	tool(t, dir, "keys", "new", "p3", "--type", "p3", "--keyring", "device")
	tool(t, dir, "keys", "export", "p3", "--out", "p3.pub", "--keyring", "device")
	tool(t, dir, "keys", "import", "p3.pub", "--name", "press", "--type", "p3", "--keyring", "broker")
	return dir
}

// connectCode is the code of the CONNACK as it is on the wire.
func connectCode(t *testing.T, addr string, v mqtt.Version, id, user string, password []byte) byte {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	b, err := (&mqtt.Connect{
		ProtocolVersion: v, CleanStart: true, ClientID: id, KeepAlive: 60, HasUsername: true, Username: user, HasPassword: true, Password: password,
	}).Append(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
	var ack [4]byte
	for i := range ack {
		if _, err := conn.Read(ack[i : i+1]); err != nil {
			t.Fatalf("no CONNACK: %v", err)
		}
	}
	if ack[0] != 0x20 {
		t.Fatalf("got packet %#x", ack[0])
	}
	return ack[3]
}

// TestKilledBrokerRemembersCredentials: what logged in once does not log in again after SIGKILL, whatever the storage of
// messages; a new credential does.
func TestKilledBrokerRemembersCredentials(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes; run without -short")
	}
	s := newServer(t)
	dir := credentialSite(t, s)
	s.start()
	t.Cleanup(s.kill)
	type login struct {
		v        mqtt.Version
		id, user string
		b        []byte
	}
	attempt := func(form, level, id string) login {
		user := map[string]string{"p1": "alice", "p2": "pump", "p3": "press"}[form]
		args := []string{"credential", "--type", form, "--key", form, "--client-id", id, "--username", user, "--server", "plant", "-V", level, "--format", "raw", "--keyring", "device"}
		if form == "p1" {
			args = append(args, "--password-file", "password")
		}
		v := mqtt.V5
		if level == "311" {
			v = mqtt.V311
		}
		return login{v, id, user, []byte(tool(t, dir, args...))}
	}
	var used []login
	for _, form := range []string{"p1", "p2", "p3"} {
		for _, level := range []string{"311", "5"} {
			l := attempt(form, level, form+level)
			if code := connectCode(t, s.addr, l.v, l.id, l.user, l.b); code != 0 {
				t.Fatalf("%s on %s: %#x", form, level, code)
			}
			used = append(used, l)
		}
	}
	for range 3 {
		s.kill()
		s.start()
		for _, l := range used {
			if code := connectCode(t, s.addr, l.v, l.id, l.user, l.b); code != 4 && code != byte(mqtt.BadUserNameOrPassword) {
				t.Errorf("%s once more after SIGKILL: %#x", l.id, code)
			}
		}
	}
	if l := attempt("p2", "5", "p25"); connectCode(t, s.addr, l.v, l.id, l.user, l.b) != 0 {
		t.Error("a new credential is refused")
	}
}
