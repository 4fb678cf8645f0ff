package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/xdg-go/scram"

	"github.com/sealmq/sealmq/internal/authn"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/mqtt"
)

// loginNode is a broker on loopback with accounts alice (password "right") and carl (passwordless), SCRAM for bob
// (password "pencil"), and tokens signed with the returned key.
func loginNode(tb testing.TB, extra string) (*Node, *config.Plan, ed25519.PrivateKey) {
	tb.Helper()
	dir := tb.TempDir()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	v, err := authn.NewVerifier(authn.Argon2id, []byte("right"))
	if err != nil {
		tb.Fatal(err)
	}
	s, _, err := authn.NewSCRAMVerifier(authn.SCRAMSHA256, "bob", []byte("pencil"), authn.MinSCRAMIterations)
	if err != nil {
		tb.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	write("passwd", "alice:"+v.Encode()+"\ncarl:passwordless\nbob:"+s.Encode()+"\n")
	write("keys", fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":%q}]}`, base64.RawURLEncoding.EncodeToString(public)))
	write("sealmq.yaml", `
version: 1
listeners: [{name: local, bind: "127.0.0.1:0"}]
storage: {engine: memory}
auth:
  password: {file: passwd`+extra+`}
  scram: {file: passwd}
  jwt: {keys: keys, issuer: i, audience: a}
  lockout: {failures: 1000, address_failures: 1000}
`)
	plan, err := config.FromFlags(config.Flags{Config: filepath.Join(dir, "sealmq.yaml")})
	if err != nil {
		tb.Fatal(err)
	}
	return startNode(tb, plan), plan, private
}

// startNode runs a broker until the end of the test.
func startNode(tb testing.TB, plan *config.Plan) *Node {
	tb.Helper()
	return startNodeLog(tb, plan, slog.NewTextHandler(tb.Output(), nil))
}

// startNodeLog is startNode with another log.
func startNodeLog(tb testing.TB, plan *config.Plan, log slog.Handler) *Node {
	tb.Helper()
	n, err := Start(tb.Context(), plan, slog.New(log), "test")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { stop(tb, n) })
	return n
}

func stop(tb testing.TB, n *Node) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		tb.Error(err)
	}
}

// wire is a raw connection.
type wire struct {
	tb   testing.TB
	conn net.Conn
	r    *mqtt.Reader
	v    mqtt.Version
}

func dial(tb testing.TB, n *Node, v mqtt.Version) *wire {
	tb.Helper()
	conn, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", n.Addrs()[0].String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return &wire{tb, conn, mqtt.NewReader(conn, v, 0), v}
}

func (w *wire) send(p mqtt.Packet) {
	w.tb.Helper()
	b, err := p.Append(nil, w.v)
	if err != nil {
		w.tb.Fatal(err)
	}
	w.raw(b)
}

func (w *wire) raw(b []byte) {
	if _, err := w.conn.Write(b); err != nil {
		w.tb.Error(err)
	}
}

// connack returns the code of the CONNACK; ok is false when the connection closes without one.
func (w *wire) connack() (code mqtt.ReasonCode, ok bool) {
	p, err := w.r.ReadPacket()
	if err != nil {
		return 0, false
	}
	ack, ok := p.(*mqtt.Connack)
	if !ok {
		w.tb.Fatalf("got %v", p.Type())
	}
	return ack.ReasonCode, true
}

// rawConnect builds a CONNECT byte by byte, so that combinations which the codec would not write are possible. A nil
// field is absent.
func rawConnect(level byte, id string, user, password []byte) []byte {
	flags := byte(2)
	body := []byte{0, 4, 'M', 'Q', 'T', 'T', level}
	var payload []byte
	field := func(b []byte) { payload = append(append(payload, byte(len(b)>>8), byte(len(b))), b...) }
	field([]byte(id))
	if user != nil {
		flags |= 0x80
		field(user)
	}
	if password != nil {
		flags |= 0x40
		field(password)
	}
	body = append(body, flags, 0, 60)
	if level == 5 {
		body = append(body, 0)
	}
	body = append(body, payload...)
	return append([]byte{0x10, byte(len(body))}, body...)
}

// TestAttack35_LoginMatrix: every cell of user name, password and version. "closed" means without CONNACK [MQTT-3.1.2-22].
func TestAttack35_LoginMatrix(t *testing.T) {
	n, _, _ := loginNode(t, "")
	const bad = mqtt.BadUserNameOrPassword
	for _, c := range []struct {
		name           string
		user, password []byte
		v3, v5         mqtt.ReasonCode
		closed3        bool
	}{
		{"name, right password", []byte("alice"), []byte("right"), 0, 0, false},
		{"name, wrong password", []byte("alice"), []byte("wrong"), 4, bad, false},
		{"unknown name, password", []byte("mallory"), []byte("right"), 4, bad, false},
		{"name, empty password", []byte("alice"), []byte{}, 4, bad, false},
		{"name, no password", []byte("alice"), nil, 4, bad, false},
		{"unknown name, no password", []byte("mallory"), nil, 4, bad, false},
		{"passwordless, empty password", []byte("carl"), []byte{}, 0, 0, false},
		{"passwordless, no password", []byte("carl"), nil, 0, 0, false},
		{"passwordless, a password", []byte("carl"), []byte("x"), 4, bad, false},
		{"empty name, password", []byte{}, []byte("right"), 4, bad, false},
		{"no name, password", nil, []byte("right"), 0, bad, true},
		{"no name, empty password", nil, []byte{}, 0, bad, true},
		{"nothing", nil, nil, 5, mqtt.NotAuthorized, false},
	} {
		for level, want := range map[byte]mqtt.ReasonCode{4: c.v3, 5: c.v5} {
			w := dial(t, n, mqtt.Version(level))
			w.raw(rawConnect(level, c.name, c.user, c.password))
			got, ok := connackCode(w)
			if closed := level == 4 && c.closed3; ok == closed || ok && got != byte(want) {
				t.Errorf("%s, level %d: got %#x %v, want %#x", c.name, level, got, ok, byte(want))
			}
		}
	}
}

// connackCode reads the third byte behind the fixed header: the code as it is on the wire.
func connackCode(w *wire) (byte, bool) {
	var b [4]byte
	for i := range b {
		if _, err := w.conn.Read(b[i : i+1]); err != nil {
			return 0, false
		}
	}
	return b[3], b[0] == 0x20
}

// TestAttack31_WrongPassword: neither a wrong password nor another principal gets at a session or ends its
// connection.
func TestAttack31_WrongPassword(t *testing.T) {
	n, _, _ := loginNode(t, "")
	victim := dial(t, n, mqtt.V311)
	victim.raw(rawConnect(4, "c", []byte("alice"), []byte("right")))
	if code, ok := victim.connack(); !ok || code != mqtt.Success {
		t.Fatal(code, ok)
	}
	for _, c := range []struct{ user, password string }{{"alice", "wrong"}, {"mallory", "right"}, {"carl", ""}} {
		w := dial(t, n, mqtt.V5)
		w.raw(rawConnect(5, "c", []byte(c.user), []byte(c.password)))
		if code, ok := w.connack(); !ok || !code.IsError() {
			t.Errorf("%s: %v %v", c.user, code, ok)
		}
	}
	victim.send(&mqtt.Pingreq{})
	if p, err := victim.r.ReadPacket(); err != nil || p.Type() != mqtt.TypePingresp {
		t.Errorf("the victim's connection: %v %v", p, err)
	}
}

// TestSCRAMOverTheWire logs in with the library's client, renews the login, and cannot become somebody else by it.
func TestSCRAMOverTheWire(t *testing.T) {
	n, _, _ := loginNode(t, "")
	conversation := func(password string) *scram.ClientConversation {
		c, err := scram.SHA256.NewClient("bob", password, "")
		if err != nil {
			t.Fatal(err)
		}
		return c.NewConversation()
	}
	step := func(c *scram.ClientConversation, in []byte) []byte {
		t.Helper()
		out, err := c.Step(string(in))
		if err != nil {
			t.Fatal(err)
		}
		return []byte(out)
	}
	const method = "SCRAM-SHA-256"
	auth := func(code mqtt.ReasonCode, data []byte) *mqtt.Auth {
		p := &mqtt.Auth{ReasonCode: code}
		p.Properties.SetAuthMethod(method)
		p.Properties.SetAuthData(data)
		return p
	}
	login := func(password string) (*wire, *scram.ClientConversation) {
		w, c := dial(t, n, mqtt.V5), conversation(password)
		p := &mqtt.Connect{ProtocolVersion: mqtt.V5, CleanStart: true, ClientID: "s"}
		p.Properties.SetAuthMethod(method)
		p.Properties.SetAuthData(step(c, nil))
		w.send(p)
		challenge, err := w.r.ReadPacket()
		if err != nil {
			t.Fatal(err)
		}
		w.send(auth(mqtt.ContinueAuthentication, step(c, challenge.(*mqtt.Auth).Properties.AuthData)))
		return w, c
	}
	bad, _ := login("wrong")
	if code, ok := bad.connack(); !ok || code != mqtt.BadUserNameOrPassword {
		t.Errorf("wrong password: %v %v", code, ok)
	}
	w, c := login("pencil")
	p, err := w.r.ReadPacket()
	if err != nil {
		t.Fatal(err)
	}
	ack := p.(*mqtt.Connack)
	step(c, ack.Properties.AuthData)
	if ack.ReasonCode != mqtt.Success || !c.Valid() {
		t.Fatalf("%+v, the client believes the server: %v", ack, c.Valid())
	}
	again := conversation("pencil")
	w.send(auth(mqtt.ReAuthenticate, step(again, nil)))
	p, err = w.r.ReadPacket()
	if err != nil {
		t.Fatal(err)
	}
	w.send(auth(mqtt.ContinueAuthentication, step(again, p.(*mqtt.Auth).Properties.AuthData)))
	if p, err = w.r.ReadPacket(); err != nil || p.(*mqtt.Auth).ReasonCode != mqtt.Success {
		t.Fatal(p, err)
	}
	w.send(auth(mqtt.ReAuthenticate, []byte("n,,n=mallory,r=abcdef")))
	if _, err = w.r.ReadPacket(); err != nil {
		t.Fatal(err)
	}
	w.send(auth(mqtt.ContinueAuthentication, []byte("c=biws,r=x,p=AAAA")))
	if p, err = w.r.ReadPacket(); err != nil || p.(*mqtt.Disconnect).ReasonCode != mqtt.NotAuthorized {
		t.Errorf("another name in re-authentication: %+v %v", p, err)
	}
}

// TestTokenEndsTheConnection: a connection does not outlive its token; renewing the token lengthens it, and another
// subject is refused.
func TestTokenEndsTheConnection(t *testing.T) {
	n, _, key := loginNode(t, "")
	token := func(sub string, life time.Duration) []byte {
		s, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
			"iss": "i", "aud": "a", "sub": sub, "exp": time.Now().Add(life).Unix(),
		}).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return []byte(s)
	}
	login := func(life time.Duration) *wire {
		w := dial(t, n, mqtt.V5)
		p := &mqtt.Connect{ProtocolVersion: mqtt.V5, CleanStart: true}
		p.Properties.SetAuthMethod(authn.TokenMethod)
		p.Properties.SetAuthData(token("alice", life))
		w.send(p)
		if code, ok := w.connack(); !ok || code != mqtt.Success {
			t.Fatal(code, ok)
		}
		return w
	}
	renew := func(w *wire, data []byte) mqtt.Packet {
		p := &mqtt.Auth{ReasonCode: mqtt.ReAuthenticate}
		p.Properties.SetAuthMethod(authn.TokenMethod)
		p.Properties.SetAuthData(data)
		w.send(p)
		answer, err := w.r.ReadPacket()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	short, renewed, other := login(2*time.Second), login(2*time.Second), login(time.Hour)
	if p, ok := renew(renewed, token("alice", time.Hour)).(*mqtt.Auth); !ok || p.ReasonCode != mqtt.Success {
		t.Errorf("renewal: %+v", p)
	}
	if p, ok := renew(other, token("root", time.Hour)).(*mqtt.Disconnect); !ok || p.ReasonCode != mqtt.NotAuthorized {
		t.Errorf("another subject: %+v", p)
	}
	p, err := short.r.ReadPacket() // waits for the end of the token
	if d, ok := p.(*mqtt.Disconnect); err != nil || !ok || d.ReasonCode != mqtt.NotAuthorized {
		t.Errorf("after exp: %+v %v", p, err)
	}
	renewed.send(&mqtt.Pingreq{})
	if p, err := renewed.r.ReadPacket(); err != nil || p.Type() != mqtt.TypePingresp {
		t.Errorf("the renewed connection: %v %v", p, err)
	}
}

// TestAttack34_ReloadIsAllOrNothing: a missing or broken file refuses the reload, and the old accounts stay in force.
func TestAttack34_ReloadIsAllOrNothing(t *testing.T) {
	n, plan, _ := loginNode(t, "")
	file := plan.Config.Auth.Password.File
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	in := func() bool {
		w := dial(t, n, mqtt.V5)
		w.raw(rawConnect(5, "c", []byte("alice"), []byte("right")))
		code, ok := w.connack()
		return ok && code == mqtt.Success
	}
	for _, broken := range []func() error{
		func() error { return os.WriteFile(file, []byte("alice\n"), 0o600) },
		func() error { return os.Remove(file) },
		func() error { return os.Remove(plan.Config.Auth.JWT.Keys) },
	} {
		if err := broken(); err != nil {
			t.Fatal(err)
		}
		if n.Reload(plan) == nil || !in() {
			t.Error("a broken file was taken over")
		}
		if err := os.WriteFile(file, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Start(t.Context(), plan, slog.New(slog.DiscardHandler), "test"); err == nil {
		t.Error("a broker starts without its key set")
	}
}

// BenchmarkLoginStorm is 1000 clients that log in at once, each with a password of its own to hash; a connected client
// measures what they do to it. refused/op are those told to try again.
func BenchmarkLoginStorm(b *testing.B) {
	const clients = 1000
	for b.Loop() {
		n, _, _ := loginNode(b, ", hash_queue: 1024")
		pinger := dial(b, n, mqtt.V311)
		pinger.raw(rawConnect(4, "pinger", []byte("alice"), []byte("right")))
		pinger.connack()
		done := make(chan struct{})
		var pings []time.Duration
		var pinging sync.WaitGroup
		pinging.Go(func() {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for {
				start := time.Now()
				_ = pinger.conn.SetDeadline(start.Add(30 * time.Second))
				pinger.send(&mqtt.Pingreq{})
				if _, err := pinger.r.ReadPacket(); err != nil {
					return
				}
				pings = append(pings, time.Since(start))
				select {
				case <-done:
					return
				case <-tick.C:
				}
			}
		})
		var storm sync.WaitGroup
		var mu sync.Mutex
		codes := map[mqtt.ReasonCode]int{}
		for i := range clients {
			w := dial(b, n, mqtt.V5)
			storm.Go(func() {
				w.raw(rawConnect(5, "", fmt.Appendf(nil, "user%d", i), []byte("wrong")))
				code, _ := w.connack()
				mu.Lock()
				codes[code]++
				mu.Unlock()
			})
		}
		storm.Wait()
		close(done)
		pinging.Wait()
		slices.Sort(pings)
		b.ReportMetric(float64(pings[len(pings)*99/100].Microseconds())/1000, "ping-p99-ms")
		b.ReportMetric(float64(codes[mqtt.ServerBusy]), "refused/op")
		b.ReportMetric(float64(codes[mqtt.BadUserNameOrPassword]), "checked/op")
	}
}

// TestLoginStormIsBounded: 1000 clients log in at the same moment, each with a password of its own to hash. Every one gets an
// answer, no more hashes than the budget allows are under way, the memory for them stays within it, and a client that is
// connected is served all the time.
func TestLoginStormIsBounded(t *testing.T) {
	const clients, slots, perHash = 1000, 2, 19 << 20
	n, _, _ := loginNode(t, ", hash_queue: 1024, max_parallel_hashes: 2")
	pinger := dial(t, n, mqtt.V311)
	pinger.raw(rawConnect(4, "pinger", []byte("alice"), []byte("right")))
	if code, ok := pinger.connack(); !ok || code != mqtt.Success {
		t.Fatal(code, ok)
	}
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	done := make(chan struct{})
	var watching sync.WaitGroup
	var peak uint64
	pings := 0
	watching.Go(func() {
		for {
			_ = pinger.conn.SetDeadline(time.Now().Add(30 * time.Second))
			pinger.send(&mqtt.Pingreq{})
			if _, err := pinger.r.ReadPacket(); err != nil {
				t.Errorf("the connected client: %v", err)
				return
			}
			pings++
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	conns := make([]*wire, clients)
	for i := range conns {
		conns[i] = dial(t, n, mqtt.V5)
	}
	var storm sync.WaitGroup
	var mu sync.Mutex
	codes := map[mqtt.ReasonCode]int{}
	for i, w := range conns {
		storm.Go(func() {
			_ = w.conn.SetDeadline(time.Now().Add(5 * time.Minute))
			w.raw(rawConnect(5, "", fmt.Appendf(nil, "user%d", i), []byte("wrong")))
			code, ok := w.connack()
			if !ok {
				code = 0xff // no answer
			}
			mu.Lock()
			codes[code]++
			mu.Unlock()
		})
	}
	storm.Wait()
	close(done)
	watching.Wait()
	if codes[mqtt.BadUserNameOrPassword] == 0 || codes[mqtt.BadUserNameOrPassword]+codes[mqtt.ServerBusy]+codes[mqtt.Banned] != clients {
		t.Errorf("answers: %v", codes)
	}
	// The hashes under way, as much again that they left behind, as much that a collection under way does not see yet, and
	// 96 MiB for both ends of 1000 connections.
	if budget := uint64(3*slots*perHash + 96<<20); peak > before.HeapInuse+budget {
		t.Errorf("%d MiB at most, %d MiB before, budget %d MiB", peak>>20, before.HeapInuse>>20, budget>>20)
	}
	t.Logf("%v, %d pings, %d MiB at most, %d MiB before", codes, pings, peak>>20, before.HeapInuse>>20)
}
