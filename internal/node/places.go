package node

import (
	"strings"

	"github.com/sealmq/sealmq/internal/broker"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/identity"
)

// places knows where in the configuration each check is written. It never changes.
type places map[string]identity.Rule

func newPlaces(c *config.Config) places {
	p := places{}
	for _, v := range c.Values() {
		o := v.Origin
		if name, of, found := strings.Cut(v.Key, "]."); found && o == (config.Origin{}) && of != "bind" {
			o = c.Origin(name + "].bind") // a listener's default belongs to where the listener is written
		}
		r := identity.Rule{Name: v.Key + ": " + v.Value, File: o.File, Line: o.Line}
		if o.File == "" {
			r.Name += " (" + o.String() + ")"
		}
		p[v.Key] = r
	}
	return p
}

// checkKeys say which key a check belongs to, by the words it begins with; the first that fits is taken. Keys that begin
// with a dot are those of the listener. What has no row belongs to the listener as a whole.
var checkKeys = []struct {
	layer broker.Layer
	check string
	key   string
}{
	{broker.LayerTransport, "tls version", ".tls.min_version"},
	{broker.LayerTransport, "certificate revocation", ".client_cert.crl"},
	{broker.LayerTransport, "client certificate", ".client_cert.mode"},
	{broker.LayerTransport, "certificate", ".client_cert.ca"},
	{broker.LayerTransport, "alert from the peer", ".tls.cert"},
	{broker.LayerTransport, "peer left", ".tls.cert"},
	{broker.LayerTransport, "psk", ".tls_psk.file"},
	{broker.LayerTransport, "pre-shared key", ".tls_psk.file"},
	{broker.LayerTransport, "key exchange", ".tls_psk.allow_no_forward_secrecy"},
	{broker.LayerTransport, "key lookup", ".tls_psk.file"},
	{broker.LayerTransport, "websocket origin", ".websocket.origins"},
	{broker.LayerTransport, "websocket", ".websocket.path"},
	{broker.LayerTransport, "handshake timeout", "limits.connect_timeout"},
	{broker.LayerTransport, "", ".bind"},

	{broker.LayerLogin, "anonymous: authentication method", "auth.order"},
	{broker.LayerLogin, "anonymous", "auth.anonymous"},
	{broker.LayerLogin, "lockout: address_failures", "auth.lockout.address_failures"},
	{broker.LayerLogin, "lockout", "auth.lockout.failures"},
	{broker.LayerLogin, "password: queue", "auth.password.hash_queue"},
	{broker.LayerLogin, "password: encryption", ".allow_clear_password"},
	{broker.LayerLogin, "jwt: encryption", ".allow_clear_password"},
	{broker.LayerLogin, "password", "auth.password.file"},
	{broker.LayerLogin, "scram: channel binding", "auth.scram.channel_binding"},
	{broker.LayerLogin, "scram: mechanism", "auth.scram.mechanisms"},
	{broker.LayerLogin, "scram", "auth.scram.file"},
	{broker.LayerLogin, "jwt: iss", "auth.jwt.issuer"},
	{broker.LayerLogin, "jwt: aud", "auth.jwt.audience"},
	{broker.LayerLogin, "jwt", "auth.jwt.keys"},
	{broker.LayerLogin, "certificate: client identifier", "auth.certificate.client_id"},
	{broker.LayerLogin, "certificate", "auth.certificate.identity"},
	{broker.LayerLogin, "psk", "auth.psk"},
	{broker.LayerLogin, "credential", "auth.credential.keyring"},
}

// rule implements broker.Settings.Rule.
func (p places) rule(layer broker.Layer, listener, check string) identity.Rule {
	key := ""
	if layer == broker.LayerLimit {
		key = strings.Replace(check, "listeners[]", "listeners["+listener+"]", 1)
	}
	for _, c := range checkKeys {
		if key == "" && c.layer == layer && strings.HasPrefix(check, c.check) {
			key = c.key
		}
	}
	if strings.HasPrefix(key, ".") {
		key = "listeners[" + listener + "]" + key
	}
	if r, ok := p[key]; ok {
		return r
	}
	if strings.HasPrefix(key, "listeners[") {
		return p["listeners["+listener+"].bind"]
	}
	return identity.Rule{}
}
