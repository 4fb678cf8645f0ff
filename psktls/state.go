package psktls

import "errors"

// ConnectionState describes a connection after its handshake.
type ConnectionState struct {
	HandshakeComplete  bool
	Version            uint16 // VersionTLS12 or VersionTLS13
	CipherSuite        uint16
	Group              uint16 // (EC)DHE group; 0 if there was none
	ForwardSecret      bool   // Group is not 0: a key stolen later does not open this connection
	NegotiatedProtocol string // by ALPN; "" if none
	HelloRetryRequest  bool   // TLS 1.3: the first key share did not suit
}

// ConnectionState gives the state; before the handshake has completed it is the
// zero value.
func (c *Conn) ConnectionState() ConnectionState {
	if !c.handshakeDone.Load() {
		return ConnectionState{}
	}
	return c.state
}

// PSKIdentity gives the identity whose key authenticated the connection; before
// the handshake has completed it is empty. It holds whatever octets the peer
// chose, at most MaxIdentityLen; quote it in logs.
func (c *Conn) PSKIdentity() string {
	if !c.handshakeDone.Load() {
		return ""
	}
	return c.identity
}

// complete records the outcome of a handshake.
func (c *Conn) complete(s *suite, group uint16, alpn string, identity []byte, retried bool) {
	c.identity = string(identity)
	c.state = ConnectionState{
		HandshakeComplete: true, Version: s.version, CipherSuite: s.id, Group: group,
		ForwardSecret: group != 0, NegotiatedProtocol: alpn, HelloRetryRequest: retried,
	}
}

// exporter holds what keying material is exported from.
type exporter struct {
	suite   *suite
	master  []byte // exporter master secret (1.3) or master secret (1.2)
	randoms []byte // TLS 1.2: client random, server random
}

// MaxExportLen bounds ExportKeyingMaterial, in octets.
const MaxExportLen = 1024

const maxExportContext = 1 << 10

// ChannelBindingLabel is the exporter label of the "tls-exporter" channel
// binding, RFC 9266 §2.
const ChannelBindingLabel = "EXPORTER-Channel-Binding"

// reservedLabels are labels of the TLS 1.2 key schedule, RFC 5705 §4.
var reservedLabels = map[string]bool{
	labelClientFinished: true, labelServerFinished: true, labelMasterSecret: true,
	labelExtendedMasterSecret: true, labelKeyExpansion: true,
}

// ExportKeyingMaterial derives length octets, 1 to MaxExportLen, bound to this
// connection: RFC 8446 §7.5, or RFC 5705 §4 over the extended master secret. In
// TLS 1.2 a nil context differs from an empty one. label has 1 to 249 octets,
// context at most 1024.
func (c *Conn) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	if !c.handshakeDone.Load() {
		return nil, &Error{Check: CheckNotFinished, Alert: AlertNone, Err: errors.New("no keying material yet")}
	}
	if label == "" || len(label) > 255-len(labelPrefix) || reservedLabels[label] ||
		length < 1 || length > MaxExportLen || len(context) > maxExportContext {
		return nil, badConfig("exporter: label of %d octets, context of %d, length %d", len(label), len(context), length)
	}
	e := &c.exporter
	if c.state.Version == VersionTLS13 {
		out, k := make([]byte, length), newKDF13(e.suite.newHash)
		defer k.wipe()
		k.export(out, e.master, label, context)
		return out, nil
	}
	return exporter12(e.suite.newHash, e.master, e.randoms, label, context, length), nil
}

// ChannelBinding gives the 32 octets of the "tls-exporter" channel binding of
// RFC 9266 §2.
func (c *Conn) ChannelBinding() ([]byte, error) {
	return c.ExportKeyingMaterial(ChannelBindingLabel, []byte{}, 32)
}
