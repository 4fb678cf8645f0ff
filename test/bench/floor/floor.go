// Package floor is a relay that does the least that an MQTT broker written in Go can do: a goroutine for each connection
// that reads, and one that writes what has gathered, in one piece. It answers CONNECT, SUBSCRIBE and QoS 1, forwards frames
// as they are, and knows no sessions, limits, identifiers or rights. It is a measure for brokers and not one of them: what
// a broker costs above it is what the broker does.
package floor

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sealmq/sealmq/mqtt"
)

// Command serves until ctx ends.
func Command(ctx context.Context, words []string, stderr io.Writer) error {
	set := flag.NewFlagSet("floor", flag.ContinueOnError)
	set.SetOutput(stderr)
	addr := set.String("addr", "127.0.0.1:1883", "`HOST:PORT` to listen on")
	cert := set.String("cert", "", "certificate `file`; with it the relay speaks TLS 1.3")
	key := set.String("key", "", "its private key")
	if err := set.Parse(words); err != nil {
		return err
	}
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			return errors.Join(err, l.Close())
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13})
	}
	return Serve(ctx, l)
}

// Serve relays what comes through l until ctx ends.
func Serve(ctx context.Context, l net.Listener) error {
	r := &relay{}
	r.routes.Store(&routes{exact: map[string][]*peer{}})
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept: %w", err)
		}
		p := &peer{Conn: c, relay: r, bell: make(chan struct{}, 1), gone: make(chan struct{})}
		go p.write()
		go p.read()
	}
}

// relay is who gets what.
type relay struct {
	mu     sync.Mutex // guards changes of routes
	routes atomic.Pointer[routes]
}

// routes are replaced as a whole.
type routes struct {
	exact map[string][]*peer // by topic
	wide  []*peer            // who subscribed with a wildcard, and gets everything
}

// change replaces the routes by what do makes of a copy.
func (r *relay) change(do func(t *routes)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.routes.Load()
	t := &routes{exact: make(map[string][]*peer, len(old.exact)), wide: append([]*peer(nil), old.wide...)}
	for k, v := range old.exact {
		t.exact[k] = v
	}
	do(t)
	r.routes.Store(t)
}

func without(list []*peer, p *peer) (rest []*peer) {
	for _, x := range list {
		if x != p {
			rest = append(rest, x)
		}
	}
	return rest
}

// peer is one connection.
type peer struct {
	net.Conn
	relay   *relay
	version mqtt.Version
	topics  []string // that it subscribed to
	bell    chan struct{}
	gone    chan struct{}

	mu      sync.Mutex
	waiting []byte // guarded by mu: to be written
}

// send gathers b for the goroutine that writes.
func (p *peer) send(b []byte) {
	p.mu.Lock()
	first := len(p.waiting) == 0
	p.waiting = append(p.waiting, b...)
	p.mu.Unlock()
	if first {
		select {
		case p.bell <- struct{}{}:
		default:
		}
	}
}

func (p *peer) write() {
	var out []byte
	for {
		select {
		case <-p.bell:
		case <-p.gone:
			return
		}
		p.mu.Lock()
		out, p.waiting = p.waiting, out[:0]
		p.mu.Unlock()
		if _, err := p.Write(out); err != nil {
			return
		}
	}
}

// readRoom is the buffer of a connection; a frame that does not fit ends it.
const readRoom = 64 << 10

func (p *peer) read() {
	defer p.leave()
	buf, used := make([]byte, readRoom), 0
	for used < len(buf) {
		n, err := p.Read(buf[used:])
		if err != nil {
			return
		}
		used += n
		rest, err := p.handle(buf[:used])
		if err != nil {
			return
		}
		used = copy(buf, rest)
	}
}

func (p *peer) leave() {
	_ = p.Close()
	close(p.gone)
	if len(p.topics) == 0 {
		return
	}
	p.relay.change(func(t *routes) {
		t.wide = without(t.wide, p)
		for _, topic := range p.topics {
			t.exact[topic] = without(t.exact[topic], p)
		}
	})
}

// bundle is what follows each other to the same topic: it is forwarded in one piece.
type bundle struct {
	topic  string
	frames []byte
}

// handle answers and forwards the complete frames in b, and returns what is left.
func (p *peer) handle(b []byte) ([]byte, error) {
	var next bundle
	var answers []byte
	for {
		h, n, err := mqtt.ParseHeader(b, p.version)
		if err != nil {
			return nil, err
		}
		end := n + h.Remaining
		if n == 0 || end > len(b) {
			break
		}
		frame, body := b[:end], b[n:end]
		b = b[end:]
		if h.Type != mqtt.TypePublish {
			p.forward(next)
			next = bundle{}
			if answers, err = p.answer(answers, h, body); err != nil {
				return nil, err
			}
			continue
		}
		size := 0
		if len(body) >= 2 {
			size = 2 + int(binary.BigEndian.Uint16(body))
		}
		if size < 2 || size+2 > len(body) {
			return nil, errFrame
		}
		if h.Flags&6 == 2 {
			answers = append(mqtt.AppendHeader(answers, mqtt.TypePuback, 0, 2), body[size:size+2]...)
		}
		if topic := body[2:size]; string(topic) == next.topic && len(next.frames) > 0 {
			next.frames = next.frames[:len(next.frames)+end] // it stands right behind
		} else {
			p.forward(next)
			next = bundle{string(topic), frame}
		}
	}
	p.forward(next)
	if len(answers) > 0 {
		p.send(answers)
	}
	return b, nil
}

func (p *peer) forward(n bundle) {
	if len(n.frames) == 0 {
		return
	}
	t := p.relay.routes.Load()
	for _, to := range t.exact[n.topic] {
		to.send(n.frames)
	}
	for _, to := range t.wide {
		to.send(n.frames)
	}
}

var errFrame = errors.New("cannot be relayed")

// answer appends what a packet is answered with.
func (p *peer) answer(dst []byte, h mqtt.Header, body []byte) ([]byte, error) {
	switch h.Type {
	case mqtt.TypeConnect:
		var c mqtt.Connect
		if err := c.Parse(0, h.Flags, body); err != nil {
			return dst, err
		}
		p.version = c.ProtocolVersion
		return (&mqtt.Connack{}).Append(dst, p.version)
	case mqtt.TypeSubscribe:
		var s mqtt.Subscribe
		if err := s.Parse(p.version, h.Flags, body); err != nil {
			return dst, err
		}
		a := mqtt.Suback{PacketID: s.PacketID}
		for _, f := range s.Subscriptions {
			p.subscribe(strings.Clone(f.Filter))
			a.ReasonCodes = append(a.ReasonCodes, mqtt.ReasonCode(min(f.QoS, mqtt.AtLeastOnce)))
		}
		return a.Append(dst, p.version)
	case mqtt.TypePingreq:
		return (&mqtt.Pingresp{}).Append(dst, p.version)
	case mqtt.TypeDisconnect:
		return dst, io.EOF
	}
	return dst, nil
}

func (p *peer) subscribe(filter string) {
	p.topics = append(p.topics, filter)
	p.relay.change(func(t *routes) {
		if strings.ContainsAny(filter, "+#") {
			t.wide = append(t.wide, p)
			return
		}
		t.exact[filter] = append(append([]*peer(nil), t.exact[filter]...), p)
	})
}
