package broker

import (
	"testing"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

// TestConnectIsChecked: what no login makes right is refused before it, and what the login may not ask for is refused
// after it; nobody has a session then.
func TestConnectIsChecked(t *testing.T) {
	v31 := func(p *mqtt.Connect) { p.ProtocolVersion = mqtt.V31 }
	for name, c := range map[string]struct {
		id   string
		opts []setup
		code mqtt.ReasonCode // Success: accepted
	}{
		"no identifier":                    {"", nil, mqtt.Success},
		"no identifier, and it resumes":    {"", []setup{dirty}, mqtt.Success}, // MQTT 5: a new one is given
		"no identifier, 3.1.1":             {"", []setup{v3}, mqtt.Success},
		"an identifier, 3.1.1, it resumes": {"c", []setup{v3, dirty}, mqtt.Success},
		"an identifier, 3.1":               {"c", []setup{v31}, mqtt.Success},
		"a will":                           {"c", []setup{withWill("a/b/c", 0)}, mqtt.Success},
		"a will too deep":                  {"c", []setup{withWill("a/b/c/d", 0)}, mqtt.TopicNameInvalid},
		"a will with a wildcard":           {"c", []setup{withWill("a/#", 0)}, mqtt.TopicNameInvalid},
		"a will on a reserved topic":       {"c", []setup{withWill("$SYS/x", 0)}, mqtt.NotAuthorized},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				client := r.open()
				p := connectPacket(c.id, c.opts...)
				client.v = p.ProtocolVersion
				client.send(p)
				if c.code != mqtt.Success {
					client.refused(c.code)
					if n := len(r.b.sessions.all()); n != 0 {
						t.Errorf("%d sessions", n)
					}
					return
				}
				if ack := expect[*mqtt.Connack](client); ack.ReasonCode != mqtt.Success {
					t.Errorf("%v", ack.ReasonCode)
				}
			}, with(func(s *Settings) { s.TopicLevels = 3 }))
		})
	}
	for _, opts := range [][]setup{nil, {v3}} { // an exchange is for those who asked for one
		bubble(t, func(r *rig) {
			r.authn.login = func(*identity.Credentials) identity.Verdict {
				return identity.Verdict{Outcome: identity.Continued, Next: func([]byte) identity.Verdict {
					return identity.Verdict{Outcome: identity.Accepted, Principal: identity.Principal{Method: "scram", Name: "a"}}
				}}
			}
			client := r.open()
			p := connectPacket("c", opts...)
			client.v = p.ProtocolVersion
			client.send(p)
			client.refused(mqtt.NotAuthorized)
		})
	}
}

// TestConnectAnswers: MQTT 3 hears the causes that it has a return code for, MQTT 5 those of CONNACK.
func TestConnectAnswers(t *testing.T) {
	three := map[mqtt.ReasonCode]bool{
		mqtt.UnsupportedProtocolVersion: true, mqtt.ClientIdentifierNotValid: true, mqtt.ServerUnavailable: true, mqtt.ServerBusy: true,
		mqtt.BadUserNameOrPassword: true, mqtt.NotAuthorized: true, mqtt.Banned: true, mqtt.QuotaExceeded: true,
	}
	for code := range mqtt.ReasonCode(255) {
		for version, want := range map[mqtt.Version]bool{
			mqtt.V31: three[code], mqtt.V311: three[code], mqtt.V5: code.IsError() && code.ValidIn(mqtt.TypeConnack),
		} {
			if got := (&conn{version: version}).answersConnect(nil, code); got != want {
				t.Errorf("%v to version %v: %v", code, version, got)
			}
		}
	}
	for _, c := range []struct {
		v    mqtt.Version
		err  error
		want mqtt.Version
	}{{mqtt.V5 + 1, unknownLevel, mqtt.V5}, {mqtt.V5, nil, mqtt.V5}, {mqtt.V31, nil, mqtt.V31}, {mqtt.V31, unknownLevel, mqtt.V31}, {mqtt.V31 - 1, unknownLevel, mqtt.V311}, {mqtt.V31 - 1, errProtocol, mqtt.V31 - 1}, {0, errProtocol, 0}} {
		if got := answerVersion(c.v, c.err); got != c.want {
			t.Errorf("%v with %v is answered in %v, want %v", c.v, c.err, got, c.want)
		}
	}
}
