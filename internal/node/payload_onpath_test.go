package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// onPath is somebody on the way between a device and the broker: it sees every packet of the device, and may change it,
// drop it, or send others in its place.
type onPath struct {
	net.Listener
	target string

	mu     sync.Mutex
	change func(packet []byte) [][]byte // nil: as it came
	up     net.Conn                     // to the broker, of the last connection
	seen   []byte                       // everything that passed, in both directions
}

func newOnPath(t *testing.T, target string) *onPath {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &onPath{Listener: l, target: target}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.carry(c)
		}
	}()
	return p
}

func (p *onPath) url() string { return "mqtt://" + p.Addr().String() }

func (p *onPath) carry(down net.Conn) {
	up, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = down.Close()
		return
	}
	p.mu.Lock()
	p.up = up
	p.mu.Unlock()
	go func() {
		defer down.Close()
		buf := make([]byte, 4096)
		for {
			n, err := up.Read(buf)
			p.mu.Lock()
			p.seen = append(p.seen, buf[:n]...)
			p.mu.Unlock()
			if err != nil {
				return
			}
			if _, err := down.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	defer up.Close()
	for {
		packet, err := readPacket(down)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.seen = append(p.seen, packet...)
		out := [][]byte{packet}
		if p.change != nil {
			out = p.change(packet)
		}
		for _, b := range out {
			_, err = up.Write(b)
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// inject sends a packet as if the device had.
func (p *onPath) inject(t *testing.T, packet []byte) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.up.Write(packet); err != nil {
		t.Fatal(err)
	}
}

func (p *onPath) do(change func(packet []byte) [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change = change
}

// readPacket reads one packet with its fixed header.
func readPacket(r io.Reader) ([]byte, error) {
	b := make([]byte, 1, 64)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	n, shift := 0, 0
	for {
		var x [1]byte
		if _, err := io.ReadFull(r, x[:]); err != nil {
			return nil, err
		}
		b = append(b, x[0])
		n |= int(x[0]&0x7f) << shift
		if shift += 7; x[0] < 0x80 {
			break
		}
	}
	head := len(b)
	b = append(b, make([]byte, n)...)
	_, err := io.ReadFull(r, b[head:])
	return b, err
}

// ofPublish changes PUBLISH packets only.
func ofPublish(f func(p *mqtt.Publish) [][]byte) func([]byte) [][]byte {
	return func(packet []byte) [][]byte {
		if packet[0]>>4 != byte(mqtt.TypePublish) {
			return [][]byte{packet}
		}
		head := 1
		for packet[head] >= 0x80 {
			head++
		}
		var p mqtt.Publish
		if err := p.Parse(mqtt.V311, packet[0]&0xf, packet[head+1:]); err != nil {
			panic(err)
		}
		return f(&p)
	}
}

func encoded(p mqtt.Packet) []byte {
	b, err := p.Append(nil, mqtt.V311)
	if err != nil {
		panic(err)
	}
	return b
}

// credential is the Password of each attempt.
type credential struct {
	rec    *keyring.Record
	number uint64
}

// SealPassword implements client.CredentialSealer.
func (c *credential) SealPassword(prefix []byte, p *mqtt.Connect) ([]byte, error) {
	c.number++
	return protect.SealCredential(protect.CredentialConfig{Record: c.rec, Number: c.number, Clock: time.Now}, &protect.Connect{
		Level: byte(p.ProtocolVersion), ClientID: p.ClientID, HasUsername: p.HasUsername, Username: p.Username,
		Server: "plant", HasBinding: true, Binding: sha256.Sum256(prefix),
	})
}

// TestPayload_ReplacementForTLS: a device that speaks MQTT 3.1.1 without TLS logs in with a credential and seals to the
// broker; a stock client under TLS reads the plaintext. Whoever is on the way gets what docs/threat-model.md declares.
func TestPayload_ReplacementForTLS(t *testing.T) {
	device := key(t, "press-7", keyring.UseS, func(r *keyring.Record) { byClient(r); r.ClientID = "press-7" })
	storage := key(t, "rest", keyring.UseR, redistributed)
	login := key(t, "press-7", keyring.UseP3, func(r *keyring.Record) {
		r.Alg, r.Topics, r.Binding = -8, nil, true
		r.Sender = keyring.SenderRule{Kind: keyring.SenderFixed, ID: []byte("press-7")}
	})
	s := newSealedNode(t, `
storage_key: rest
rules:
  - {topic: "plant/#", redistribute: plaintext-to-tls, max_age: 60s}
`, device, storage)
	logins, err := keyring.Create(filepath.Join(s.dir, "logins"), keyring.Secret{})
	if err == nil {
		err = logins.Add(login.Public())
	}
	if err != nil {
		t.Fatal(err)
	}
	s.stop()
	s.auth = "auth: {anonymous: true, credential: {keyring: logins, server: plant}}"
	s.write(s.protection)
	s.start()

	path := newOnPath(t, s.n.Addrs()[0].String())
	connect := func() *client.Client {
		c, err := s.tryDial("press-7", mqtt.V311, false, func(cfg *client.Config) {
			cfg.Server, cfg.Username, cfg.HasUsername = path.url(), "press-7", true
			cfg.Credential = &credential{rec: login, number: uint64(time.Now().UnixMilli())}
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	press := connect()
	seal := sealer(t, protect.SealerConfig{Key: device, ClientID: "press-7"})
	const topic = "plant/7/force"
	sub := s.dial("reader", mqtt.V5, true)
	s.subscribe(sub, 1, "plant/#")

	t.Run("stock subscriber", func(t *testing.T) {
		read := s.stockSubscriber(t, topic)
		for { // until it has subscribed
			s.send(press, &client.Message{Topic: topic, Payload: sealAs(t, seal, topic, "90 kN"), QoS: 1})
			if m := s.receive(sub); string(m.Payload) != "90 kN" {
				t.Fatalf("delivered %q", m.Payload)
			}
			select {
			case got := <-read:
				if got != "90 kN" {
					t.Errorf("the stock subscriber read %q", got)
				}
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})

	captured := sealAs(t, seal, topic, "captured")
	s.send(press, &client.Message{Topic: topic, Payload: captured, QoS: 1})
	s.receive(sub)
	publish := func(text string, qos mqtt.QoS) []byte {
		b := sealAs(t, seal, topic, text)
		s.send(press, &client.Message{Topic: topic, Payload: b, QoS: qos})
		return b
	}

	// What can be changed on the way and what comes of it.
	t.Run("another topic", func(t *testing.T) {
		path.do(ofPublish(func(p *mqtt.Publish) [][]byte {
			p.Topic = "plant/8/force"
			return [][]byte{encoded(p)}
		}))
		publish("other topic", 1)
		path.do(nil)
		s.nothing(sub)
	})
	t.Run("a flipped bit", func(t *testing.T) {
		path.do(ofPublish(func(p *mqtt.Publish) [][]byte {
			p.Payload[len(p.Payload)-1] ^= 1
			return [][]byte{encoded(p)}
		}))
		publish("flipped", 1)
		path.do(nil)
		s.nothing(sub)
	})
	t.Run("retain", func(t *testing.T) { // declared: RETAIN is not authenticated, it can be set on a message that is new
		path.do(ofPublish(func(p *mqtt.Publish) [][]byte {
			p.Retain = true
			return [][]byte{encoded(p)}
		}))
		b := publish("retained on the way", 1)
		path.do(nil)
		if m := s.receive(sub); string(m.Payload) != "retained on the way" || !m.Retain {
			t.Errorf("delivered %q, retain %v", m.Payload, m.Retain)
		}
		// But nothing old can be put back.
		publish("newer", 1)
		s.receive(sub)
		for _, old := range [][]byte{b, captured} {
			path.inject(t, encoded(&mqtt.Publish{Topic: topic, Payload: old, Retain: true, QoS: 1, PacketID: 60000}))
		}
		s.nothing(sub)
		late := s.dial("late", mqtt.V5, true)
		s.subscribe(late, 1, topic)
		if m := s.receive(late); string(m.Payload) != "retained on the way" {
			t.Errorf("retained is %q", m.Payload)
		}
	})
	t.Run("another QoS", func(t *testing.T) { // declared: the guarantee is lost, the content is not
		path.do(ofPublish(func(p *mqtt.Publish) [][]byte {
			p.QoS, p.PacketID = 0, 0
			return [][]byte{encoded(p)}
		}))
		b := sealAs(t, seal, topic, "no guarantee")
		if err := press.PublishAsync(t.Context(), &client.Message{Topic: topic, Payload: b, QoS: 1}, nil); err != nil {
			t.Fatal(err)
		}
		if m := s.receive(sub); string(m.Payload) != "no guarantee" {
			t.Errorf("delivered %q", m.Payload)
		}
		path.do(nil)
		path.inject(t, encoded(&mqtt.Publish{Topic: topic, Payload: b, QoS: 1, Dup: true, PacketID: 60001})) // its resend
		s.nothing(sub)
	})
	t.Run("dropped", func(t *testing.T) { // declared: withholding cannot be prevented, and it is not acknowledged
		path.do(ofPublish(func(*mqtt.Publish) [][]byte { return nil }))
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		err := press.Publish(ctx, &client.Message{Topic: topic, Payload: sealAs(t, seal, topic, "dropped"), QoS: 1})
		path.do(nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("publish: %v", err)
		}
		s.nothing(sub)
	})
	t.Run("replayed and injected", func(t *testing.T) {
		for i, b := range [][]byte{captured, []byte("plain command"), nil} {
			for qos := range mqtt.QoS(3) {
				p := &mqtt.Publish{Topic: topic, Payload: b, QoS: qos}
				if qos > 0 {
					p.PacketID = mqtt.PacketID(61000 + 10*i + int(qos))
				}
				path.inject(t, encoded(p))
			}
		}
		s.nothing(sub)
	})
	t.Run("injected SUBSCRIBE", func(t *testing.T) { // declared: it works, and yields nothing that may not cross the network
		path.inject(t, encoded(&mqtt.Subscribe{PacketID: 62000, Subscriptions: []mqtt.Subscription{{Filter: "#", QoS: 1}}}))
		publish(secretText, 1)
		if m := s.receive(sub); string(m.Payload) != secretText {
			t.Errorf("delivered %q", m.Payload)
		}
		s.send(s.dial("other", mqtt.V5, true), &client.Message{Topic: "marker", Payload: []byte("marker on the path"), QoS: 1})
		s.await("the marker on the path", func() bool {
			path.mu.Lock()
			defer path.mu.Unlock()
			return strings.Contains(string(path.seen), "marker on the path")
		})
		path.mu.Lock()
		defer path.mu.Unlock()
		for _, text := range []string{secretText, "90 kN", "captured", "retained on the way"} {
			if strings.Contains(string(path.seen), text) {
				t.Errorf("%q was seen on the way", text)
			}
		}
	})
	t.Run("taken over", func(t *testing.T) { // somebody else goes on with the connection after CONNECT
		_ = press.Close(t.Context())
		path.do(func(packet []byte) [][]byte {
			if packet[0]>>4 == byte(mqtt.TypeConnect) {
				return [][]byte{packet}
			}
			return nil // the device is cut off
		})
		connect()
		for i, b := range [][]byte{[]byte("stop"), captured, sealAs(t, sealer(t, protect.SealerConfig{Key: storage}), topic, "stop")} {
			path.inject(t, encoded(&mqtt.Publish{Topic: topic, Payload: b, QoS: 1, PacketID: mqtt.PacketID(i + 1)}))
		}
		s.nothing(sub)
	})
}

// await waits for a condition.
func (s *sealedNode) await(what string, is func() bool) {
	s.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("waited for %s", what)
		}
	}
}

// stockSubscriber reads one message under TLS with mosquitto_sub, or with the own client where that is not installed.
func (s *sealedNode) stockSubscriber(t *testing.T, topic string) <-chan string {
	t.Helper()
	read := make(chan string, 1)
	addr := s.n.Addrs()[1].(*net.TCPAddr)
	program, err := exec.LookPath("mosquitto_sub")
	if err != nil {
		t.Log("mosquitto_sub is not installed: the own client reads instead")
		c := s.dial("stock", mqtt.V311, true)
		s.subscribe(c, 1, topic)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if m, err := c.Receive(ctx); err == nil {
				read <- string(m.Payload)
			}
		}()
		return read
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	cmd := exec.CommandContext(ctx, program, "-h", "127.0.0.1", "-p", fmt.Sprint(addr.Port), "--cafile", filepath.Join(s.pki.Dir, "ca.crt"),
		"-i", "stock", "-V", "mqttv311", "-q", "1", "-C", "1", "-N", "-t", topic)
	go func() {
		defer cancel()
		if out, err := cmd.Output(); err == nil {
			read <- string(out)
		}
	}()
	t.Cleanup(cancel)
	return read
}

// TestPayload_ManyPublishers: a thousand publishers that nobody trusts hold a public key. None of them can open any
// message, its own included, and neither can the broker; three subscribers can.
func TestPayload_ManyPublishers(t *testing.T) {
	const publishers, subscribers = 1000, 3
	readers := key(t, "readers", keyring.UseEnc, endToEnd)
	s := newSealedNode(t, `
rules:
  - {topic: "plant/#", require: [confidential, end-to-end]}
`, readers.Public())
	var subs []*client.Client
	var openers []*protect.Opener
	for i := range subscribers {
		c := s.dial(fmt.Sprintf("reader-%d", i), mqtt.V5, false)
		s.subscribe(c, 1, "plant/#")
		subs, openers = append(subs, c), append(openers, subscriberOf(t, readers))
	}
	seal := sealer(t, protect.SealerConfig{Recipients: []*keyring.Record{readers.Public()}})
	holders := subscriberOf(t, readers.Public()) // what a publisher holds
	for i := range publishers {
		topic, text := fmt.Sprintf("plant/%d/v", i), fmt.Sprintf("value %d", i)
		b := sealAs(t, seal, topic, text)
		if _, err := holders.Open(nil, &protect.Delivery{Topic: topic, Payload: b}); err == nil {
			res, _ := holders.Open(nil, &protect.Delivery{Topic: topic, Payload: b})
			if res.Form != protect.FormPlain || strings.Contains(string(res.Payload), text) {
				t.Fatal("a publisher opens its own message")
			}
		}
		from := s.dial(fmt.Sprintf("publisher-%d", i), mqtt.V311, false)
		if code := s.send(from, &client.Message{Topic: topic, Payload: b, QoS: 1}); code != mqtt.Success {
			t.Fatal(code)
		}
		_ = from.Close(t.Context())
		for j, sub := range subs {
			opens(t, openers[j], s.receive(sub), text)
		}
	}
}

// TestPayload_RotationUnderLoad: publishers and subscribers go from one epoch to the next while messages flow. None is lost,
// and the member that was left out opens nothing of the next epoch.
func TestPayload_RotationUnderLoad(t *testing.T) {
	device := key(t, "device", keyring.UseS, byClient)
	old := key(t, "readers", keyring.UseS, redistributed)
	next, err := old.Successor()
	if err != nil {
		t.Fatal(err)
	}
	s := newSealedNode(t, `
rules:
  - {topic: "plant/#", redistribute: sealed, group: readers}
`, device, old)
	const topic = "plant/7/v"
	sub, removed := s.dial("reader", mqtt.V5, false), s.dial("removed", mqtt.V5, false)
	s.subscribe(sub, 1, topic)
	s.subscribe(removed, 1, topic)
	reader, left := subscriberOf(t, old, next), subscriberOf(t, old) // who stays has the next epoch before it is used
	from := s.dial("device", mqtt.V5, false)
	seal := sealer(t, protect.SealerConfig{Key: device, ClientID: "device"})
	const before, after = 300, 300
	sent, rotated := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sent)
		for i := range before + after {
			if i == before {
				<-rotated // however fast the device is, some messages come after the rotation
			}
			b, err := seal.Seal(nil, &protect.Message{Topic: topic, Payload: []byte(fmt.Sprint(i))})
			if err == nil {
				err = from.Publish(t.Context(), &client.Message{Topic: topic, Payload: b, QoS: 1})
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	epochs := map[string]int{}
	opened := 0
	for i := range before + after {
		if i == before/2 { // while the device publishes
			s.add(next)
			if err := s.keys.Activate(next.KID); err != nil {
				t.Fatal(err)
			}
			if err := s.reload(); err != nil {
				t.Fatal(err)
			}
			close(rotated)
		}
		m := s.receive(sub)
		res := opens(t, reader, m, fmt.Sprint(i))
		epochs[fmt.Sprintf("%x", res.KID)]++
		if res, err := left.Open(nil, &protect.Delivery{Topic: topic, Payload: s.receive(removed).Payload}); err == nil && res.Form != protect.FormPlain {
			opened++
		}
	}
	<-sent
	if len(epochs) != 2 || epochs[fmt.Sprintf("%x", next.KID)] == 0 {
		t.Errorf("epochs: %v", epochs)
	}
	if opened != epochs[fmt.Sprintf("%x", old.KID)] {
		t.Errorf("the removed member opened %d messages, the old epoch has %v", opened, epochs)
	}
}
