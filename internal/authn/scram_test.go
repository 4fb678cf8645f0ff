package authn

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"github.com/sealmq/sealmq/internal/identity"
)

func scramFile(t testing.TB) string {
	t.Helper()
	var lines []string
	for _, m := range Mechanisms {
		v, name, err := NewSCRAMVerifier(m, "alice", []byte("pencil"), MinSCRAMIterations)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, name+":"+v.Encode())
	}
	return accountFile(t, lines...)
}

// exporter is a TLS connection whose exported keying material is fill.
func exporter(fill byte) *identity.Evidence {
	ev := from("192.0.2.1:1")
	ev.TLS.Exporter = func(label string, context []byte, n int) ([]byte, error) {
		if label != "EXPORTER-Channel-Binding" || len(context) != 0 {
			panic(label)
		}
		return bytes.Repeat([]byte{fill}, n), nil
	}
	return ev
}

func binding(fill byte) scram.ChannelBinding {
	return scram.ChannelBinding{Type: scram.ChannelBindingTLSExporter, Data: bytes.Repeat([]byte{fill}, 32)}
}

// runSCRAM plays the client and returns the last verdict and whether the client believes the server.
func runSCRAM(t *testing.T, l *Login, ev *identity.Evidence, method string, c *scram.ClientConversation, connectUser string) (identity.Verdict, bool) {
	t.Helper()
	first, err := c.Step("")
	if err != nil {
		t.Fatal(err)
	}
	v := authenticate(t, l, ev, &identity.Credentials{Level: 5, Method: method, Data: []byte(first), HasUsername: connectUser != "", Username: connectUser})
	if v.Outcome != identity.Continued {
		return v, false
	}
	final, err := c.Step(string(v.Data))
	if err != nil {
		t.Fatal(err)
	}
	if v = v.Next([]byte(final)); v.Outcome == identity.Accepted {
		if _, err := c.Step(string(v.Data)); err != nil {
			t.Fatal(err)
		}
	}
	return v, c.Valid()
}

func TestSCRAM(t *testing.T) {
	file := scramFile(t)
	client := func(m Mechanism, user, password, authz string) *scram.Client {
		c, err := m.hash().NewClient(user, password, authz)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	alice := client(SCRAMSHA256, "alice", "pencil", "")
	plain := func() *scram.ClientConversation { return alice.NewConversation() }
	bound := func(fill byte) *scram.ClientConversation {
		return alice.NewConversationWithChannelBinding(binding(fill))
	}
	broken := exporter(1)
	broken.TLS.Exporter = func(string, []byte, int) ([]byte, error) { return nil, errors.New("no extended master secret") }
	for _, c := range []struct {
		name    string
		binding Binding
		ev      *identity.Evidence
		method  string
		conv    *scram.ClientConversation
		user    string
		in      bool
		class   identity.Failure
	}{
		{"plain", BindingPreferred, local(), "SCRAM-SHA-256", plain(), "", true, 0},
		{"SHA-512", BindingPreferred, local(), "SCRAM-SHA-512", client(SCRAMSHA512, "alice", "pencil", "").NewConversation(), "", true, 0},
		{"bound", BindingPreferred, exporter(1), "SCRAM-SHA-256-PLUS", bound(1), "alice", true, 0},
		{"bound without plus", BindingPreferred, exporter(1), "SCRAM-SHA-256", bound(1), "", true, 0},
		{"unbound under TLS", BindingPreferred, exporter(1), "SCRAM-SHA-256", plain(), "", true, 0},
		{"binding of another connection", BindingPreferred, exporter(1), "SCRAM-SHA-256", bound(2), "", false, identity.NotAuthenticated},
		{"downgrade", BindingPreferred, exporter(1), "SCRAM-SHA-256", alice.NewConversationAdvertisingChannelBinding(), "", false, identity.NotAuthenticated},
		{"plus, not bound", BindingPreferred, exporter(1), "SCRAM-SHA-256-PLUS", plain(), "", false, identity.NotAuthenticated},
		{"plus without TLS", BindingPreferred, local(), "SCRAM-SHA-256-PLUS", bound(1), "", false, identity.NotPermitted},
		{"required", BindingRequired, exporter(1), "SCRAM-SHA-256", bound(1), "", true, 0},
		{"required, not bound", BindingRequired, exporter(1), "SCRAM-SHA-256", plain(), "", false, identity.NotAuthenticated},
		{"required, no TLS", BindingRequired, local(), "SCRAM-SHA-256", plain(), "", false, identity.NotPermitted},
		{"off", BindingOff, exporter(1), "SCRAM-SHA-256", bound(1), "", false, identity.NotAuthenticated},
		{"wrong password", BindingPreferred, local(), "SCRAM-SHA-256", client(SCRAMSHA256, "alice", "pen", "").NewConversation(), "", false, identity.NotAuthenticated},
		{"unknown name", BindingPreferred, local(), "SCRAM-SHA-256", client(SCRAMSHA256, "mallory", "pencil", "").NewConversation(), "", false, identity.NotAuthenticated},
		{"for itself by name", BindingPreferred, local(), "SCRAM-SHA-256", client(SCRAMSHA256, "alice", "pencil", "alice").NewConversation(), "", true, 0},
		{"the exporter fails", BindingPreferred, broken, "SCRAM-SHA-256", plain(), "", false, identity.NotPermitted},
		{"for somebody else", BindingPreferred, local(), "SCRAM-SHA-256", client(SCRAMSHA256, "alice", "pencil", "root").NewConversation(), "", false, identity.NotAuthenticated},
		{"other name in connect", BindingPreferred, local(), "SCRAM-SHA-256", plain(), "root", false, identity.NotAuthenticated},
		{"SHA-1", BindingPreferred, local(), "SCRAM-SHA-1", plain(), "", false, identity.BadMethod},
	} {
		l := newLogin(t, func(o *Options) { o.SCRAM = &SCRAMOptions{File: file, Mechanisms: Mechanisms, Binding: c.binding} })
		v, believed := runSCRAM(t, l, c.ev, c.method, c.conv, c.user)
		if c.in {
			wantAccepted(t, v, identity.Principal{Method: "scram", Name: "alice"})
		} else {
			v.Data = nil
			wantRefused(t, v, c.class)
		}
		if believed != c.in {
			t.Errorf("%s: the client believes the server: %v (%v)", c.name, believed, v.Cause)
		}
	}
}

// TestSCRAMUnknownNames: an unknown name gets an answer of the same form, and the same one each time, also after a
// restart with the same secret.
func TestSCRAMUnknownNames(t *testing.T) {
	file := scramFile(t)
	answer := func(user string) string {
		l := newLogin(t, func(o *Options) {
			o.SCRAM = &SCRAMOptions{File: file, Mechanisms: Mechanisms, Binding: BindingPreferred}
		})
		v := authenticate(t, l, local(), &identity.Credentials{Level: 5, Method: "SCRAM-SHA-256", Data: []byte("n,,n=" + user + ",r=abc")})
		if v.Outcome != identity.Continued {
			t.Fatalf("%s: %v", user, v.Cause)
		}
		_, rest, _ := strings.Cut(string(v.Data), ",s=")
		return rest
	}
	unknown := answer("mallory")
	if unknown != answer("mallory") || unknown == answer("oscar") || len(unknown) != len(answer("alice")) {
		t.Errorf("%q %q %q", unknown, answer("oscar"), answer("alice"))
	}
}

// TestSCRAMRubbish: no message makes it panic or log in.
func TestSCRAMRubbish(t *testing.T) {
	l := newLogin(t, func(o *Options) {
		o.SCRAM = &SCRAMOptions{File: scramFile(t), Mechanisms: Mechanisms, Binding: BindingPreferred}
	})
	for _, s := range []string{"", ",", "n,,", "n,,n=alice", "n,,m=x,n=alice,r=a", "p=tls-unique,,n=alice,r=a", "n,,n==,r=a", strings.Repeat("x", 5000)} {
		v := authenticate(t, l, local(), &identity.Credentials{Level: 5, Method: "SCRAM-SHA-256", Data: []byte(s)})
		wantRefused(t, v, identity.NotAuthenticated, "scram: ")
		v = authenticate(t, l, local(), &identity.Credentials{Level: 5, Method: "SCRAM-SHA-256", Data: []byte("n,,n=alice,r=a")}).Next([]byte(s))
		wantRefused(t, v, identity.NotAuthenticated, "scram: ")
	}
}

// TestSCRAMUnknownMechanism: an account without a verifier of the mechanism is an unknown name, and a file without any
// answers like one with some.
func TestSCRAMUnknownMechanism(t *testing.T) {
	v, _, err := NewSCRAMVerifier(SCRAMSHA512, "alice", []byte("pencil"), MinSCRAMIterations)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"alice:" + v.Encode(), "alice:passwordless"} {
		l := newLogin(t, func(o *Options) {
			o.SCRAM = &SCRAMOptions{File: accountFile(t, line), Mechanisms: Mechanisms, Binding: BindingPreferred}
		})
		c, err := SCRAMSHA256.hash().NewClient("alice", "pencil", "")
		if err != nil {
			t.Fatal(err)
		}
		got, _ := runSCRAM(t, l, local(), "SCRAM-SHA-256", c.NewConversation(), "")
		wantRefused(t, got, identity.NotAuthenticated, "proof")
	}
	if _, err := New(Options{SCRAM: &SCRAMOptions{File: "/nonexistent", Mechanisms: Mechanisms}}); err == nil {
		t.Error("a file that is not there is taken")
	}
}

// TestSCRAMMessageSize: a message above the bound is refused although its form is right; one below is answered.
func TestSCRAMMessageSize(t *testing.T) {
	l := newLogin(t, func(o *Options) {
		o.SCRAM = &SCRAMOptions{File: scramFile(t), Mechanisms: Mechanisms, Binding: BindingPreferred}
	})
	const head = "n,,n=alice,r="
	for size, want := range map[int]identity.Outcome{maxSCRAMMessage: identity.Continued, maxSCRAMMessage + 1: identity.Rejected} {
		data := []byte(head + strings.Repeat("r", size-len(head)))
		v := authenticate(t, l, local(), &identity.Credentials{Level: 5, Method: "SCRAM-SHA-256", Data: data})
		if v.Outcome != want {
			t.Errorf("%d bytes: %v, %v", size, v.Outcome, v.Cause)
		}
		if user := scramUser(data); (user == "alice") != (want == identity.Continued) {
			t.Errorf("%d bytes: counted for %q", size, user)
		}
	}
	for message, want := range map[string]string{
		"n,,n=alice,r=x": "alice", "n,a=root,n=a=2Cb=3Dc,r=x": "a,b=c", "n,,m=alice,r=x": "", "n,,n=alice": "", "": "",
	} {
		if got := scramUser([]byte(message)); got != want {
			t.Errorf("%q is counted for %q, want %q", message, got, want)
		}
	}
}

// TestSCRAMCauses: the log says whether it was the binding or the proof.
func TestSCRAMCauses(t *testing.T) {
	l := newLogin(t, func(o *Options) {
		o.SCRAM = &SCRAMOptions{File: scramFile(t), Mechanisms: Mechanisms, Binding: BindingPreferred}
	})
	c, err := SCRAMSHA256.hash().NewClient("alice", "wrong", "")
	if err != nil {
		t.Fatal(err)
	}
	v, _ := runSCRAM(t, l, exporter(1), "SCRAM-SHA-256", c.NewConversationWithChannelBinding(binding(2)), "")
	wantRefused(t, v, identity.NotAuthenticated, "scram: channel binding: ")
	v, _ = runSCRAM(t, l, exporter(1), "SCRAM-SHA-256", c.NewConversationWithChannelBinding(binding(1)), "")
	wantRefused(t, v, identity.NotAuthenticated, "scram: proof: ")
}
