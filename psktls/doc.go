// Package psktls is TLS 1.2 and TLS 1.3 with external pre-shared keys, server
// and client, as net.Listener and net.Conn. It is for devices that have a shared
// key instead of certificates. It imports the standard library and
// golang.org/x/crypto only.
//
//	keys, err := psktls.OpenKeyFile("keys.psk")
//	...
//	l := psktls.NewListener(inner, &psktls.Config{GetKey: keys.GetKey})
//	conn, err := l.Accept()
//	...
//	go serve(conn.(*psktls.Conn)) // calls HandshakeContext first
//
// # What it does
//
//   - TLS 1.3 (RFC 8446) with psk_dhe_ke; TLS 1.2 (RFC 5246) with ECDHE_PSK (RFC
//     5489, RFC 8442, RFC 7905) and the extended master secret (RFC 7627), which
//     is required.
//   - AEAD suites only: AES-GCM, ChaCha20-Poly1305, AES-CCM.
//   - Only by name: psk_ke and plain PSK (Config.AllowNoForwardSecrecy), CCM_8
//     (Config.CipherSuites).
//   - ALPN (RFC 7301), exporters (RFC 8446 §7.5, RFC 5705) and the tls-exporter
//     channel binding (RFC 9266).
//
// It does not do, on purpose: certificates, CBC, compression, resumption, early
// data, renegotiation, finite-field groups.
//
// # Threat notes
//
// The identity is visible. It crosses the wire in clear in both versions. Do not
// put anything into it that an observer must not learn; use an opaque name if
// presence of a device is itself a secret.
//
// A wrong key and an unknown identity look the same to the peer: the handshake
// goes on with a random key and ends with the same alert at the same point, 51
// (decrypt_error) in TLS 1.3 and 20 (bad_record_mac) in TLS 1.2. The error on
// the local side tells them apart.
//
// A key shared by more than two parties authenticates the group, not a member:
// every holder can be server towards every other, and can read what it can
// record if forward secrecy is off, or sit in the middle if it is on (RFC 9257
// §4.1). Give each client its own key.
//
// Selfie: if the same key serves in both directions, an attacker can reflect a
// client's messages to a server in the same device, which then talks to itself
// and believes it talks to the other (RFC 9257 §4.1, §5). A key has one client
// and one server; a device that is both needs two keys.
//
// Distinct keys for TLS 1.2 and TLS 1.3 are what RFC 9257 §6 prefers, since no
// proof covers one key under both key schedules. MinVersion and MaxVersion keep
// a listener to one version. A TLS 1.3 key also belongs to one hash,
// Config.KeyHash.
//
// Keys must be random. A recorded handshake lets anyone test guesses off line,
// because the binder or Finished is a MAC under the key; in TLS 1.3 an active
// attacker needs only the client's first message. Sixteen octets is the least
// this package takes, and a password of sixteen letters is still a password.
//
// Without forward secrecy, whoever steals a key opens every connection ever
// recorded under it. ConnectionState.ForwardSecret tells which kind a connection
// is.
//
// Resource use is bounded before the peer is authenticated: one handshake
// message of at most 16 KiB, one record, 8 key lookups, 16 records in succession
// without content, and Config.HandshakeTimeout over all. How many handshakes may
// run at once is for the caller to bound.
//
// Constant time: binders, Finished and tags are compared in constant time; AES,
// GHASH, ChaCha20-Poly1305, SHA-2 and the curves are those of the Go distribution
// and x/crypto; AES-CCM over crypto/aes and HMAC over crypto/sha256 and
// crypto/sha512 are written here and have no branches or indices that depend on
// secrets. Go gives no guarantee that cleared key material has no other copy in
// memory; clearing here is best effort.
//
// Groups: P-256 and X25519 protect alike, and each handshake makes a fresh key in
// either. P-256 is preferred where Go has it in assembly, because there it costs
// the server three quarters of X25519; Config.Groups says otherwise.
//
// This is not a validated module, and it has not been audited by a third party.
package psktls
