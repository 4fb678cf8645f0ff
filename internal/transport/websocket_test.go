package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func webListener(t *testing.T, p *pki) *Listener {
	t.Helper()
	o := Options{WebSocket: &WebSocket{Path: "/mqtt", Origins: []string{"https://plant.example"}, MaxMessage: 1 << 20}}
	if p != nil {
		o.Certificate = p.certificate(NoClientCert)
	}
	return listenTest(t, o)
}

// upgradeRequest is a handshake whose lines can be replaced.
func upgradeRequest(target string, headers ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

// padded is a good handshake of that many bytes.
func padded(size int) string {
	r := upgradeRequest("/mqtt", "Sec-WebSocket-Protocol: mqtt", "X: ")
	return strings.Replace(r, "X: ", "X: "+strings.Repeat("a", size-len(r)), 1)
}

func TestUpgradeRefusals(t *testing.T) {
	l := webListener(t, nil)
	const mqtt = "Sec-WebSocket-Protocol: mqtt"
	for name, c := range map[string]struct {
		request string
		status  int // 0: no answer
		want    Check
	}{
		"good":             {upgradeRequest("/mqtt", mqtt), 101, ""},
		"one of several":   {upgradeRequest("/mqtt", "Sec-WebSocket-Protocol: x, mqtt"), 101, ""},
		"known page":       {upgradeRequest("/mqtt", mqtt, "Origin: https://plant.example"), 101, ""},
		"other page":       {upgradeRequest("/mqtt", mqtt, "Origin: https://evil.example"), 403, CheckOrigin},
		"page of the host": {upgradeRequest("/mqtt", mqtt, "Origin: http://localhost"), 403, CheckOrigin},
		"null origin":      {upgradeRequest("/mqtt", mqtt, "Origin: null"), 403, CheckOrigin},
		"two origins":      {upgradeRequest("/mqtt", mqtt, "Origin: https://plant.example", "Origin: https://evil.example"), 403, CheckOrigin},
		"two known pages":  {upgradeRequest("/mqtt", mqtt, "Origin: https://plant.example", "Origin: https://plant.example"), 403, CheckOrigin},
		"empty origin":     {upgradeRequest("/mqtt", mqtt, "Origin:"), 403, CheckOrigin},
		"page in capitals": {upgradeRequest("/mqtt", mqtt, "Origin: https://PLANT.example"), 403, CheckOrigin},
		"other path":       {upgradeRequest("/", mqtt), 404, CheckPath},
		"longer path":      {upgradeRequest("/mqtt/", mqtt), 404, CheckPath},
		"second line":      {upgradeRequest("/mqtt", "Sec-WebSocket-Protocol: x", mqtt), 101, ""},
		"protocol's start": {upgradeRequest("/mqtt", "Sec-WebSocket-Protocol: mqttv3.1"), 400, CheckSubprotocol},
		"chunked body":     {upgradeRequest("/mqtt", mqtt, "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n", 400, CheckHTTP},
		"old version":      {strings.Replace(upgradeRequest("/mqtt", mqtt), "Version: 13", "Version: 8", 1), 400, CheckHTTP},
		"longest request":  {padded(maxRequest), 101, ""},
		"a byte more":      {padded(maxRequest + 1), 0, CheckHTTP},
		"no sub-protocol":  {upgradeRequest("/mqtt"), 400, CheckSubprotocol},
		"body":             {upgradeRequest("/mqtt", mqtt, "Content-Length: 3") + "abc", 400, CheckHTTP},
		"plain get":        {"GET /mqtt HTTP/1.1\r\nHost: x\r\n" + mqtt + "\r\n\r\n", 426, CheckHTTP},
		"no http":          {"\x10\x0c\x00\x04MQTT\r\n\r\n", 0, CheckHTTP},
		"endless header":   {"GET /mqtt HTTP/1.1\r\nX: " + strings.Repeat("a", maxRequest), 0, CheckHTTP},
		"slow":             {"GET /mqtt HTT", 0, CheckTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			served := acceptOne(t, l, 300*time.Millisecond)
			c0, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c0.Close() //nolint:errcheck // test
			if _, err := io.WriteString(c0, c.request); err != nil {
				t.Fatal(err)
			}
			status := 0
			if c.status != 0 {
				r, err := http.ReadResponse(bufio.NewReader(c0), nil)
				if err != nil {
					t.Fatal(err)
				}
				status = r.StatusCode
				if r.Close != (status != 101) {
					t.Errorf("status %d, and the connection ends: %v", status, r.Close)
				}
			}
			if c.want != CheckTimeout {
				_ = c0.Close()
			}
			out := <-served
			if status != c.status || c.want == "" && out.err != nil || c.want != "" && !errors.Is(out.err, c.want) {
				t.Errorf("status %d, %v; want %d, %q", status, out.err, c.status, c.want)
			}
			if long := name == "endless header" || name == "a byte more"; c.want == CheckHTTP && strings.Contains(out.err.Error(), "a longer one") != long {
				t.Errorf("said of it: %v", out.err)
			}
			if out.conn != nil {
				_ = out.conn.Close()
			}
		})
	}
}

// dialWeb upgrades by hand, so that tests can send what a library would not.
func dialWeb(t *testing.T, l *Listener) (net.Conn, *bufio.Reader, outcome) {
	t.Helper()
	served := acceptOne(t, l, patience)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, upgradeRequest("/mqtt", "Sec-WebSocket-Protocol: mqtt"))
	r := bufio.NewReader(c)
	answer, err := http.ReadResponse(r, nil)
	if err != nil || answer.StatusCode != 101 || answer.Header.Get("Sec-Websocket-Protocol") != "mqtt" {
		t.Fatalf("%v %v", answer, err)
	}
	out := <-served
	if out.err != nil {
		t.Fatal(out.err)
	}
	t.Cleanup(func() { _ = c.Close(); _ = out.conn.Close() })
	return c, r, out
}

// frame is one masked frame with a zero mask. first is FIN, RSV and opcode.
func frame(first byte, payload string) string {
	var b bytes.Buffer
	b.WriteByte(first)
	switch n := len(payload); {
	case n < 126:
		b.WriteByte(0x80 | byte(n))
	case n < 1<<16:
		b.WriteByte(0x80 | 126)
		_ = binary.Write(&b, binary.BigEndian, uint16(n))
	default:
		b.WriteByte(0x80 | 127)
		_ = binary.Write(&b, binary.BigEndian, uint64(n))
	}
	b.WriteString("\x00\x00\x00\x00" + payload)
	return b.String()
}

const (
	fin          = 0x80
	continuation = 0x0
	text         = 0x1
	binaryFrame  = 0x2
	closeFrame   = 0x8
	ping         = 0x9
)

// TestAttack09_WebSocketFrames sends fragments, text, oversize, short and broken frames (MQTT 5 §6). Payload is a stream of bytes
// whatever the frames; what is not allowed ends the connection with the right status and delivers nothing more.
func TestAttack09_WebSocketFrames(t *testing.T) {
	for name, c := range map[string]struct {
		send   string
		got    string
		err    error // io.EOF for an orderly end
		status websocket.StatusCode
	}{
		"one message":        {frame(fin|binaryFrame, "packet") + frame(fin|closeFrame, "\x03\xe8"), "packet", io.EOF, 1000},
		"fragments":          {frame(binaryFrame, "pa") + frame(fin|ping, "x") + frame(continuation, "ck") + frame(fin|continuation, "et") + frame(fin|closeFrame, "\x03\xe8"), "packet", io.EOF, 1000},
		"one byte each":      {frame(fin|binaryFrame, "p") + frame(fin|binaryFrame, "") + frame(fin|binaryFrame, "q") + frame(fin|closeFrame, "\x03\xe8"), "pq", io.EOF, 1000},
		"large":              {frame(fin|binaryFrame, strings.Repeat("x", 1<<20)) + frame(fin|closeFrame, "\x03\xe8"), strings.Repeat("x", 1<<20), io.EOF, 1000},
		"text":               {frame(fin|binaryFrame, "a") + frame(fin|text, "packet"), "a", CheckMessageType, 1003},
		"oversize":           {frame(fin|binaryFrame, strings.Repeat("x", 1<<20+1)), "", CheckWebSocket, 1009},
		"unknown opcode":     {frame(fin|0x3, "x"), "", CheckWebSocket, 1002},
		"reserved bit":       {frame(fin|0x40|binaryFrame, "x"), "", CheckWebSocket, 1002},
		"stray continuation": {frame(fin|continuation, "x"), "", CheckWebSocket, 1002},
		"not masked":         {"\x82\x01x", "", CheckWebSocket, 0},
		"short frame":        {frame(fin|binaryFrame, "packet")[:9], "pac", io.EOF, 0},
	} {
		t.Run(name, func(t *testing.T) {
			conn, r, out := dialWeb(t, webListener(t, nil))
			go func() {
				_, _ = io.WriteString(conn, c.send)
				if c.status == 0 {
					_ = conn.(*net.TCPConn).CloseWrite()
				}
			}()
			answered := make(chan websocket.StatusCode, 1)
			go func() { answered <- readStatus(r) }()
			var got strings.Builder
			err := out.conn.ReadEach(func(b []byte) bool { got.Write(b); return true })
			_ = out.conn.Close()
			if c.status != 0 {
				if status := <-answered; status != c.status {
					t.Errorf("status %d, want %d", status, c.status)
				}
			}
			if name == "oversize" {
				if got.Len() > 1<<20+1 {
					t.Errorf("%d bytes of an oversize message", got.Len())
				}
			} else if got.String() != c.got {
				t.Errorf("got %d bytes, want %d", got.Len(), len(c.got))
			}
			if !errors.Is(err, c.err) && (name != "short frame" || err == nil) {
				t.Errorf("got %v, want %v", err, c.err)
			}
		})
	}
}

// readStatus reads frames until a close frame and returns its status; 0 when there is none.
func readStatus(r *bufio.Reader) websocket.StatusCode {
	for {
		var h [2]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return 0
		}
		payload := make([]byte, h[1]&0x7f) // control frames are short
		if _, err := io.ReadFull(r, payload); err != nil {
			return 0
		}
		if h[0]&0xf == closeFrame && len(payload) >= 2 {
			return websocket.StatusCode(binary.BigEndian.Uint16(payload))
		}
	}
}

// TestWebSocketTLS talks to a library's client, in both directions, beneath TLS.
func TestWebSocketTLS(t *testing.T) {
	p := newPKI(t)
	l := webListener(t, p)
	served := acceptOne(t, l, patience)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: p.dial()}}
	defer client.CloseIdleConnections()
	ws, _, err := websocket.Dial(t.Context(), fmt.Sprintf("wss://%s/mqtt", l.Addr()), &websocket.DialOptions{
		HTTPClient: client, Subprotocols: []string{"mqtt"},
	})
	out := <-served
	if err != nil || out.err != nil {
		t.Fatal(err, out.err)
	}
	if out.ev.Transport != "wss" || out.ev.TLS == nil || out.ev.TLS.Exporter == nil {
		t.Errorf("evidence %+v", out.ev)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ws.SetReadLimit(8 << 20)
	exchange(t, websocket.NetConn(ctx, ws, websocket.MessageBinary), out.conn)
	_ = out.conn.Close()
	_ = ws.CloseNow()
}

// TestWebSocketClientCertificates: below a WebSocket the same checks are made as without.
func TestWebSocketClientCertificates(t *testing.T) {
	p := newPKI(t)
	good, revoked := p.client("good"), p.client("revoked")
	p.crl(p.path("c.crl"), time.Hour, revoked)
	o := p.certificate(RequireClientCert)
	o.CRLFile = p.path("c.crl")
	l := listenTest(t, Options{Certificate: o, WebSocket: &WebSocket{Path: "/mqtt", MaxMessage: 1 << 10}})
	for name, c := range map[string]struct {
		certs []tls.Certificate
		want  error
	}{
		"good":    {[]tls.Certificate{good}, nil},
		"none":    {nil, CheckCertificate},
		"revoked": {[]tls.Certificate{revoked}, CheckRevocation},
		"other":   {[]tls.Certificate{newAuthority(t, "other").client("good")}, CheckAuthority},
	} {
		served := acceptOne(t, l, patience)
		config := p.dial()
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if c.certs == nil {
				return new(tls.Certificate), nil
			}
			return &c.certs[0], nil
		}
		conn, err := tls.Dial("tcp", l.Addr().String(), config)
		if err == nil {
			_, _ = io.WriteString(conn, upgradeRequest("/mqtt", "Sec-WebSocket-Protocol: mqtt"))
			_, err = http.ReadResponse(bufio.NewReader(conn), nil)
		}
		out := <-served
		if !errors.Is(out.err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, and the client %v, want %v", name, out.err, err, c.want)
		}
		if c.want == nil && len(out.ev.TLS.Chain) != 2 {
			t.Errorf("%s: a chain of %d", name, len(out.ev.TLS.Chain))
		}
		if conn != nil {
			_ = conn.Close()
		}
		if out.conn != nil {
			_ = out.conn.Close()
		}
	}
}

// TestMessageDeadline: a message under way has its own time, within what was asked for; between messages only the latter
// counts.
func TestMessageDeadline(t *testing.T) {
	peer := new(placed)
	c := &webConn{socket: &socket{stream: peer}}
	now := time.Now()
	early, late := now.Add(time.Second), now.Add(time.Hour)
	for _, s := range []struct{ asked, message, want time.Time }{
		{time.Time{}, time.Time{}, time.Time{}},
		{time.Time{}, early, early},
		{late, early, early},
		{early, late, early},
		{early, time.Time{}, early},
	} {
		if err := c.SetReadDeadline(s.asked); err != nil || !peer.readUntil.Equal(s.asked) {
			t.Errorf("asked for %v, got %v: %v", s.asked, peer.readUntil, err)
		}
		if c.deadline(s.message); !peer.readUntil.Equal(s.want) {
			t.Errorf("asked for %v, message until %v: %v", s.asked, s.message, peer.readUntil)
		}
	}

	conn, _, out := dialWeb(t, webListener(t, nil))
	web := out.conn.(*webConn)
	watched := &placed{Conn: web.socket.stream}
	web.socket.stream = watched
	_, _ = io.WriteString(conn, frame(binaryFrame, "pack"))
	if err := web.ReadEach(func([]byte) bool { return false }); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(watched.readUntil); left <= 0 || left > messageTime {
		t.Errorf("a message under way may take %v", left)
	}
	_, _ = io.WriteString(conn, frame(fin|continuation, "et")+frame(fin|binaryFrame, "x"))
	var got strings.Builder
	if err := web.ReadEach(func(b []byte) bool { got.Write(b); return got.Len() < 2 }); err != nil || got.String() != "et" {
		t.Errorf("got %q: %v", got.String(), err)
	}
	_, _ = io.WriteString(conn, frame(fin|binaryFrame, "y")+frame(fin|closeFrame, "\x03\xe8"))
	if _, err := io.ReadFull(web, make([]byte, 1)); err != nil || watched.readUntil.IsZero() {
		t.Errorf("%v; a message under way may take until %v", err, watched.readUntil)
	}
	if err := web.ReadEach(func([]byte) bool { return true }); !errors.Is(err, io.EOF) || !watched.readUntil.IsZero() {
		t.Errorf("%v; the next message has until %v", err, watched.readUntil)
	}
}

// TestWebSocketReader reads through net.Conn: one message after another, and nothing of text.
func TestWebSocketReader(t *testing.T) {
	conn, _, out := dialWeb(t, webListener(t, nil))
	go func() {
		_, _ = io.WriteString(conn, frame(fin|binaryFrame, "pac")+frame(fin|binaryFrame, "")+frame(fin|binaryFrame, "ket")+frame(fin|text, "no"))
	}()
	got := make([]byte, 6)
	if _, err := io.ReadFull(out.conn, got); err != nil || string(got) != "packet" {
		t.Errorf("got %q: %v", got, err)
	}
	if n, err := out.conn.Read(got); n != 0 || !errors.Is(err, CheckMessageType) {
		t.Errorf("text: %d, %v", n, err)
	}
}

// TestWebSocketEnds: an orderly end is io.EOF, an end of the connection stays what it is, and what the peer did wrong is its
// check.
func TestWebSocketEnds(t *testing.T) {
	reset := &net.OpError{Op: "read", Err: errors.New("connection reset")}
	for name, c := range map[string]struct{ err, want error }{
		"normal":     {websocket.CloseError{Code: websocket.StatusNormalClosure}, io.EOF},
		"going away": {websocket.CloseError{Code: websocket.StatusGoingAway}, io.EOF},
		"no status":  {websocket.CloseError{Code: websocket.StatusNoStatusRcvd}, io.EOF},
		"failure":    {websocket.CloseError{Code: websocket.StatusProtocolError}, CheckWebSocket},
		"end":        {io.EOF, io.EOF},
		"closed":     {net.ErrClosed, net.ErrClosed},
		"reset":      {reset, reset},
		"too big":    {websocket.ErrMessageTooBig, CheckWebSocket},
		"another":    {errors.New("x"), CheckWebSocket},
	} {
		err := webError(c.err)
		if !errors.Is(err, c.want) || errors.Is(err, CheckWebSocket) != (c.want == error(CheckWebSocket)) ||
			strings.Contains(err.Error(), "within the limit") != (name == "too big") {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	_, _, out := dialWeb(t, webListener(t, nil))
	_ = out.conn.Close()
	if n, err := out.conn.Write([]byte("x")); n != 0 || err == nil {
		t.Errorf("written after Close: %d, %v", n, err)
	}
}
