package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/sealmq/sealmq/internal/identity"
)

// WebSocket says how MQTT is offered to browsers.
type WebSocket struct {
	Path string // of the URL
	// Origins are the pages that may connect, as "https://plant.example" or "http://127.0.0.1:8080". A request with
	// another Origin is refused; one without comes from no browser.
	Origins []string
	// MaxMessage bounds one WebSocket message, in bytes.
	MaxMessage int64
}

// subprotocol is what clients must offer [MQTT-6.0.0-3].
const subprotocol = "mqtt"

const (
	maxRequest     = 16 << 10         // bytes of the HTTP request
	webReadBuffer  = 2 << 10          // bytes; larger frames go past it
	webWriteBuffer = 1 << 10          // bytes; larger frames go past it
	messageTime    = 30 * time.Second // from the first to the last byte of a message
)

// webConn is MQTT over WebSocket (MQTT 5 §6), with or without TLS below. Payloads of all messages are one stream of
// bytes: packets may span messages, and messages may hold many packets [MQTT-6.0.0-2].
type webConn struct {
	listener *Listener
	socket   *socket
	ws       *websocket.Conn // set by Prove
	message  io.Reader       // under way; of the goroutine that reads

	mu        sync.Mutex
	readUntil time.Time // what SetReadDeadline asked for
}

func newWebConn(l *Listener, s *socket) *webConn { return &webConn{listener: l, socket: s} }

// Prove performs the TLS handshake, if there is one, and the upgrade from HTTP, bounded by ctx.
func (c *webConn) Prove(ctx context.Context) (*identity.Evidence, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.socket.Close() })
	defer stop()
	var under net.Conn = c.socket.stream
	var proved *identity.TLS
	transport := "ws"
	if c.listener.options.Certificate != nil {
		conn, prove := c.listener.serverTLS(under)
		var err error
		if proved, err = prove(ctx); err != nil {
			c.socket.farewell(ctx, err)
			return nil, err
		}
		under, transport = conn, "wss"
	}
	if err := c.upgrade(under); err != nil {
		if ctx.Err() != nil {
			err = refuse(CheckTimeout, "a complete HTTP request in time", "a client that sent none")
		}
		c.socket.farewell(ctx, err)
		return nil, err
	}
	if !stop() { // ctx ended just now
		return nil, refuse(CheckTimeout, "a complete HTTP request in time", "one that came too late")
	}
	ev := evidenceOf(transport, c.socket)
	ev.TLS = proved
	return ev, nil
}

// upgrade reads one HTTP request and answers it: 101, or why not.
func (c *webConn) upgrade(under net.Conn) error {
	limited := &io.LimitedReader{R: under, N: maxRequest}
	w := &upgradeWriter{conn: under, header: http.Header{}, in: bufio.NewReaderSize(limited, webReadBuffer)}
	r, err := http.ReadRequest(w.in)
	if err != nil {
		if limited.N <= 0 {
			return refuse(CheckHTTP, fmt.Sprintf("a request of at most %d bytes", maxRequest), "a longer one")
		}
		return &Error{Check: CheckHTTP, Expected: "an HTTP/1.1 request", Err: err}
	}
	o := c.listener.options.WebSocket
	if status, err := o.judge(r); err != nil {
		http.Error(w, http.StatusText(status), status)
		return err
	}
	// The Origin was checked by judge, exactly; the library's own check lets pages of the same host in.
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{subprotocol}, InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return &Error{Check: CheckHTTP, Expected: "a WebSocket handshake", Err: err}
	}
	ws.SetReadLimit(o.MaxMessage)
	c.ws = ws
	return nil
}

// judge says which HTTP status refuses a request, and why.
func (o *WebSocket) judge(r *http.Request) (status int, err error) {
	switch origins := r.Header.Values("Origin"); {
	case r.URL.Path != o.Path:
		return http.StatusNotFound, refuse(CheckPath, o.Path, quotePeer(r.URL.Path))
	case r.ContentLength != 0: // -1 when it comes in chunks
		return http.StatusBadRequest, refuse(CheckHTTP, "a request without body", "one with a body")
	case len(origins) > 1 || len(origins) == 1 && !slices.Contains(o.Origins, origins[0]):
		return http.StatusForbidden, refuse(CheckOrigin, "one of websocket.origins", quotePeer(strings.Join(origins, ", ")))
	case !offers(r.Header, subprotocol):
		return http.StatusBadRequest, refuse(CheckSubprotocol, subprotocol, quotePeer(strings.Join(r.Header.Values("Sec-Websocket-Protocol"), ", ")))
	}
	return 0, nil
}

func offers(h http.Header, protocol string) bool {
	for _, line := range h.Values("Sec-Websocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			if strings.TrimSpace(p) == protocol {
				return true
			}
		}
	}
	return false
}

// upgradeWriter is the least http.ResponseWriter that a WebSocket handshake needs. It answers one request and hands the
// connection over.
type upgradeWriter struct {
	conn   net.Conn
	in     *bufio.Reader
	header http.Header
}

// Header implements http.ResponseWriter.
func (w *upgradeWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *upgradeWriter) WriteHeader(status int) {
	if status != http.StatusSwitchingProtocols {
		w.header.Set("Connection", "close")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = w.header.Write(&b) // a Builder takes everything
	b.WriteString("\r\n")
	_, _ = io.WriteString(w.conn, b.String()) // a peer that is gone shows in the next read
}

// Write implements http.ResponseWriter.
func (w *upgradeWriter) Write(b []byte) (int, error) { return w.conn.Write(b) }

// Hijack implements http.Hijacker.
func (w *upgradeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(w.in, bufio.NewWriterSize(w.conn, webWriteBuffer)), nil
}

// ReadEach calls f with the payload of messages as it arrives, until f returns false (and ReadEach nil), the peer closes
// (io.EOF) or reading fails. While it waits for a message it holds only the library's small buffer.
func (c *webConn) ReadEach(f func(b []byte) bool) error {
	for {
		if err := c.awaitMessage(); err != nil {
			return err
		}
		if more, err := c.readMessage(f); !more || err != nil {
			return err
		}
	}
}

// awaitMessage waits for the start of a message unless one is under way.
func (c *webConn) awaitMessage() error {
	if c.message != nil {
		return nil
	}
	kind, r, err := c.ws.Reader(context.Background())
	switch {
	case err != nil:
		return webError(err)
	case kind != websocket.MessageBinary:
		_ = c.socket.SetDeadline(time.Now().Add(farewellTime))
		_ = c.ws.Close(websocket.StatusUnsupportedData, "")
		return refuse(CheckMessageType, "binary [MQTT-6.0.0-1]", "text")
	}
	c.message = r
	c.deadline(time.Now().Add(messageTime))
	return nil
}

// readMessage reads the rest of a message. goOn is false when f wants no more.
func (c *webConn) readMessage(f func(b []byte) bool) (goOn bool, err error) {
	buf := readBuffers.Get().(*[readSize]byte)
	defer readBuffers.Put(buf)
	for {
		n, err := c.message.Read(buf[:])
		more := n == 0 || f(buf[:n])
		switch {
		case errors.Is(err, io.EOF):
			c.message = nil
			c.deadline(time.Time{})
			return more, nil
		case err != nil:
			return false, webError(err)
		case !more:
			return false, nil
		}
	}
}

// deadline bounds the message under way, within what SetReadDeadline asked for.
func (c *webConn) deadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.readUntil.IsZero() && (t.IsZero() || c.readUntil.Before(t)) {
		t = c.readUntil
	}
	_ = c.socket.SetReadDeadline(t)
}

func webError(err error) error {
	switch status := websocket.CloseStatus(err); {
	case status == websocket.StatusNormalClosure, status == websocket.StatusGoingAway, status == websocket.StatusNoStatusRcvd:
		return io.EOF
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), isNetError(err):
		return err
	case errors.Is(err, websocket.ErrMessageTooBig):
		return &Error{Check: CheckWebSocket, Expected: "a message within the limit", Err: err}
	default:
		return &Error{Check: CheckWebSocket, Err: err}
	}
}

// TryWrite writes nothing: a frame cannot be written without the risk of blocking, so the caller's writer does it.
func (c *webConn) TryWrite([]byte) (int, error) { return 0, nil }

// Write sends b as one binary message.
func (c *webConn) Write(b []byte) (int, error) {
	if err := c.ws.Write(context.Background(), websocket.MessageBinary, b); err != nil {
		return 0, webError(err)
	}
	return len(b), nil
}

// Read reads payload. The broker reads with ReadEach; this is for what needs a net.Conn.
func (c *webConn) Read(b []byte) (n int, err error) {
	for {
		if err := c.awaitMessage(); err != nil {
			return 0, err
		}
		n, err = c.message.Read(b)
		if errors.Is(err, io.EOF) {
			c.message, err = nil, nil
			c.deadline(time.Time{})
		}
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
	}
}

// Close ends the connection, from any state, without waiting.
func (c *webConn) Close() error { return c.socket.Close() }

// LocalAddr implements net.Conn.
func (c *webConn) LocalAddr() net.Addr { return c.socket.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *webConn) RemoteAddr() net.Addr { return c.socket.RemoteAddr() }

// SetDeadline implements net.Conn.
func (c *webConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn. A read that runs into it ends the connection.
func (c *webConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readUntil = t
	return c.socket.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn. A write that runs into it ends the connection.
func (c *webConn) SetWriteDeadline(t time.Time) error { return c.socket.SetWriteDeadline(t) }
