package psktls

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

// TestSuitesAndGroups runs every suite with every group, in both versions.
func TestSuitesAndGroups(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 3000) // three records
	for _, s := range allSuites {
		groups := defaultGroups
		if s.version == VersionTLS12 && !s.ecdhe {
			groups = []uint16{0}
		}
		for _, group := range groups {
			t.Run(fmt.Sprintf("%s/%s", s.name, GroupName(group)), func(t *testing.T) {
				server, client := serverConfig(), clientConfig()
				for _, c := range []*Config{server, client} {
					c.CipherSuites = []uint16{s.id}
					c.AllowNoForwardSecrecy = group == 0
					if s.version == VersionTLS13 {
						c.KeyHash = s.hash
					}
				}
				if group != 0 {
					client.Groups = []uint16{group}
				}
				p := mustConnect(t, server, client)
				want := ConnectionState{
					HandshakeComplete: true, Version: s.version, CipherSuite: s.id,
					Group: group, ForwardSecret: group != 0,
				}
				for _, c := range []*Conn{p.server, p.client} {
					if got := c.ConnectionState(); got != want {
						t.Errorf("state %+v, want %+v", got, want)
					}
					if got := c.PSKIdentity(); got != testIdentity {
						t.Errorf("identity %q", got)
					}
				}
				p.transfer(t, data)
				p.sameExports(t)
			})
		}
	}
}

// sameExports checks that both sides export the same, and different for
// different labels, contexts and connections.
func (p *pair) sameExports(t *testing.T) {
	t.Helper()
	a, err := p.server.ChannelBinding()
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.client.ChannelBinding()
	if err != nil {
		t.Fatal(err)
	}
	if len(a) != 32 || !bytes.Equal(a, b) {
		t.Errorf("channel bindings %x and %x", a, b)
	}
	other, err := p.client.ExportKeyingMaterial("EXPERIMENTAL x", []byte("ctx"), 32)
	if err != nil || bytes.Equal(other, a) {
		t.Errorf("another label gives %x, %v", other, err)
	}
}

// TestDefaults pins what two untouched configurations agree on, per version.
func TestDefaults(t *testing.T) {
	for _, c := range []struct {
		max, suite uint16
	}{
		{0, TLS_AES_128_GCM_SHA256},
		{VersionTLS12, TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256},
	} {
		server, client := serverConfig(), clientConfig()
		client.MaxVersion, server.MaxVersion = c.max, c.max
		st := mustConnect(t, server, client).client.ConnectionState()
		if st.CipherSuite != c.suite || st.Group != defaultGroups[0] || !st.ForwardSecret {
			t.Errorf("max %s: %+v", VersionName(c.max), st)
		}
	}
}

// TestPSKKE runs psk_ke: only groups without a common one lead there, and only
// if both sides allow it.
func TestPSKKE(t *testing.T) {
	server, client := serverConfig(), clientConfig()
	server.Groups, client.Groups = []uint16{GroupP256}, []uint16{GroupX25519}
	server.MinVersion = VersionTLS13
	p := connectPipe(t, server, client)
	wantCheck(t, p.serverErr, CheckGroup, AlertHandshakeFailure)
	wantCheck(t, p.clientErr, CheckPeerAlert, AlertHandshakeFailure)

	server.AllowNoForwardSecrecy = true
	p = connectPipe(t, server, client)
	wantCheck(t, p.serverErr, CheckGroup, AlertHandshakeFailure)

	client.AllowNoForwardSecrecy = true
	p = mustConnect(t, server, client)
	if st := p.server.ConnectionState(); st.Group != 0 || st.ForwardSecret {
		t.Errorf("state %+v, want no group", st)
	}
	p.transfer(t, []byte("x"))
	p.sameExports(t)
}

func TestHelloRetryRequest(t *testing.T) {
	for _, group := range []uint16{GroupP256, GroupP384} {
		server, client := serverConfig(), clientConfig()
		server.Groups, client.Groups = []uint16{group}, x25519First
		p := mustConnect(t, server, client)
		for _, c := range []*Conn{p.server, p.client} {
			if st := c.ConnectionState(); !st.HelloRetryRequest || st.Group != group {
				t.Errorf("state %+v, want a retry with %s", st, GroupName(group))
			}
		}
		p.transfer(t, []byte("after the retry"))
	}
}

// TestDefaultGroups: the group that Go has in assembly comes first.
func TestDefaultGroups(t *testing.T) {
	for arch, want := range map[string]uint16{
		"amd64": GroupP256, "arm64": GroupP256, "ppc64le": GroupP256, "s390x": GroupP256,
		"386": GroupX25519, "arm": GroupX25519, "riscv64": GroupX25519,
	} {
		got := groupsFor(arch)
		if got[0] != want {
			t.Errorf("%s: %s first", arch, GroupName(got[0]))
		}
		if slices.Sort(got); !slices.Equal(got, []uint16{GroupP256, GroupP384, GroupX25519}) {
			t.Errorf("%s: groups %v", arch, got)
		}
	}
}

// TestGroupChoice: a server asks for no other share because it prefers a group;
// in TLS 1.2, which has no shares, the client's order counts.
func TestGroupChoice(t *testing.T) {
	p256First := []uint16{GroupP256, GroupX25519}
	for _, v := range []uint16{VersionTLS13, VersionTLS12} {
		for _, groups := range [][]uint16{p256First, x25519First} {
			server, client := only(v)
			server.Groups, client.Groups = p256First, groups
			st := mustConnect(t, server, client).server.ConnectionState()
			if st.Group != groups[0] || st.HelloRetryRequest {
				t.Errorf("%s, client with %s first: %+v", VersionName(v), GroupName(groups[0]), st)
			}
		}
	}
}

// TestShareChoice: among the shares of one ClientHello the server's order counts.
func TestShareChoice(t *testing.T) {
	hello := &clientHello{
		hasPreSharedKey: true, hasKeyShare: true, modes: []byte{modePSKDHE}, groups: x25519First,
		shares: []keyShare{{GroupX25519, []byte("x")}, {GroupP256, []byte("p")}},
	}
	for _, c := range []struct {
		groups []uint16
		group  uint16
		share  string
	}{
		{[]uint16{GroupP256, GroupX25519}, GroupP256, "p"},
		{[]uint16{GroupX25519, GroupP256}, GroupX25519, "x"},
		{[]uint16{GroupP384, GroupP256}, GroupP256, "p"},
		{[]uint16{GroupP384}, GroupP384, ""},
	} {
		hs := &server13{c: &Conn{settings: &settings{groups: c.groups}}, hello: hello}
		if err := hs.selectExchange(); err != nil || hs.group != c.group || string(hs.share) != c.share {
			t.Errorf("server with %s: chose %s, %q, %v", groupNames(c.groups), GroupName(hs.group), hs.share, err)
		}
	}
}

// TestWrongKeyAndUnknownIdentity checks that the peer sees the same octets count
// and alert for both, and the local side tells them apart.
func TestWrongKeyAndUnknownIdentity(t *testing.T) {
	boom := errors.New("database is down")
	cases := []struct {
		name   string
		client func(*Config)
		server func(*Config)
		check  Check
	}{
		{"wrong key", func(c *Config) { c.Key = bytes.Repeat([]byte{1}, 32) }, nil, CheckKey},
		{"wrong key of another length", func(c *Config) { c.Key = bytes.Repeat([]byte{1}, 16) }, nil, CheckKey},
		{"unknown identity", func(c *Config) { c.Identity = []byte("stranger") }, nil, CheckIdentity},
		{"lookup error", nil, func(c *Config) { c.GetKey = func([]byte) ([]byte, error) { return nil, boom } }, CheckKeyLookup},
		{"lookup error with a key", nil, func(c *Config) { c.GetKey = func([]byte) ([]byte, error) { return testKey, boom } }, CheckKeyLookup},
		{"lookup panic", nil, func(c *Config) { c.GetKey = func([]byte) ([]byte, error) { panic("bug") } }, CheckKeyLookup},
		{"short key", nil, func(c *Config) { c.GetKey = func([]byte) ([]byte, error) { return testKey[:15], nil } }, CheckKeyLookup},
		{"empty key", nil, func(c *Config) { c.GetKey = func([]byte) ([]byte, error) { return []byte{}, nil } }, CheckKeyLookup},
		{"long key", nil, func(c *Config) { c.GetKey = func([]byte) ([]byte, error) { return make([]byte, 257), nil } }, CheckKeyLookup},
	}
	for _, version := range []struct {
		v     uint16
		alert Alert
	}{{VersionTLS12, AlertBadRecordMAC}, {VersionTLS13, AlertDecryptError}} {
		sentToPeer := map[int]bool{}
		for _, c := range cases {
			t.Run(VersionName(version.v)+"/"+c.name, func(t *testing.T) {
				server, client := serverConfig(), clientConfig()
				server.MinVersion, server.MaxVersion = version.v, version.v
				if c.client != nil {
					c.client(client)
				}
				if c.server != nil {
					c.server(server)
				}
				a, b := net.Pipe()
				counted := &countingConn{Conn: a}
				p := connect(t, counted, b, server, client)
				wantCheck(t, p.serverErr, c.check, version.alert)
				wantCheck(t, p.clientErr, CheckPeerAlert, version.alert)
				if p.server.PSKIdentity() != "" || p.server.ConnectionState().HandshakeComplete {
					t.Error("a refused connection has an identity")
				}
				if _, err := p.server.ChannelBinding(); !errors.Is(err, CheckNotFinished) {
					t.Errorf("channel binding of a refused connection: %v", err)
				}
				if _, err := p.server.Read(make([]byte, 1)); !errors.Is(err, c.check) {
					t.Errorf("Read after refusal: %v", err)
				}
				if _, err := p.server.Write([]byte("x")); !errors.Is(err, c.check) {
					t.Errorf("Write after refusal: %v", err)
				}
				sentToPeer[counted.written] = true
			})
		}
		if len(sentToPeer) != 1 {
			t.Errorf("%s: the peer sees different amounts: %v", VersionName(version.v), sentToPeer)
		}
	}
}

type countingConn struct {
	net.Conn
	written int
}

func (c *countingConn) Write(b []byte) (int, error) {
	c.written += len(b)
	return c.Conn.Write(b)
}

// TestWrongKeyAtClient gives the server another key than the client: the client
// refuses a server that cannot prove the key, whatever the server says.
func TestServerErrorNamesTheCause(t *testing.T) {
	server, client := serverConfig(), clientConfig()
	client.Identity = []byte("evil\n\x1b[31m" + strings.Repeat("x", 200))
	p := connectPipe(t, server, client)
	wantCheck(t, p.serverErr, CheckIdentity, AlertDecryptError)
	text := p.serverErr.Error()
	if strings.ContainsAny(text, "\n\x1b") || !strings.Contains(text, `\x1b[31m`) || !strings.Contains(text, "octets)") || len(text) > 300 {
		t.Errorf("identity is not escaped and cut: %q", text)
	}
	client = clientConfig()
	client.Key = bytes.Repeat([]byte{0xAB}, 32)
	p = connectPipe(t, server, client)
	if text := p.serverErr.Error(); !strings.Contains(text, `the key of identity "sensor-7"`) {
		t.Errorf("got %q", text)
	}
}

func TestVersions(t *testing.T) {
	only := func(c *Config, v uint16) *Config { c.MinVersion, c.MaxVersion = v, v; return c }
	p := connectPipe(t, only(serverConfig(), VersionTLS13), only(clientConfig(), VersionTLS12))
	wantCheck(t, p.serverErr, CheckVersion, AlertProtocolVersion)
	p = connectPipe(t, only(serverConfig(), VersionTLS12), only(clientConfig(), VersionTLS13))
	wantCheck(t, p.serverErr, CheckVersion, AlertProtocolVersion)
	// A client that can do both falls to 1.2 with a server that can do no more.
	p = connectPipe(t, only(serverConfig(), VersionTLS12), clientConfig())
	if p.clientErr != nil || p.client.ConnectionState().Version != VersionTLS12 {
		t.Errorf("%v, %+v", p.clientErr, p.client.ConnectionState())
	}
}

func TestKeyHash(t *testing.T) {
	server, client := serverConfig(), clientConfig()
	server.KeyHash, client.KeyHash = crypto.SHA384, crypto.SHA384
	if st := mustConnect(t, server, client).client.ConnectionState(); st.CipherSuite != TLS_AES_256_GCM_SHA384 {
		t.Errorf("state %+v", st)
	}
	client.KeyHash = 0
	p := connectPipe(t, server, client)
	wantCheck(t, p.serverErr, CheckSuite, AlertHandshakeFailure)
}

func TestALPN(t *testing.T) {
	for _, v := range []uint16{VersionTLS12, VersionTLS13} {
		server, client := serverConfig(), clientConfig()
		client.MaxVersion = v
		server.MaxVersion = v
		server.NextProtos = []string{"mqtt", "x-amzn-mqtt-ca"}
		client.NextProtos = []string{"x-amzn-mqtt-ca", "mqtt"}
		p := mustConnect(t, server, client)
		if a, b := p.server.ConnectionState().NegotiatedProtocol, p.client.ConnectionState().NegotiatedProtocol; a != "mqtt" || b != "mqtt" {
			t.Errorf("%s: %q, %q", VersionName(v), a, b)
		}
		client.NextProtos = nil
		if p = mustConnect(t, server, client); p.server.ConnectionState().NegotiatedProtocol != "" {
			t.Error("a protocol nobody offered")
		}
		client.NextProtos = []string{"http/1.1"}
		p = connectPipe(t, server, client)
		wantCheck(t, p.serverErr, CheckALPN, AlertNoApplicationProtocol)
		wantCheck(t, p.clientErr, CheckPeerAlert, AlertNoApplicationProtocol)
	}
}

func TestIdentityHint(t *testing.T) {
	for _, plain := range []bool{false, true} {
		server, client := serverConfig(), clientConfig()
		server.IdentityHint, server.MaxVersion = "site 4", VersionTLS12
		server.AllowNoForwardSecrecy = plain
		if plain {
			client.AllowNoForwardSecrecy = true
			client.CipherSuites = []uint16{TLS_PSK_WITH_AES_128_GCM_SHA256}
		}
		mustConnect(t, server, client).transfer(t, []byte("x"))
	}
}

// TestOneOctetAtATime delivers every octet on its own, with net.Pipe in between
// so that nothing coalesces.
func TestOneOctetAtATime(t *testing.T) {
	for _, v := range []uint16{VersionTLS12, VersionTLS13} {
		server, client := serverConfig(), clientConfig()
		server.MaxVersion = v
		a, b := net.Pipe()
		p := connect(t, dribble{a}, dribble{b}, server, client)
		if p.serverErr != nil || p.clientErr != nil {
			t.Fatalf("%s: %v, %v", VersionName(v), p.serverErr, p.clientErr)
		}
		p.transfer(t, bytes.Repeat([]byte("drop by drop"), 2000))
	}
}

// dribble reads and writes single octets.
type dribble struct{ net.Conn }

func (d dribble) Read(b []byte) (int, error) { return d.Conn.Read(b[:min(len(b), 1)]) }

func (d dribble) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := d.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

func TestListener(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := NewListener(inner, serverConfig())
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, err = io.Copy(conn, conn)
			_ = conn.Close()
		}
		done <- err
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client := Client(raw, clientConfig())
	if _, err := client.Write([]byte("echo")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(client, got); err != nil || string(got) != "echo" {
		t.Fatalf("%q, %v", got, err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("server: %v", err)
	}
}
