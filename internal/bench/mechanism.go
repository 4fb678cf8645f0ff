// Package bench measures on this machine what each mechanism of security costs: bytes on the wire, round trips, processor
// time on both sides, memory and time. It starts a broker in a process of its own and is its clients.
package bench

import (
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/keyring"
)

// The listeners, in the order of the configuration.
const (
	plain = iota
	secure
	mutual
	psk
)

// login is how a client proves who it is.
type login uint8

const (
	anonymous login = iota
	password
	scramLogin
	credential
	byTransport // what the transport proved is enough
)

// Mechanism is one way to connect or to protect a message.
type Mechanism struct {
	Name     string `json:"name"`
	Title    string `json:"title"`
	Protects string `json:"protects"` // against whom
	NotWhen  string `json:"not_when"` // when something else is the better choice

	listener int
	login    login
	use      keyring.Use // with credential
	level    protecting.Level
	keys     []string
	to       []string
}

// Connecting are the ways to log in.
var Connecting = []*Mechanism{
	{
		Name: "none", Title: "no login, no TLS", listener: plain, login: anonymous,
		Protects: "nothing; the floor of the others", NotWhen: "anything but loopback",
	},
	{
		Name: "password", Title: "password, no TLS", listener: plain, login: password,
		Protects: "against clients without an account", NotWhen: "a network is in between: one recording is a login for ever",
	},
	{
		Name: "scram", Title: "SCRAM-SHA-256, no TLS", listener: plain, login: scramLogin,
		Protects: "the password from whoever is on the way and from a false broker", NotWhen: "the device cannot spend the iterations; messages stay readable and can be taken over without TLS",
	},
	{
		Name: "p1", Title: "P1: password sealed to the broker's key", listener: plain, login: credential, use: keyring.UseP1,
		Protects: "the password from whoever is on the way", NotWhen: "TLS is possible; a device too small for X25519; messages need a seal of their own",
	},
	{
		Name: "p2", Title: "P2: pre-shared key", listener: plain, login: credential, use: keyring.UseP2,
		Protects: "the key; each login is good once", NotWhen: "TLS is possible; the broker must not be able to act for the device",
	},
	{
		Name: "p3", Title: "P3: device signature", listener: plain, login: credential, use: keyring.UseP3,
		Protects: "the login, also from a thief of the broker's files", NotWhen: "TLS is possible; a device too small for Ed25519",
	},
	{
		Name: "tls", Title: "TLS 1.3, no login", listener: secure, login: anonymous,
		Protects: "all traffic from whoever is on the way", NotWhen: "clients differ in what they may do: it says who the broker is, not who the client is",
	},
	{
		Name: "tls-password", Title: "TLS 1.3 and password", listener: secure, login: password,
		Protects: "all traffic, and against clients without an account", NotWhen: "thousands of devices reconnect at once: each new login costs the broker an argon2id",
	},
	{
		Name: "tls-scram", Title: "TLS 1.3 and SCRAM-SHA-256", listener: secure, login: scramLogin,
		Protects: "all traffic, and the password also from a false broker", NotWhen: "the device cannot spend the iterations",
	},
	{
		Name: "mtls", Title: "TLS 1.3 with client certificate", listener: mutual, login: byTransport,
		Protects: "all traffic; devices can be revoked one by one", NotWhen: "nobody renews certificates; bytes are dear (two chains cross the wire)",
	},
	{
		Name: "psk", Title: "TLS 1.3 with pre-shared key", listener: psk, login: byTransport,
		Protects: "all traffic, with the least handshake", NotWhen: "keys cannot be kept apart for each device",
	},
}

// The names of keys.
const (
	keyMAC, keyGroup, keySign, keyReader = "mac", "group", "sign", "reader"
)

// Messaging are the ways to protect a message.
var Messaging = []*Mechanism{
	{
		Name: "none", Title: "plain", listener: plain, level: protecting.LevelNone,
		Protects: "nothing; the floor of the others", NotWhen: "the network or the broker's operator is not trusted",
	},
	{
		Name: "tls", Title: "plain over TLS", listener: secure, level: protecting.LevelNone,
		Protects: "against whoever is on the way, not against the broker", NotWhen: "the broker's operator must not read or forge",
	},
	{
		Name: "psk", Title: "plain over TLS-PSK", listener: psk, level: protecting.LevelNone,
		Protects: "against whoever is on the way, not against the broker", NotWhen: "the broker's operator must not read or forge",
	},
	{
		Name: "checksum", Title: "checksum", listener: plain, level: protecting.LevelChecksum,
		Protects: "against accidents only", NotWhen: "anybody might want to change it: whoever changes the message makes a new checksum",
	},
	{
		Name: "mac", Title: "MAC, group key", listener: plain, level: protecting.LevelMAC, keys: []string{keyMAC},
		Protects: "against changes and replay by anyone without the key", NotWhen: "the content is secret; members of the group must not forge each other",
	},
	{
		Name: "sign", Title: "signature (Ed25519)", listener: plain, level: protecting.LevelSign, keys: []string{keySign},
		Protects: "says who sent it, also to others", NotWhen: "the content is secret; the device sends often and is small",
	},
	{
		Name: "encrypt", Title: "encrypted, group key", listener: plain, level: protecting.LevelEncrypt, keys: []string{keyGroup},
		Protects: "content and integrity, end to end", NotWhen: "members of the group must not forge each other",
	},
	{
		Name: "encrypt-to", Title: "encrypted to a public key", listener: plain, level: protecting.LevelEncrypt, to: []string{keyReader},
		Protects: "content; only the reader opens it", NotWhen: "it must be known who sent it; many readers (bytes for each)",
	},
	{
		Name: "sign+encrypt", Title: "signed and encrypted, group key", listener: plain, level: protecting.LevelSignEncrypt, keys: []string{keySign, keyGroup},
		Protects: "content, and says who sent it", NotWhen: "bytes or battery are short and a group key is enough",
	},
	{
		Name: "sign+encrypt-to", Title: "signed and encrypted to a public key", listener: plain, level: protecting.LevelSignEncrypt, keys: []string{keySign}, to: []string{keyReader},
		Protects: "content for one reader, and says who sent it", NotWhen: "bytes or battery are short",
	},
}
