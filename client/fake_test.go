package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/mqtt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeServer hands the server's end of each connection to the test, which plays the server line by line.
type fakeServer struct {
	t     *testing.T
	v     mqtt.Version
	peers chan *peer
}

func newFake(t *testing.T, v mqtt.Version) *fakeServer {
	return &fakeServer{t: t, v: v, peers: make(chan *peer, 4)}
}

func (f *fakeServer) dial(ctx context.Context, _ *url.URL) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case f.peers <- &peer{t: f.t, v: f.v, conn: far, r: mqtt.NewReader(far, f.v, 0)}:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// config is the base of most tests: any password would do, and reconnects are quick.
func (f *fakeServer) config() client.Config {
	return client.Config{
		Server: "mqtt://fake", Dial: f.dial, Version: f.v, ClientID: "c1",
		Reconnect: client.Backoff{Min: time.Millisecond, Max: 2 * time.Millisecond},
	}
}

// peer is the server's end of one connection.
type peer struct {
	t    *testing.T
	v    mqtt.Version
	conn net.Conn
	r    *mqtt.Reader
}

func (f *fakeServer) next() *peer {
	f.t.Helper()
	select {
	case p := <-f.peers:
		return p
	case <-time.After(5 * time.Second):
		f.t.Fatal("the client did not connect")
		return nil
	}
}

// accept takes the next connection and answers its CONNECT.
func (f *fakeServer) accept(ack *mqtt.Connack) (*peer, *mqtt.Connect) {
	f.t.Helper()
	p := f.next()
	c := expect[*mqtt.Connect](p)
	c = c.Clone()
	p.send(ack)
	return p, c
}

// start dials a client against the fake and accepts it.
func (f *fakeServer) start(cfg client.Config, ack *mqtt.Connack) (*client.Client, *peer) {
	f.t.Helper()
	c, err := client.New(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		f.t.Fatal(err)
	}
	p, _ := f.accept(ack)
	if err := c.WaitConnected(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	return c, p
}

func (p *peer) send(packets ...mqtt.Packet) {
	p.t.Helper()
	var b []byte
	for _, packet := range packets {
		var err error
		if b, err = packet.Append(b, p.v); err != nil {
			p.t.Fatalf("fake server: %v", err)
		}
	}
	p.sendRaw(b)
}

func (p *peer) sendRaw(b []byte) {
	p.t.Helper()
	_ = p.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatalf("fake server writes: %v", err)
	}
}

func (p *peer) read() (mqtt.Packet, error) {
	_ = p.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	return p.r.ReadPacket()
}

// expect reads the next packet, which must be of type T.
func expect[T mqtt.Packet](p *peer) T {
	p.t.Helper()
	got, err := p.read()
	if err != nil {
		p.t.Fatalf("fake server waits for %T: %v", *new(T), err)
	}
	want, ok := got.(T)
	if !ok {
		p.t.Fatalf("fake server got %s %+v, want %T", got.Type(), got, *new(T))
	}
	return want
}

// expectClosed reads until the client has closed the connection; nothing may come.
func (p *peer) expectClosed() {
	p.t.Helper()
	if got, err := p.read(); err == nil {
		p.t.Fatalf("fake server got %s, want the end of the connection", got.Type())
	} else if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
		p.t.Fatalf("fake server: %v, want the end of the connection", err)
	}
}

// closeClient closes the client while the fake reads its DISCONNECT.
func closeClient(t *testing.T, c *client.Client, p *peer) {
	t.Helper()
	if err := c.WaitConnected(t.Context()); err != nil { // one that still reads its CONNACK has nothing to say goodbye to
		t.Fatalf("close: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Close(context.Background()) }()
	expect[*mqtt.Disconnect](p)
	_ = p.conn.Close()
	if err := <-done; err != nil {
		t.Fatalf("close: %v", err)
	}
}

func connack(set ...func(*mqtt.Properties)) *mqtt.Connack {
	ack := new(mqtt.Connack)
	for _, f := range set {
		f(&ack.Properties)
	}
	return ack
}

func sessionPresent() *mqtt.Connack { return &mqtt.Connack{SessionPresent: true} }

// publishing runs Publish in the background and returns where its result will be.
func publishing(t *testing.T, c *client.Client, m *client.Message) <-chan error {
	result := make(chan error, 1)
	go func() { result <- c.Publish(t.Context(), m) }()
	return result
}

func message(topic, payload string, q mqtt.QoS) *client.Message {
	return &client.Message{Topic: topic, Payload: []byte(payload), QoS: q}
}
