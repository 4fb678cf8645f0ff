//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestNoConnectionOfItsOwn shows that the program talks to nobody but the clients that came to it: every socket it
// holds listens on the port it was given or was accepted there.
func TestNoConnectionOfItsOwn(t *testing.T) {
	m := newMosquitto(t)
	m.subscribe(t, "mqttv5", "-t", "interop/outbound")
	mustRun(t, m.pub, m.args("mqttv311", "-q", "1", "-r", "-t", "interop/outbound", "-m", "hello")...)

	inodes := sockets(t, m.broker.pid)
	found := 0
	for _, file := range []string{"tcp", "tcp6", "udp", "udp6"} {
		for inode, port := range localPorts(t, m.broker.pid, file) {
			if !inodes[inode] {
				continue
			}
			found++
			if port != m.broker.port || strings.HasPrefix(file, "udp") {
				t.Errorf("%s socket on local port %d, which is not the listener's %d", file, port, m.broker.port)
			}
		}
	}
	if found < 2 {
		t.Errorf("%d sockets found, want the listener and one client at least", found)
	}
}

var socketLink = regexp.MustCompile(`^socket:\[([0-9]+)\]$`)

// sockets are the inodes of a process's open sockets.
func sockets(t *testing.T, pid int) map[string]bool {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	inodes := map[string]bool{}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil {
			continue // closed meanwhile
		}
		if m := socketLink.FindStringSubmatch(target); m != nil {
			inodes[m[1]] = true
		}
	}
	return inodes
}

// localPorts maps the inodes of one table of the kernel to their local ports.
func localPorts(t *testing.T, pid int, file string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, file))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	ports := map[string]int{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[0] == "sl" {
			continue
		}
		_, hex, _ := strings.Cut(fields[1], ":")
		port, err := strconv.ParseUint(hex, 16, 16)
		if err != nil {
			t.Fatalf("%s: local address %q: %v", file, fields[1], err)
		}
		ports[fields[9]] = int(port)
	}
	return ports
}
