package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// lingerTime is how long a connection that the broker ends may take to read the reason and close its half.
const lingerTime = time.Second

// refusal is an error of the broker with the clause or the limit it enforces and what was wrong, for the log.
type refusal struct {
	err      error
	clause   string
	limit    string // key of the configuration; then clause is empty
	expected string // may be empty
	detail   string // what was found
}

func refuse(err error, clause, detail string) error {
	return &refusal{err: err, clause: clause, detail: detail}
}

// Error implements error.
func (r *refusal) Error() string {
	if r.clause == "" {
		return fmt.Sprintf("%v: %s", r.err, r.detail)
	}
	return fmt.Sprintf("%v: %s [%s]", r.err, r.detail, r.clause)
}

// Unwrap gives the broker's error, which has the reason code.
func (r *refusal) Unwrap() error { return r.err }

// fail ends the connection because of a packet: CONNACK with the reason before the client is connected, DISCONNECT
// afterwards; MQTT 3 clients only see CONNACK return codes and the close.
func (c *conn) fail(w *work, err error) {
	code := reasonOf(err)
	if c.phase.Load() == connected {
		c.end(err, code)
		return
	}
	c.refuseConnect(w, err, code)
}

// disconnect ends the connection from outside its reader: the client is told why, what is in its buffer is written,
// and the connection is closed.
func (c *conn) disconnect(err error) {
	if c.phase.Load() != connected {
		c.abort(err)
		return
	}
	c.end(err, reasonOf(err))
}

// end says DISCONNECT to MQTT 5 clients [MQTT-4.13.1-1] [MQTT-3.14.1-1], flushes, and leaves the reader a moment to
// drain the socket. The session is left at once.
func (c *conn) end(err error, code mqtt.ReasonCode) {
	c.endOnce.Do(func() {
		c.cause = err
		c.refuseErr(err, 0, "")
		if c.version >= mqtt.V5 && c.phase.Load() == connected && code.ValidIn(mqtt.TypeDisconnect) {
			c.sendLast(&mqtt.Disconnect{ReasonCode: code})
		}
		c.close()
	})
}

// sendLast appends the packet after which nothing may follow [MQTT-3.14.4-1]: deliveries and acknowledgements of other
// goroutines find the buffer closed to them.
func (c *conn) sendLast(p mqtt.Packet) {
	if c.out.lock() {
		c.out.buf = c.encode(c.out.buf, p)
		c.out.last = true
		c.out.unlock()
	}
}

// close ends the connection after what its buffer holds. It runs inside endOnce.
func (c *conn) close() {
	close(c.ended)
	c.flush()
	c.linger()
	c.leave()
}

// linger lets the client read what was sent last before the socket is closed.
func (c *conn) linger() {
	_ = c.wire.SetReadDeadline(time.Now().Add(lingerTime))
	if half, ok := c.wire.(interface{ CloseWrite() error }); ok && c.out.pending() == 0 {
		_ = half.CloseWrite()
	}
}

// abort ends the connection because the socket failed, or without a word. It only closes the socket: the reader wakes
// up and does the rest, so abort may be called from anywhere.
func (c *conn) abort(err error) {
	c.abortOnce.Do(func() {
		c.abortCause = err
		c.out.close()
		_ = c.wire.Close()
	})
}

// cleanup is the reader's last act.
func (c *conn) cleanup() {
	c.abort(io.EOF)
	b := c.b
	func() {
		defer b.recoverPanic("the end of a connection")
		c.endOnce.Do(func() {
			c.cause = c.abortCause
			c.refuseErr(c.cause, 0, "")
			close(c.ended)
			c.leave()
		})
	}()
	b.mu.Lock()
	delete(b.conns, c)
	if b.byAddress[c.address]--; b.byAddress[c.address] <= 0 {
		delete(b.byAddress, c.address)
	}
	b.perListen[c.listener]--
	b.mu.Unlock()
	b.timers.stop(&c.timer, true)
	c.partial, c.aliasIn, c.enhanced = nil, nil, nil
	c.logEnd()
}

// logEnd writes one line about the end of the connection. Ordinary ends are for debugging only, and so are those that a
// refusal has a line of its own for.
func (c *conn) logEnd() {
	err := c.cause
	ordinary := err == nil || errors.Is(err, errClosedByClient) || errors.Is(err, io.EOF) || errors.Is(err, errShuttingDown)
	if ordinary && !c.b.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	attrs := []any{"client", c.clientID, "remote", c.remote(), "listener", c.listener, "cause", err}
	layer, _ := classify(err)
	var network net.Error
	switch {
	case ordinary:
		c.b.log.Debug("connection closed", attrs...)
	case errors.Is(err, errSessionTaken) || errors.Is(err, errKeepAlive):
		c.b.log.Info("connection closed", attrs...)
	case errors.As(err, &network) && layer == 0:
		level := slog.LevelDebug
		if c.phase.Load() == connected {
			level = slog.LevelInfo // there is a line of that level about its beginning
		}
		c.b.log.Log(context.Background(), level, "connection lost", attrs...)
	case layer != 0:
		c.b.stats.closedByBroker.Add(1)
		c.b.log.Debug("connection closed", append(attrs, "reason", reasonOf(err).String())...)
	default:
		c.b.stats.closedByBroker.Add(1)
		c.b.log.Warn("connection closed", append(attrs, "reason", reasonOf(err).String())...)
	}
}

// describeFirst turns the refusal of a first packet into words about what the client probably speaks.
func (c *conn) describeFirst(data []byte, err error) error {
	tls := len(data) >= 2 && data[0] == 0x16 && data[1] == 0x03 // a handshake record, and a CONNECT with reserved flags
	if c.phase.Load() != awaitConnect || len(data) == 0 || data[0]>>4 == byte(mqtt.TypeConnect) && !tls {
		return err
	}
	switch {
	case tls:
		return refuse(errNotConnect, "MQTT-3.1.0-1", "the client speaks TLS on a plain listener; use mqtt:// or a TLS listener")
	case looksLikeHTTP(data):
		return refuse(errNotConnect, "MQTT-3.1.0-1", "the client speaks HTTP; this listener speaks MQTT over TCP, not WebSocket")
	default:
		return refuse(errNotConnect, "MQTT-3.1.0-1", fmt.Sprintf("the first byte is 0x%02x", data[0]))
	}
}

func looksLikeHTTP(data []byte) bool {
	for _, method := range []string{"GET ", "POST ", "HEAD ", "PUT ", "OPTIONS ", "CONNECT ", "PRI "} {
		if len(data) >= len(method) && string(data[:len(method)]) == method {
			return true
		}
	}
	return false
}
