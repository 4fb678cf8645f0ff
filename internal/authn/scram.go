package authn

import (
	"context"
	"crypto/hmac"
	"crypto/sha512"
	"errors"
	"slices"
	"strings"

	"github.com/xdg-go/scram"

	"github.com/sealmq/sealmq/internal/identity"
)

// Binding says whether a SCRAM login is tied to its TLS connection (RFC 5802 §6, RFC 9266).
type Binding string

// The values of auth.scram.channel_binding.
const (
	BindingPreferred Binding = "preferred" // checked whenever the client offers it
	BindingRequired  Binding = "required"
	BindingOff       Binding = "off"
)

// SCRAMOptions are the settings of the SCRAM method.
type SCRAMOptions struct {
	File       string // account file
	Mechanisms []Mechanism
	Binding    Binding
}

// scramMethod is MQTT 5 enhanced authentication with SCRAM: the Authentication Method is the mechanism's name, with or
// without -PLUS, the Authentication Data are the messages of RFC 5802 §7, beginning with the client's in CONNECT.
type scramMethod struct {
	options  SCRAMOptions
	accounts *Accounts
	secret   []byte
	decoys   map[Mechanism][]*SCRAMVerifier // whose parameters unknown names are answered with; never empty
}

var errSCRAMSize = errors.New("message too long")

// maxSCRAMMessage bounds one message of the exchange, in bytes.
const maxSCRAMMessage = 4096

func newSCRAM(o *SCRAMOptions, secret []byte) (*scramMethod, error) {
	accounts, err := LoadAccounts(o.File)
	if err != nil {
		return nil, err
	}
	s := &scramMethod{options: *o, accounts: accounts, secret: secret, decoys: map[Mechanism][]*SCRAMVerifier{}}
	for _, m := range o.Mechanisms {
		for _, a := range accounts.All() {
			if v := a.SCRAM[m]; v != nil {
				s.decoys[m] = append(s.decoys[m], v)
			}
		}
		if len(s.decoys[m]) == 0 {
			s.decoys[m] = []*SCRAMVerifier{{mechanism: m, iterations: DefaultSCRAMIterations, salt: make([]byte, newSalt)}}
		}
	}
	return s, nil
}

func (s *scramMethod) name() string { return "scram" }

func (s *scramMethod) recognises(_ *identity.Evidence, cr *identity.Credentials) bool {
	return slices.Contains(s.options.Mechanisms, mechanismOf(cr.Method))
}

// mechanismOf strips the suffix that announces channel binding.
func mechanismOf(authMethod string) Mechanism {
	return Mechanism(strings.TrimSuffix(authMethod, "-PLUS"))
}

func (s *scramMethod) claimed(cr *identity.Credentials) string { return scramUser(cr.Data) }

func (s *scramMethod) sendsSecret(*identity.Credentials) bool { return false }

// scramUser finds the user name in a client-first-message (RFC 5802 §7); "" when there is none.
func scramUser(data []byte) string {
	if len(data) > maxSCRAMMessage {
		return ""
	}
	fields := strings.SplitN(string(data), ",", 4)
	if len(fields) != 4 {
		return ""
	}
	name, ok := strings.CutPrefix(fields[2], "n=")
	if !ok {
		return ""
	}
	return strings.NewReplacer("=2C", ",", "=3D", "=").Replace(name)
}

func (s *scramMethod) authenticate(_ context.Context, ev *identity.Evidence, cr *identity.Credentials) identity.Verdict {
	m := mechanismOf(cr.Method)
	x := &scramExchange{s: s, connectUser: cr.Username}
	server, err := m.hash().NewServer(func(user string) (scram.StoredCredentials, error) {
		v, known := s.verifier(m, user)
		x.known = known
		return v.credentials(), nil
	})
	if err != nil {
		return reject(identity.NotPermitted, s.name(), "mechanism", "one that is offered", "", err)
	}
	required := s.options.Binding == BindingRequired || string(m) != cr.Method
	binding, err := s.binding(ev)
	switch {
	case err != nil || required && binding == nil:
		return reject(identity.NotPermitted, s.name(), "channel binding", "TLS with tls-exporter (TLS 1.3, or 1.2 with extended master secret)",
			"a connection without", err)
	case required:
		x.conversation = server.NewConversationWithChannelBindingRequired(*binding)
	case binding != nil:
		x.conversation = server.NewConversationWithChannelBinding(*binding)
	default:
		x.conversation = server.NewConversation()
	}
	return x.first(cr.Data)
}

// binding is the tls-exporter value of the connection (RFC 9266 §2); nil when there is none or it is not wanted.
func (s *scramMethod) binding(ev *identity.Evidence) (*scram.ChannelBinding, error) {
	if s.options.Binding == BindingOff || ev.TLS == nil || ev.TLS.Exporter == nil {
		return nil, nil
	}
	value, err := ev.TLS.Exporter("EXPORTER-Channel-Binding", nil, 32)
	if err != nil {
		return nil, err
	}
	return &scram.ChannelBinding{Type: scram.ChannelBindingTLSExporter, Data: value}, nil
}

// verifier returns what the proof is checked against. Unknown names get the parameters of an account picked by the name
// and a salt of their own that stays the same, as RFC 5802 §9 wants it, and keys that no password has.
func (s *scramMethod) verifier(m Mechanism, user string) (v *SCRAMVerifier, known bool) {
	mac := hmac.New(sha512.New, s.secret)
	mac.Write([]byte(string(m) + "\x00" + user))
	random := mac.Sum(nil)
	if acc := s.accounts.Get(user); acc != nil && acc.SCRAM[m] != nil {
		return acc.SCRAM[m], true
	}
	like := s.decoys[m][pick(s.secret, user, len(s.decoys[m]))]
	mac.Write([]byte("keys"))
	keys := mac.Sum(nil)[:m.size()]
	return &SCRAMVerifier{
		mechanism: m, iterations: like.iterations, salt: random[:min(len(like.salt), len(random))], storedKey: keys, serverKey: keys,
	}, false
}

// scramExchange is one login under way.
type scramExchange struct {
	s            *scramMethod
	conversation *scram.ServerConversation
	connectUser  string // of CONNECT; "" without
	known        bool
}

// first answers the client-first-message with the server's.
func (x *scramExchange) first(data []byte) identity.Verdict {
	reply, err := x.step(data)
	switch {
	case err != nil:
		return x.deny("client-first-message", "one of RFC 5802 with the offered channel binding", err)
	case x.connectUser != "" && x.connectUser != x.conversation.Username():
		return x.deny("user name of CONNECT", "that of the exchange or none", nil)
	case x.conversation.AuthzID() != "" && x.conversation.AuthzID() != x.conversation.Username():
		return x.deny("authorization identity", "none: logging in for somebody else is not offered", nil)
	}
	return identity.Verdict{Outcome: identity.Continued, Data: []byte(reply), Next: x.final}
}

// final checks the client's proof and answers with the server's.
func (x *scramExchange) final(data []byte) identity.Verdict {
	reply, err := x.step(data)
	// Any of the three says it: the library's answer, its state, and that the keys of unknown names are of no password.
	if err != nil || !x.conversation.Valid() || !x.known {
		return x.deny("proof", "that of the password of an account in "+x.s.options.File, err)
	}
	v := accept(x.s.name(), "", x.conversation.Username())
	v.Data = []byte(reply)
	return v
}

func (x *scramExchange) step(data []byte) (string, error) {
	if len(data) > maxSCRAMMessage {
		return "", errSCRAMSize
	}
	return x.conversation.Step(string(data))
}

// deny is one class for all causes. The library's words are not kept: they quote the client and the binding.
func (x *scramExchange) deny(check, expected string, err error) identity.Verdict {
	found := "another"
	if err != nil && strings.Contains(err.Error(), "channel binding") {
		check, found = "channel binding", "another, or none where it is needed"
	}
	return reject(identity.NotAuthenticated, x.s.name(), check, expected, found+" of "+quote(x.conversation.Username()), nil)
}
