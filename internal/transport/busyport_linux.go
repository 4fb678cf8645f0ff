package transport

import (
	"bufio"
	"encoding/hex"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const (
	largestProcNet = 64 << 20 // bytes of /proc/net/tcp that are looked at
	listenState    = "0A"     // TCP_LISTEN in the column st
)

// holder finds the process that listens on address, in this network namespace. pid is 0 when there is none or it
// belongs to somebody whose files we may not read.
func holder(address netip.AddrPort) (pid int, process string) {
	var inodes []string
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(file)
		if err != nil {
			continue // no such family here
		}
		inodes = append(inodes, listening(f, address)...)
		f.Close() //nolint:errcheck // only read
	}
	if len(inodes) == 0 {
		return 0, ""
	}
	return owner("/proc", inodes)
}

// listening returns the inodes of the listening sockets in r, a table in the form of /proc/net/tcp (see proc(5)), that
// stand in the way of address.
func listening(r io.Reader, address netip.AddrPort) []string {
	var inodes []string
	lines := bufio.NewScanner(io.LimitReader(r, largestProcNet))
	for lines.Scan() {
		// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[3] != listenState {
			continue
		}
		if local, ok := parseProcAddress(f[1]); ok && inTheWay(local, address) {
			inodes = append(inodes, f[9])
		}
	}
	return inodes
}

// inTheWay reports that a listener on held prevents one on wanted.
func inTheWay(held, wanted netip.AddrPort) bool {
	a, b := held.Addr().Unmap(), wanted.Addr().Unmap()
	return held.Port() == wanted.Port() && (a == b || a.IsUnspecified() || b.IsUnspecified())
}

// parseProcAddress reads "0100007F:075B": the address in 32-bit words of the machine's byte order (little-endian on
// every system we build for), then the port.
func parseProcAddress(s string) (netip.AddrPort, bool) {
	host, portText, ok := strings.Cut(s, ":")
	port, err := strconv.ParseUint(portText, 16, 16)
	raw, hexErr := hex.DecodeString(host)
	if !ok || err != nil || hexErr != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr, uint16(port)), ok
}

// owner finds the process that has one of the sockets open.
func owner(proc string, inodes []string) (pid int, process string) {
	processes, err := os.ReadDir(proc)
	if err != nil {
		return 0, ""
	}
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		files, err := os.ReadDir(filepath.Join(proc, p.Name(), "fd"))
		if err != nil {
			continue // ended meanwhile, or not ours to read
		}
		for _, fd := range files {
			link, err := os.Readlink(filepath.Join(proc, p.Name(), "fd", fd.Name()))
			inode, isSocket := strings.CutPrefix(link, "socket:[")
			if err == nil && isSocket && slices.Contains(inodes, strings.TrimSuffix(inode, "]")) {
				return pid, processName(proc, pid)
			}
		}
	}
	return 0, ""
}

// processName reads the name of a process. A process chooses it freely, so it is made printable.
func processName(proc string, pid int) string {
	comm, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "comm"))
	if err != nil {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.TrimSuffix(string(comm), "\n"))
}
