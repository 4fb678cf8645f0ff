package setup

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/sealmq/sealmq/internal/ca"
)

// maxAddresses bounds the addresses of this machine in its certificate: a host of many containers has hundreds.
const maxAddresses = 20

// machineNames lists what clients may call this machine: the names that were given, its own name, also as multicast DNS
// has it (RFC 6762 §3), localhost, and its addresses. The first is the common name.
func machineNames(given []string) []string {
	names := slices.Clone(given)
	if host, err := os.Hostname(); err == nil {
		host = strings.ToLower(strings.TrimSuffix(host, "."))
		names = append(names, host)
		if !strings.Contains(host, ".") {
			names = append(names, host+".local")
		}
	}
	names = append(names, "localhost", "127.0.0.1", "::1")
	names = append(names, addresses()...)
	var out []string
	for _, n := range names {
		if ca.IsHost(n) && !strings.HasPrefix(n, "*") && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// addresses lists those by which other machines may reach this one. Link-local ones are left out: they are written with
// a zone, which no certificate has.
func addresses() []string {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var out []string
	for _, a := range list {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		ip := prefix.Addr().Unmap()
		if ip.IsGlobalUnicast() && len(out) < maxAddresses {
			out = append(out, ip.String())
		}
	}
	return out
}
