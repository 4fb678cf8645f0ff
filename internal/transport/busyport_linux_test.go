package transport

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const procNetTCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0
   1: 00000000:075C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0 100 0 0 10 0
   2: 0100007F:075B 0100007F:C000 01 00000000:00000000 00:00000000 00000000     0        0 333 1 0 100 0 0 10 0
   3: 00000000000000000000000001000000:075B 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 444 1
   4: 0000000000000000FFFF00000100007F:075D 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 555 1
   5: nonsense:075B 00000000:0000 0A 0 0 0 0 0 666 1
   6: 0100007F 00000000:0000 0A 0 0 0 0 0 777 1
   7: short
`

func TestListening(t *testing.T) {
	for address, want := range map[string][]string{
		"127.0.0.1:1883": {"111"},
		"10.0.0.1:1883":  nil,
		"0.0.0.0:1883":   {"111", "444"},
		"10.0.0.1:1884":  {"222"},
		"[::1]:1883":     {"444"},
		"127.0.0.1:1885": {"555"},
		"127.0.0.1:1":    nil,
	} {
		if got := listening(strings.NewReader(procNetTCP), netip.MustParseAddrPort(address)); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", address, got, want)
		}
	}
}

// TestOwner reads a made-up /proc: other people's processes, processes without the socket, and a hostile name.
func TestOwner(t *testing.T) {
	proc := t.TempDir()
	add := func(pid, comm, socket string) {
		t.Helper()
		fd := filepath.Join(proc, pid, "fd")
		if err := os.MkdirAll(fd, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "comm"), []byte(comm), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(socket, filepath.Join(fd, "3")); err != nil {
			t.Fatal(err)
		}
	}
	add("10", "bash\n", "/dev/null")
	add("20", "evil\x1b[2J\n", "socket:[222]")
	add("self", "x\n", "socket:[333]")
	if pid, name := owner(proc, []string{"1", "222"}); pid != 20 || name != "evil?[2J" {
		t.Errorf("got %d %q", pid, name)
	}
	if pid, name := owner(proc, []string{"333"}); pid != 0 || name != "" {
		t.Errorf("got %d %q for a socket nobody shows", pid, name)
	}
	if pid, _ := owner(filepath.Join(proc, "absent"), []string{"1"}); pid != 0 {
		t.Errorf("got %d without /proc", pid)
	}
}
