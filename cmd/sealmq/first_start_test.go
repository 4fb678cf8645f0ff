package main

import (
	"strings"
	"testing"

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
