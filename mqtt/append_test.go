package mqtt

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestAppendRefuses shows that what no receiver may accept is not written, and that dst comes back as it was.
func TestAppendRefuses(t *testing.T) {
	long := strings.Repeat("x", 65536)
	cases := []struct {
		name string
		v    Version
		p    Packet
		code ReasonCode
	}{
		{"long topic", V311, &Publish{Topic: long}, PacketTooLarge},
		{"empty topic", V311, &Publish{}, TopicNameInvalid},
		{"alias only in 3.1.1", V311, &Publish{Properties: props(func(p *Properties) { p.SetTopicAlias(1) })}, TopicNameInvalid},
		{"QoS 3", V5, &Publish{Topic: "a", QoS: 3, PacketID: 1}, ProtocolError},
		{"no packet id", V5, &Publish{Topic: "a", QoS: 1}, ProtocolError},
		{"DUP with QoS 0", V5, &Publish{Topic: "a", Dup: true}, ProtocolError},
		{"long user property", V5, &Publish{Topic: "a", Properties: props(func(p *Properties) { p.AddUser("k", long) })}, PacketTooLarge},
		{"property of CONNACK", V5, &Publish{Topic: "a", Properties: props(func(p *Properties) { p.SetServerKeepAlive(1) })}, ProtocolError},
		{"too many user properties", V5, &Puback{PacketID: 1, Properties: props(func(p *Properties) {
			for range MaxUserProperties + 1 {
				p.AddUser("", "")
			}
		})}, PacketTooLarge},
		{"subscription identifier 0", V5, &Publish{Topic: "a", Properties: props(func(p *Properties) { p.AddSubscriptionID(0) })}, ProtocolError},
		{"two subscription identifiers", V5, &Subscribe{
			PacketID: 1, Subscriptions: []Subscription{{Filter: "a"}},
			Properties: props(func(p *Properties) {
				p.AddSubscriptionID(1)
				p.AddSubscriptionID(2)
			}),
		}, ProtocolError},
		{"ack of id 0", V311, &Puback{}, ProtocolError},
		{"ack with foreign code", V5, &Pubcomp{PacketID: 1, ReasonCode: QuotaExceeded}, ProtocolError},
		{"no filter", V5, &Subscribe{PacketID: 1}, ProtocolError},
		{"long filter", V5, &Subscribe{PacketID: 1, Subscriptions: []Subscription{{Filter: long}}}, PacketTooLarge},
		{"subscribe QoS 3", V5, &Subscribe{PacketID: 1, Subscriptions: []Subscription{{Filter: "a", QoS: 3}}}, ProtocolError},
		{"no local shared", V5, &Subscribe{PacketID: 1, Subscriptions: []Subscription{{Filter: "$share/g/a", NoLocal: true}}}, ProtocolError},
		{"no filter to end", V311, &Unsubscribe{PacketID: 1}, ProtocolError},
		{"too many filters", V311, &Unsubscribe{PacketID: 1, Filters: make([]string, MaxSubscriptions+1)}, QuotaExceeded},
		{"suback without code", V311, &Suback{PacketID: 1}, ProtocolError},
		{"suback foreign code", V5, &Suback{PacketID: 1, ReasonCodes: []ReasonCode{MalformedPacket}}, ProtocolError},
		{"unsuback without code", V5, &Unsuback{PacketID: 1}, ProtocolError},
		{"unsuback foreign code", V5, &Unsuback{PacketID: 1, ReasonCodes: []ReasonCode{GrantedQoS1}}, ProtocolError},
		{"session in refusal", V311, &Connack{SessionPresent: true, ReasonCode: NotAuthorized}, ProtocolError},
		{"disconnect foreign code", V5, &Disconnect{ReasonCode: Banned}, ProtocolError},
		{"auth in 3.1.1", V311, &Auth{}, ProtocolError},
		{"auth without method", V5, &Auth{ReasonCode: ReAuthenticate}, ProtocolError},
		{"connect without version", 0, &Connect{ClientID: "c"}, UnsupportedProtocolVersion},
		{"connect of two versions", V5, &Connect{ProtocolVersion: V311, ClientID: "c"}, UnsupportedProtocolVersion},
		{"bridge in 5", V5, &Connect{Bridge: true, ClientID: "c"}, UnsupportedProtocolVersion},
		{"password alone", V311, &Connect{ClientID: "c", HasPassword: true}, ProtocolError},
		{"long password", V5, &Connect{ClientID: "c", HasPassword: true, Password: []byte(long)}, PacketTooLarge},
		{"no id, persistent", V311, &Connect{}, ClientIdentifierNotValid},
		{"no id in 3.1", V31, &Connect{CleanStart: true}, ClientIdentifierNotValid},
		{"will without topic", V5, &Connect{HasWill: true}, TopicNameInvalid},
		{"will QoS 3", V5, &Connect{HasWill: true, Will: Will{Topic: "w", QoS: 3}}, ProtocolError},
		{"auth data alone", V5, &Connect{Properties: props(func(p *Properties) { p.SetAuthData([]byte("x")) })}, ProtocolError},
	}
	for _, c := range cases {
		b, err := c.p.Append([]byte("before"), c.v)
		if !errors.Is(err, &Error{Code: c.code}) {
			t.Errorf("%s: %v, want 0x%02X", c.name, err, uint8(c.code))
		}
		if string(b) != "before" {
			t.Errorf("%s: something was written", c.name)
		}
	}
}

// TestAppendTooLarge is apart because of its size.
func TestAppendTooLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("256 MB")
	}
	p := Publish{Topic: "a", Payload: make([]byte, MaxRemainingLength)}
	if _, err := p.Append(nil, V311); !errors.Is(err, &Error{Code: PacketTooLarge}) {
		t.Error(err)
	}
}

func TestV3FailuresOfSuback(t *testing.T) {
	b := mustAppend(t, &Suback{PacketID: 1, ReasonCodes: []ReasonCode{NotAuthorized, GrantedQoS1}}, V311)
	if string(b) != "\x90\x04\x00\x01\x80\x01" {
		t.Errorf("% x", b)
	}
}

func TestAppendWith(t *testing.T) {
	forwarded := props(messageProperties)
	encoded, err := forwarded.Append(nil, TypePublish)
	if err != nil {
		t.Fatal(err)
	}
	var p Publish
	p.Topic, p.Payload = "a", []byte("x")
	p.Properties.AddSubscriptionID(5)
	b, err := p.AppendWith(nil, V5, encoded)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseFrame(b, V5)
	if err != nil {
		t.Fatal(err)
	}
	g := got.(*Publish)
	if g.Properties.ContentType != "application/json" || len(g.Properties.User) != 3 || g.Properties.SubscriptionIDs[0] != 5 {
		t.Errorf("%+v", g)
	}
	if b, err = p.AppendWith(nil, V311, encoded); err != nil || string(b) != "\x30\x04\x00\x01ax" {
		t.Errorf("3.1.1: % x, %v", b, err)
	}
}

func TestPacketIDOffset(t *testing.T) {
	for _, size := range []int{0, 1, 200, 20_000, 3_000_000} {
		b := mustAppend(t, &Publish{Topic: "abc", QoS: 1, PacketID: 0x0102, Payload: make([]byte, size)}, V5)
		if at := PacketIDOffset(b); at < 0 || b[at] != 1 || b[at+1] != 2 {
			t.Errorf("payload of %d bytes: offset %d", size, at)
		}
		for cut := range min(len(b), 9) {
			if at := PacketIDOffset(b[:cut]); at != -1 {
				t.Errorf("%d bytes: offset %d", cut, at)
			}
		}
	}
	for _, p := range []Packet{&Publish{Topic: "a"}, &Puback{PacketID: 1}} {
		if at := PacketIDOffset(mustAppend(t, p, V311)); at != -1 {
			t.Errorf("%s: offset %d", p.Type(), at)
		}
	}
	if at := PacketIDOffset([]byte("\x32\xFF\xFF\xFF\xFF\xFF\xFF")); at != -1 {
		t.Errorf("endless length: offset %d", at)
	}
}

// TestCredentialPrefix checks that a sender can compute the prefix that the receiver will see, without the Password.
func TestCredentialPrefix(t *testing.T) {
	for _, v := range versions {
		for _, p := range samples(v) {
			c, ok := p.(*Connect)
			if !ok {
				continue
			}
			k := *c
			k.Password = nil
			prefix, err := k.AppendCredentialPrefix(nil, v)
			if !c.HasPassword {
				if err == nil {
					t.Error("a prefix without a Password")
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			b := mustAppend(t, c, v)
			got, err := parseFrame(b, 0)
			if err != nil {
				t.Fatal(err)
			}
			if seen := got.(*Connect).CredentialPrefix; string(seen) != string(prefix) {
				t.Errorf("%s: sender % x\nreceiver % x", v, prefix, seen)
			}
			_, n, _ := ParseHeader(b, v)
			if rest := b[len(b)-2-len(c.Password):]; string(b[n:]) != string(prefix)+string(rest) {
				t.Errorf("%s: prefix and Password are not the body", v)
			}
		}
	}
}

// TestSecretsDoNotPrint prints packets with secrets in all usual ways.
func TestSecretsDoNotPrint(t *testing.T) {
	const secret = "hunter2secret"
	c := Connect{ProtocolVersion: V5, ClientID: "c", HasPassword: true, Password: []byte(secret)}
	c.Properties.SetAuthData([]byte(secret))
	a := Auth{Properties: c.Properties}
	for _, x := range []any{c, &c, a, &a} {
		var out strings.Builder
		fmt.Fprintf(&out, "%v %+v %#v %s %x %d %q", x, x, x, x, x, x, x)
		slog.New(slog.NewTextHandler(&out, nil)).Info("packet", "p", x)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("packet", "p", x)
		j, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(j)
		for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprint([]byte(secret)), "aHVudGVyMnNlY3JldA"} {
			if strings.Contains(out.String(), form) {
				t.Errorf("%T prints its secret: %s", x, out.String())
			}
		}
	}
}
