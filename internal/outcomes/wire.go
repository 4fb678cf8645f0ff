package outcomes

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

// wire is somebody on the way between clients and the broker: he records every byte that passes, both ways, and rewrites
// messages.
type wire struct {
	listener net.Listener
	broker   string // address
	version  mqtt.Version
	blind    bool // TLS runs through it: nothing can be parsed

	mu     sync.Mutex // guards below
	record bytes.Buffer
	seen   map[string][]byte // the last payload of each topic
	alter  map[string]alteration
	conns  map[net.Conn]bool
	closed bool
	open   sync.WaitGroup
}

// alteration rewrites one message, in place of the payload that came.
type alteration func(topic string, payload []byte) (string, []byte)

func newWire(broker string, v mqtt.Version, blind bool) (*wire, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wire{
		listener: l, broker: broker, version: v, blind: blind,
		seen: map[string][]byte{}, alter: map[string]alteration{}, conns: map[net.Conn]bool{},
	}
	w.open.Go(w.accept)
	return w, nil
}

func (w *wire) accept() {
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
			w.open.Go(func() { w.carry(near, far) })
			w.open.Go(func() { w.carry(far, near) })
		}
		w.mu.Unlock()
	}
}

// carry moves one direction until either end goes, and then closes both, without any word of MQTT.
func (w *wire) carry(from, to net.Conn) {
	defer func() {
		_, _ = from.Close(), to.Close()
		w.mu.Lock()
		delete(w.conns, from)
		w.mu.Unlock()
	}()
	tap := io.TeeReader(from, recorder{w})
	if w.blind {
		_, _ = io.Copy(to, tap)
		return
	}
	r := mqtt.NewReader(tap, w.version, 0)
	for {
		p, err := r.ReadPacket()
		if err != nil {
			return
		}
		w.rewrite(p)
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
type recorder struct{ w *wire }

func (r recorder) Write(b []byte) (int, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	return r.w.record.Write(b)
}

func (w *wire) rewrite(p mqtt.Packet) {
	switch p := p.(type) {
	case *mqtt.Publish:
		p.Topic, p.Payload = w.pass(p.Topic, p.Payload)
	case *mqtt.Connect:
		if p.HasWill {
			p.Will.Topic, p.Will.Payload = w.pass(p.Will.Topic, p.Will.Payload)
		}
	}
}

func (w *wire) pass(topic string, payload []byte) (string, []byte) {
	w.mu.Lock()
	w.seen[topic] = bytes.Clone(payload)
	alter := w.alter[topic]
	w.mu.Unlock()
	if alter == nil {
		return topic, payload
	}
	return alter(topic, bytes.Clone(payload))
}

// on has the next messages of a topic rewritten.
func (w *wire) on(topic string, a alteration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alter[topic] = a
}

// last returns the last payload that passed on a topic.
func (w *wire) last(topic string) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[topic]
}

// recorded reports whether a text passed in clear.
func (w *wire) recorded(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.record.Bytes(), []byte(text))
}

// dial connects through the wire; cut, if not nil, is told how to break the connection.
func (w *wire) dial(cut *func()) func(context.Context, *url.URL) (net.Conn, error) {
	return func(ctx context.Context, _ *url.URL) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", w.listener.Addr().String())
		if err == nil && cut != nil {
			*cut = func() { _ = c.Close() }
		}
		return c, err
	}
}

// close ends everything and waits for it.
func (w *wire) close() error {
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
