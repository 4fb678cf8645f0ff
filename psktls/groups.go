package psktls

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"runtime"
)

// Key exchange groups (IANA "TLS Supported Groups").
const (
	GroupP256   uint16 = 23
	GroupP384   uint16 = 24
	GroupX25519 uint16 = 29
)

// GroupName gives the name of a group of this package, "none" for 0, else the
// number in hexadecimal.
func GroupName(g uint16) string {
	switch g {
	case 0:
		return "none"
	case GroupP256:
		return "P-256"
	case GroupP384:
		return "P-384"
	case GroupX25519:
		return "X25519"
	}
	return fmt.Sprintf("0x%04x", g)
}

var defaultGroups = groupsFor(runtime.GOARCH)

// groupsFor gives the groups by what they cost. Go has P-256 in assembly for some
// architectures, where a key exchange takes three quarters of the time that X25519
// takes; elsewhere X25519 is the faster one. Neither protects better than the other.
func groupsFor(arch string) []uint16 {
	switch arch {
	case "amd64", "arm64", "ppc64le", "s390x":
		return []uint16{GroupP256, GroupX25519, GroupP384}
	}
	return []uint16{GroupX25519, GroupP256, GroupP384}
}

func curveOf(group uint16) ecdh.Curve {
	switch group {
	case GroupP256:
		return ecdh.P256()
	case GroupP384:
		return ecdh.P384()
	case GroupX25519:
		return ecdh.X25519()
	}
	return nil
}

// ephemeral makes a fresh key pair for one handshake.
func ephemeral(group uint16) (*ecdh.PrivateKey, error) {
	curve := curveOf(group)
	if curve == nil {
		return nil, refuse(CheckInternal, AlertInternalError, "a known group", GroupName(group))
	}
	key, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		return nil, internal(err)
	}
	return key, nil
}

// sharedSecret runs (EC)DH with the peer's public value. crypto/ecdh refuses
// points off the curve, the point at infinity and, for X25519, an all-zero
// result (low-order points), as RFC 8446 §7.4.2 and RFC 8422 §5.11 demand.
func sharedSecret(key *ecdh.PrivateKey, group uint16, peer []byte) ([]byte, error) {
	public, err := key.Curve().NewPublicKey(peer)
	if err == nil {
		var secret []byte
		if secret, err = key.ECDH(public); err == nil {
			return secret, nil
		}
	}
	return nil, &Error{
		Check: CheckKeyShare, Alert: AlertIllegalParameter,
		Expected: "a valid public value of " + GroupName(group), Err: err,
	}
}
