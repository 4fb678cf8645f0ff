package authn

import (
	"net/netip"

	"github.com/sealmq/sealmq/internal/identity"
)

// addressKey is what logins are counted by: an IPv4 address or an IPv6 /64, which is what one household or attacker
// has. The zero value stands for connections without an address.
type addressKey = netip.Prefix

func sourceOf(ev *identity.Evidence) addressKey {
	ip := ev.Remote.Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // the bits fit
	return p
}
