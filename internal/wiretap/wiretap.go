// Package wiretap is somebody on the way between MQTT clients and a broker: it carries their connections, records every byte
// that passes, and alters or drops messages. The demo and the tests attack with it; nothing of the broker or the clients
// uses it.
package wiretap

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"

	"github.com/sealmq/sealmq/mqtt"
)

// Wire carries connections to one broker. Create it with New, end it with Close. It is safe for concurrent use.
type Wire struct {
	listener net.Listener
	broker   string // address
	version  mqtt.Version
	blind    bool // what passes is not MQTT: TLS, for example

	mu     sync.Mutex // guards below
	record bytes.Buffer
	seen   map[string][]byte // the last payload of each topic
	alter  map[string]Alteration
	flips  bool // the next bytes to the broker
	conns  map[net.Conn]bool
	closed bool
	open   sync.WaitGroup
}

// Alteration rewrites one message: it returns the topic and the payload that go on. An empty topic drops the message, which
// fits QoS 0: nobody acknowledges it. It may change the payload in place.
type Alteration func(topic string, payload []byte) (string, []byte)

// New listens on loopback for connections to a broker's address. A blind Wire copies bytes without looking for messages, as
// it must where they are encrypted.
func New(broker string, v mqtt.Version, blind bool) (*Wire, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &Wire{
		listener: l, broker: broker, version: v, blind: blind,
		seen: map[string][]byte{}, alter: map[string]Alteration{}, conns: map[net.Conn]bool{},
	}
	w.open.Go(w.accept)
	return w, nil
}

func (w *Wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.broker)
		if err != nil {
			_ = near.Close()
			continue
		}
		w.mu.Lock()
		if w.closed {
			_, _ = near.Close(), far.Close()
		} else {
			w.conns[near], w.conns[far] = true, true
			w.open.Go(func() { w.carry(near, far, true) })
			w.open.Go(func() { w.carry(far, near, false) })
		}
		w.mu.Unlock()
	}
}

// carry moves one direction until either end goes, and then closes both, without any word of MQTT.
func (w *Wire) carry(from, to net.Conn, inbound bool) {
	defer func() {
		_, _ = from.Close(), to.Close()
		w.mu.Lock()
		delete(w.conns, from)
		w.mu.Unlock()
	}()
	tap := io.TeeReader(from, recorder{w})
	if w.blind {
		_, _ = io.Copy(to, flipper{w, tap, inbound})
		return
	}
	r := mqtt.NewReader(tap, w.version, 0)
	for {
		p, err := r.ReadPacket()
		if err != nil {
			return
		}
		if !w.rewrite(p) {
			continue
		}
		frame, err := p.Append(nil, w.version)
		if err != nil {
			return
		}
		if _, err := to.Write(frame); err != nil {
			return
		}
	}
}

// recorder appends to the recording.
type recorder struct{ w *Wire }

func (r recorder) Write(b []byte) (int, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	return r.w.record.Write(b)
}

// flipper changes a bit of the next bytes to the broker, when it was asked to.
type flipper struct {
	w       *Wire
	r       io.Reader
	inbound bool
}

func (f flipper) Read(b []byte) (int, error) {
	n, err := f.r.Read(b)
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if f.inbound && f.w.flips && n > 0 {
		f.w.flips = false
		b[n-1] ^= 1
	}
	return n, err
}

// Flip has one bit of the next bytes that a client sends altered. The Wire must be blind.
func (w *Wire) Flip() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flips = true
}

// rewrite alters a packet; false drops it.
func (w *Wire) rewrite(p mqtt.Packet) bool {
	switch p := p.(type) {
	case *mqtt.Publish:
		p.Topic, p.Payload = w.pass(p.Topic, p.Payload)
		return p.Topic != ""
	case *mqtt.Connect:
		if p.HasWill {
			p.Will.Topic, p.Will.Payload = w.pass(p.Will.Topic, p.Will.Payload)
		}
	}
	return true
}

func (w *Wire) pass(topic string, payload []byte) (string, []byte) {
	w.mu.Lock()
	w.seen[topic] = bytes.Clone(payload)
	alter := w.alter[topic]
	w.mu.Unlock()
	if alter == nil {
		return topic, payload
	}
	return alter(topic, bytes.Clone(payload))
}

// On has the messages of a topic altered from now on, Wills among them.
func (w *Wire) On(topic string, a Alteration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alter[topic] = a
}

// Last returns the last payload, before any alteration, that passed on a topic.
func (w *Wire) Last(topic string) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[topic]
}

// Recorded reports whether a text passed in clear.
func (w *Wire) Recorded(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.record.Bytes(), []byte(text))
}

// Recording returns a copy of all bytes that passed, both ways, in the order in which they came.
func (w *Wire) Recording() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.record.Bytes())
}

// Dial connects through the wire; cut, if not nil, is told how to break the connection.
func (w *Wire) Dial(cut *func()) func(context.Context, *url.URL) (net.Conn, error) {
	return func(ctx context.Context, _ *url.URL) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", w.listener.Addr().String())
		if err == nil && cut != nil {
			*cut = func() { _ = c.Close() }
		}
		return c, err
	}
}

// Close ends all connections and waits for their end.
func (w *Wire) Close() error {
	err := w.listener.Close()
	w.mu.Lock()
	w.closed = true
	for c := range w.conns {
		_ = c.Close()
	}
	w.mu.Unlock()
	w.open.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
