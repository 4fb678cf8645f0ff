package doctor

import (
	"fmt"
	"time"
)

// renewBefore is how long before its end a certificate should have been renewed.
const renewBefore = 30 * 24 * time.Hour

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func plaintextReachable(m *Model, s *sheet) {
	for _, l := range m.Listeners {
		if !l.Loopback && !l.Encrypted {
			s.add(l.Place, fmt.Sprintf("the listener %s on %s has no encryption", l.Name, l.Address), m.say(
				"replace allow_plaintext: true by tls: {cert: server.crt, key: server.key}, or bind it to 127.0.0.1",
				"add below it: certfile, keyfile and cafile; or write: listener "+port(l.Address)+" 127.0.0.1",
				"serve TLS there, and bind what is in the clear to loopback",
			))
		}
	}
}

// port is the part of an address behind its last colon.
func port(address string) string {
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == ':' {
			return address[i+1:]
		}
	}
	return address
}

func anonymousReachable(m *Model, s *sheet) {
	for _, l := range m.Listeners {
		if l.Anonymous && !l.Loopback {
			s.add(l.AnonymousPlace, fmt.Sprintf("anyone who reaches %s is let in by the listener %s", l.Address, l.Name), m.say(
				"set auth.anonymous: false and configure a login, for example auth: {password: {file: passwd}}",
				"write: allow_anonymous false, and give it a password_file made with mosquitto_passwd",
				"require a login",
			))
		}
	}
}

func anonymousLocal(m *Model, s *sheet) {
	for _, l := range m.Listeners {
		if l.Anonymous && l.Loopback {
			s.add(l.AnonymousPlace, fmt.Sprintf("every program on this machine is let in by the listener %s on %s", l.Name, l.Address), m.say(
				"set auth.anonymous: false once your clients have accounts: sealmq passwd add FILE NAME",
				"write: allow_anonymous false, and give clients accounts with mosquitto_passwd",
				"require a login",
			))
		}
	}
}

func passwordPlaintext(m *Model, s *sheet) {
	for _, l := range m.Listeners {
		if l.SecretsInClear && !l.Encrypted && !l.Loopback {
			s.add(l.SecretsPlace, fmt.Sprintf("passwords cross the network in the clear on the listener %s (%s)", l.Name, l.Address), m.say(
				"remove allow_clear_password: true and use TLS, or SCRAM, which sends no password",
				"take the accounts to a listener with certfile and keyfile, and bind this one to 127.0.0.1",
				"take logins over TLS only",
			))
		}
	}
	for _, b := range m.Bridges {
		if b.Secret && !b.Encrypted && !b.Loopback {
			s.add(b.Place, "the bridge "+b.Name+" sends its password in the clear", "give it bridge_cafile, and the other broker a certificate")
		}
	}
}

func bridgeInsecure(m *Model, s *sheet) {
	for _, b := range m.Bridges {
		if b.Insecure != nil {
			s.add(*b.Insecure, "the bridge "+b.Name+" talks to any server with any certificate of the authority", "remove bridge_insecure, and name the host as in its certificate")
		}
	}
}

func tlsOld(m *Model, s *sheet) {
	for _, l := range m.Listeners {
		if l.OldTLS != "" {
			s.add(l.OldTLSPlace, fmt.Sprintf("the listener %s accepts TLS %s", l.Name, l.OldTLS), m.say(
				`set tls.min_version: "1.2", or remove it for 1.3`, "write: tls_version tlsv1.2", "accept TLS 1.2 and 1.3 only",
			))
		}
	}
}

func forwardSecrecy(m *Model, s *sheet) {
	for _, l := range m.Listeners {
		if l.NoForwardSecrecy {
			s.add(l.ForwardPlace, "devices of the listener "+l.Name+" may use keys without a key exchange", m.say(
				"remove allow_no_forward_secrecy, or make a listener of its own for the devices that need it",
				"write: ciphers ECDHE-PSK-CHACHA20-POLY1305:ECDHE-PSK-AES128-CBC-SHA256", "offer (EC)DHE_PSK only",
			))
		}
	}
}

func certificateUnusable(m *Model, s *sheet) {
	for _, l := range m.Listeners {
		if c := l.Certificate; c != nil && c.Err != "" {
			s.add(c.Place, c.File+": "+c.Err, "put the certificate and its key there, PEM, the leaf first")
		}
	}
}

func certificateExpires(m *Model, s *sheet) {
	for _, l := range m.Listeners {
		c := l.Certificate
		if c == nil || c.Err != "" {
			continue
		}
		switch left := c.NotAfter.Sub(m.Now); {
		case left <= 0:
			s.atLeast(High)
			s.add(c.Place, fmt.Sprintf("%s expired on %s", c.File, day(c.NotAfter)), m.renew(l.Name))
		case m.Now.Before(c.NotBefore):
			s.atLeast(High)
			s.add(c.Place, fmt.Sprintf("%s is valid from %s on, and the clock shows %s", c.File, day(c.NotBefore), day(m.Now)), "correct the clock, or wait")
		case left < renewBefore && c.NotAfter.Sub(c.NotBefore) > 2*renewBefore:
			s.add(c.Place, fmt.Sprintf("%s expires on %s, in %d days", c.File, day(c.NotAfter), int(left.Hours()/24)), m.renew(l.Name))
		}
	}
}

func (m *Model) renew(listener string) string {
	return m.say("renew it, put the new files in its place and reload: connections stay",
		"renew it and send SIGHUP", "renew the certificate of "+listener)
}

func certificateNames(m *Model, s *sheet) {
	for _, l := range m.Listeners {
		if c := l.Certificate; c != nil && c.Err == "" && c.Names == 0 {
			s.add(c.Place, c.File+" is for no host name and no address", "issue it with the names by which clients connect as Subject Alternative Names")
		}
	}
}

func certificateWeak(m *Model, s *sheet) {
	for _, l := range m.Listeners {
		if c := l.Certificate; c != nil && c.Err == "" && c.Weak != "" {
			s.add(c.Place, c.File+": "+c.Weak, "issue it anew with an ECDSA P-256 key and SHA-256")
		}
	}
}

func clientCertUnused(m *Model, s *sheet) {
	for _, l := range m.Listeners {
		if l.ClientCA && !l.IdentityUsed {
			s.add(l.ClientCAPlace, "the listener "+l.Name+" checks client certificates and does not ask whose they are", m.say(
				`add auth: {certificate: {identity: "{cn}"}}`, "write: use_identity_as_username true", "",
			))
		}
	}
}

func crlMissing(m *Model, s *sheet) {
	for _, l := range m.Listeners {
		if l.ClientCA && l.CRL == nil {
			s.add(l.ClientCAPlace, "the listener "+l.Name+" has no list of revoked certificates", m.say(
				"add client_cert.crl with the list of your authority", "write: crlfile with the list of your authority", "",
			))
		}
	}
}

func crlStale(m *Model, s *sheet) {
	for _, l := range m.Listeners {
		switch c := l.CRL; {
		case c == nil:
		case c.Err != "":
			s.add(c.Place, c.File+": "+c.Err, "put the current list of your authority there")
		case m.Now.After(c.NextUpdate):
			s.add(c.Place, fmt.Sprintf("%s should have been replaced on %s", c.File, day(c.NextUpdate)), "publish a new list and reload; do so by a timer")
		}
	}
}

func originAny(m *Model, s *sheet) {
	for _, l := range m.Listeners {
		if l.AnyOrigin {
			s.add(l.OriginPlace, "the WebSocket listener "+l.Name+" takes connections of pages of any site",
				m.say("name the pages in websocket.origins", "write: websockets_origin https://your.site", "check the Origin"))
		}
	}
}

func nobodyLogsIn(m *Model, s *sheet) {
	for _, l := range m.Listeners {
		if l.NoLogin {
			s.add(l.NoLoginPlace, "nobody can log in on the listener "+l.Name, m.say(
				"configure a login, for example auth: {password: {file: passwd}}", "give it a password_file made with mosquitto_passwd", "",
			))
		}
	}
}

func observedOpen(m *Model, s *sheet) {
	for _, l := range m.Listeners {
		if l.Wildcard {
			s.add(l.Place, "a client without login was allowed to subscribe to #", "require a login, and give each client its own branch")
		}
	}
}

func opsExposed(m *Model, s *sheet) {
	if o := m.Ops; o != nil && !o.Loopback && (!o.TLS || !o.Token) {
		what := "without a token"
		if !o.TLS {
			what = "without encryption"
		}
		s.add(o.Place, fmt.Sprintf("metrics can be read from other machines on %s %s", o.Address, what), "bind it to 127.0.0.1, or add ops.tls and ops.token")
	}
}
