package explain

import (
	"fmt"
	"strings"

	"github.com/sealmq/sealmq/mqtt"
)

// Incident is a refusal that no access rule decided about: of a handshake, a login, a limit or a payload.
type Incident struct {
	Layer    string // "transport", "protocol", "login", "payload" or "limit"
	ClientID string
	Username string // claimed, may be empty
	Remote   string
	Listener string
	Version  mqtt.Version // 0 when no CONNECT was read
	Doing    string       // "publish to a/b", "" when it was about the connection
	Check    string
	Expected string
	Found    string
	Rule     string
	Why      string
	Code     mqtt.ReasonCode
}

// Explain puts an Incident into words.
func (i *Incident) Explain() Explanation {
	e := Explanation{
		Layer: i.Layer, Question: i.Question(), Check: i.Check, Expected: i.Expected, Found: i.Found, Rule: i.Rule,
		ClientSees: i.clientSees(), ToAllow: Advice(i.Layer, i.Check),
	}
	if i.Expected == "" && i.Found == "" {
		e.Why = i.Why
	}
	return e
}

// Question is what was asked for, as a statement.
func (i *Incident) Question() string {
	who := "a client"
	switch {
	case i.ClientID != "":
		who = "client " + printable(i.ClientID)
	case i.Username != "":
		who = "user " + printable(i.Username)
	}
	if i.ClientID != "" && i.Username != "" {
		who += " (user " + printable(i.Username) + ")"
	}
	if i.Remote != "" {
		who += " from " + i.Remote
	}
	what := i.Doing
	if what == "" {
		what = map[string]string{"transport": "connect", "protocol": "go on", "login": "log in"}[i.Layer]
	}
	if what == "" {
		what = "go on"
	}
	if i.Listener != "" {
		what += " on listener " + printable(i.Listener)
	}
	return who + " may " + what
}

// clientSees says what was sent to the client. It is the same for an unknown name and a wrong password, and for every
// reason within a handshake, because the words depend on the layer and the code alone.
func (i *Incident) clientSees() string {
	switch i.Layer {
	case "transport":
		switch {
		case i.Check == "alert from the peer", i.Check == "peer left":
			return "nothing from the broker: the client ended the handshake itself"
		case strings.HasPrefix(i.Check, "websocket") || i.Check == "http request":
			return "an HTTP status, or the end of the WebSocket, without a reason"
		}
		return "a TLS alert, or the end of the connection, without a reason"
	case "login":
		return fmt.Sprintf("MQTT 5: CONNACK %s, the same for an unknown name and a wrong password. MQTT 3: CONNACK %s", number(i.Code), connackV3(i.Code))
	}
	switch {
	case i.Code == 0:
		return "the end of the connection"
	case i.Layer == "payload" && strings.HasPrefix(i.Doing, "leave a will"):
		return "MQTT 5: CONNACK " + number(i.Code) + ". MQTT 3: CONNACK 5"
	case i.Layer == "payload":
		return "MQTT 5: reason " + number(i.Code) + " (QoS 0: nothing). MQTT 3: a normal acknowledgement, so check the log; the end of the connection after ten in a row"
	case i.Doing != "":
		return "MQTT 5: reason " + number(i.Code) + " (QoS 0: nothing). MQTT 3: the end of the connection"
	case i.Version == 0:
		return "the end of the connection"
	}
	return "MQTT 5: reason " + number(i.Code) + ", and the end of the connection. MQTT 3: the end of the connection"
}

func number(c mqtt.ReasonCode) string { return fmt.Sprintf("%d %s", uint8(c), c) }

// connackV3 is the return code of MQTT 3.1.1 §3.2.2.3 for a refused login.
func connackV3(c mqtt.ReasonCode) string {
	switch c {
	case mqtt.BadUserNameOrPassword:
		return "4, or the end of the connection when there was a password without a user name"
	case mqtt.ServerUnavailable, mqtt.ServerBusy:
		return "3"
	}
	return "5"
}

// advices say what would let a client in, by the words of a check. The first whose layer and prefix fit is given.
var advices = []struct{ layer, check, text string }{
	{"transport", "alert from the peer", "on the client, name the CA that signed the certificate of this listener, and connect to a name or address that the certificate has; sealmq ca inspect HOST:PORT shows both"},
	{"transport", "peer left", "on the client, name the CA that signed the certificate of this listener, and connect to a name or address that the certificate has: many clients that refuse a certificate just leave; sealmq ca inspect HOST:PORT shows both"},
	{"transport", "tls record", "use a client that speaks TLS here, or a listener without TLS"},
	{"transport", "tls version", "let the client offer the version, or set min_version of the listener to 1.2"},
	{"transport", "protocol version", "let the client offer TLS 1.2 or 1.3"},
	{"transport", "certificate validity", "give the client a certificate that is valid now, and check both clocks"},
	{"transport", "certificate authority", "give the client a certificate signed by an authority of client_cert.ca, or add its authority there"},
	{"transport", "certificate purpose", "issue the certificate with the extended key usage client authentication"},
	{"transport", "certificate revocation list", "put a current list of the issuer into client_cert.crl and reload"},
	{"transport", "certificate revocation", "issue a new certificate: this one was revoked"},
	{"transport", "client certificate", "give the client a certificate and its key, or set client_cert.mode to request"},
	{"transport", "psk identity", "add the identity to tls_psk.file and reload, or give the client one that is in it"},
	{"transport", "key lookup", "correct tls_psk.file and reload"},
	{"transport", "pre-shared key", "give the client the key that tls_psk.file has for its identity"},
	{"transport", "handshake timeout", "check the network between the client and the broker, or raise limits.connect_timeout"},
	{"transport", "websocket origin", "add the page's origin to websocket.origins"},
	{"transport", "websocket path", "let the client use the path of the listener"},
	{"transport", "websocket sub-protocol", "let the client offer the sub-protocol mqtt"},
	{"transport", "", "let the client offer what the check expects"},
	{"protocol", "", "correct the client: it does not keep to the standard"},
	{"login", "anonymous: authentication method", "let the client use a method that is offered, or configure this one in auth"},
	{"login", "anonymous", "give the client a login, or set auth.anonymous for clients on this machine"},
	{"login", "lockout", "wait, correct what the client sends, or raise auth.lockout"},
	{"login", "password: encryption", "connect over TLS, or use SCRAM, which sends no password"},
	{"login", "jwt: encryption", "connect over TLS"},
	{"login", "password: queue", "try again later, or raise auth.password.hash_queue"},
	{"login", "password", "use a user name and a password of auth.password.file; sealmq passwd ls and sealmq passwd check show what it has"},
	{"login", "scram", "use an account of auth.scram.file and its password; channel binding must be the client's own"},
	{"login", "jwt", "use a token that is signed by a key of auth.jwt, not expired, and for its issuer and audience"},
	{"login", "certificate", "use a certificate that has the name which auth.certificate.identity wants, and no other user name in CONNECT"},
	{"login", "credential", "use a credential that is fresh, was not used before, and is made with a key of auth.credential.keyring for this broker and this CONNECT"},
	{"login", "psk", "leave the user name of CONNECT out, or make it the PSK identity"},
	{"login", "", "log in again with what the check expects"},
	{"payload", "", "protect the message as the rule demands; sealmq pub --help shows how"},
	{"limit", "audit.", "make room for the audit file; what cannot be recorded is not allowed in"},
	{"limit", "storage", "make room on the disk of the data folder"},
	{"limit", "limits.connect_timeout", "let the client send a complete CONNECT sooner, or raise the limit"},
	{"limit", "", "let the client do with less, or raise the limit and reload"},
}

// Advice says what would have to change for a check of a layer to pass.
func Advice(layer, check string) string {
	for _, a := range advices {
		if a.layer == layer && strings.HasPrefix(check, a.check) {
			return a.text
		}
	}
	return ""
}
