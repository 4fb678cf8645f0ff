package main

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/node"
	"github.com/sealmq/sealmq/internal/setup"
)

// TestAccessLines: secrets appear for a terminal only, paths are quoted, and there is no line for what is not there.
func TestAccessLines(t *testing.T) {
	s := setup.Access{
		CAFile: "/my data/ca.crt", User: "admin", PasswordFile: "/my data/admin.password", Password: "geheim",
		PSKFile: "/my data/psk.txt", PSKIdentity: "device1", PSK: "abcd",
	}
	all := openPorts{local: "1883", tls: "8883", psk: "8886"}
	hidden := strings.Join(accessLines(s, all, false, "sealmq"), "\n")
	want := `mosquitto_sub -h localhost -p 8883 --cafile '/my data/ca.crt' -u admin -P "$(cat '/my data/admin.password')" -t 'test/#' -v
mosquitto_pub -h localhost -p 8883 --cafile '/my data/ca.crt' -u admin -P "$(cat '/my data/admin.password')" -t test/hello -m hello
sealmq pub -h localhost -p 8883 --cafile '/my data/ca.crt' -u admin --password-file '/my data/admin.password' -t test/hello -m hello
mosquitto_pub -h localhost -p 8886 --psk-identity device1 --psk "$(sed -n 's/^device1://p' '/my data/psk.txt')" -t devices/device1/hello -m hello
sealmq sub -h 127.0.0.1 -p 1883 -u admin --password-file '/my data/admin.password' -t '#' -v`
	if hidden != want {
		t.Errorf("got\n%s", hidden)
	}
	shown := strings.Join(accessLines(s, all, true, "sealmq"), "\n")
	if strings.Count(shown, "-P geheim") != 2 || strings.Count(shown, "--psk abcd ") != 1 {
		t.Errorf("got\n%s", shown)
	}
	if strings.Contains(hidden, "geheim") || strings.Contains(hidden, "abcd") {
		t.Error("a secret where there is no terminal")
	}
	for _, c := range []struct {
		s setup.Access
		p openPorts
		n int
	}{
		{s, openPorts{tls: "1"}, 3},
		{s, openPorts{psk: "1"}, 1},
		{s, openPorts{local: "1"}, 1},
		{setup.Access{CAFile: "ca.crt"}, all, 0},
		{setup.Access{User: "admin", CertFile: "admin.crt", KeyFile: "admin.key"}, all, 3},
	} {
		if got := accessLines(c.s, c.p, true, "x"); len(got) != c.n {
			t.Errorf("%+v: %q", c.p, got)
		}
	}
}

// TestPrintAccess: a broker of a fresh folder prints lines with the ports that it has; what is no terminal sees no secret,
// and a folder without anything to say prints nothing.
func TestPrintAccess(t *testing.T) {
	home := filepath.Join(t.TempDir(), "data")
	if _, err := setup.Make(t.Context(), setup.Options{Dir: home, Profile: setup.Home, Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	plan, err := config.FromFlags(config.Flags{Config: filepath.Join(home, config.FolderFile)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range plan.Config.Listeners { // those of the folder may be taken on this machine
		plan.Config.Listeners[i].Bind = netip.MustParseAddrPort("127.0.0.1:0")
	}
	browsers := plan.Config.Listeners[0] // on loopback, before the others: no line is for it
	browsers.Name, browsers.WebSocket.Path = "browsers", "/mqtt"
	plan.Config.Listeners = append([]config.Listener{browsers}, append(plan.Config.Listeners, plan.Config.Listeners...)...)
	for i := range plan.Config.Listeners {
		plan.Config.Listeners[i].Name += strconv.Itoa(i)
	}
	n, err := node.Start(t.Context(), plan, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop(t.Context()) //nolint:errcheck // test
	var out bytes.Buffer
	a := &app{stderr: &out}
	a.printAccess(n, plan, home)
	said := out.String()
	access := setup.Read(home)
	if access.Password == "" || access.PSK == "" {
		t.Fatalf("%+v", access)
	}
	for _, secret := range []string{access.Password, access.PSK} {
		if strings.Contains(said, secret) {
			t.Errorf("a secret where there is no terminal:\n%s", said)
		}
	}
	port := func(i int) string { return " -p " + strconv.Itoa(n.Addrs()[i].(*net.TCPAddr).Port) + " " }
	for i, count := range []int{0, 1, 3, 1, 0, 0, 0} { // browsers; local, tls, psk; and each once more
		if got := strings.Count(said, port(i)); got != count {
			t.Errorf("%d lines for listener %d, want %d:\n%s", got, i, count, said)
		}
	}
	if !strings.HasPrefix(said, "\nTry it from other terminals; stop the broker with Ctrl-C:\n  mosquitto_sub ") || !strings.HasSuffix(said, "\n\n") || !strings.Contains(said, access.PasswordFile) {
		t.Errorf("got %q", said)
	}
	out.Reset()
	if a.printAccess(n, plan, t.TempDir()); out.Len() > 0 {
		t.Errorf("an empty folder says %s", out.String())
	}
	if self, err := os.Executable(); err != nil || program() != "sealmq" && program() != self {
		t.Errorf("called %s", program())
	}
}
