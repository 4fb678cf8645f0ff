package psktls

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"net"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
)

// errGoexit is the outcome of a handshake whose goroutine was ended from inside
// the key callback.
var errGoexit = errors.New("the handshake's goroutine was ended by runtime.Goexit")

// Handshake runs the handshake if it has not run yet, bounded by
// Config.HandshakeTimeout. Read and Write call it.
func (c *Conn) Handshake() error { return c.HandshakeContext(context.Background()) }

// HandshakeContext runs the handshake if it has not run yet, bounded by ctx and
// by Config.HandshakeTimeout, whichever ends first; then the transport is
// closed. A failure is final: every later call, Read and Write give the same
// *Error. The caller still has to Close.
//
// The handshake runs on a stack of its own, which is given back before
// HandshakeContext returns: it needs a deep stack once, and a goroutine that
// goes on to serve the connection would keep that stack.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	if c.handshakeDone.Load() {
		return nil
	}
	c.handshakeMu.Lock()
	defer c.handshakeMu.Unlock()
	if c.handshakeDone.Load() {
		return nil
	}
	if c.handshakeErr != nil {
		return c.handshakeErr
	}
	if c.configErr != nil {
		return c.configErr
	}
	end := c.endWith(ctx)
	err := onOwnStack(c.runHandshake)
	if ended := end(); ended != nil {
		err = ended
	}
	if err != nil {
		c.handshakeErr = err
		return err
	}
	c.handshakeDone.Store(true)
	return nil
}

// endWith closes the transport when ctx ends or the handshake has taken too long.
// stop ends the watch and gives the error of the one that happened, if any.
func (c *Conn) endWith(ctx context.Context) (stop func() error) {
	end := func() { _ = c.transport.Close() }
	timer := time.AfterFunc(c.settings.timeout, end)
	watch := func() bool { return true }
	if ctx.Done() != nil {
		watch = context.AfterFunc(ctx, end)
	}
	return func() error {
		inTime, watched := timer.Stop(), watch()
		switch {
		case !watched && !errors.Is(ctx.Err(), context.DeadlineExceeded):
			return &Error{Check: CheckCanceled, Alert: AlertNone, Err: ctx.Err()}
		case !watched || !inTime:
			return &Error{Check: CheckTimeout, Alert: AlertNone, Err: context.DeadlineExceeded}
		}
		return nil
	}
}

// onOwnStack runs work on another stack and waits for it. A coroutine does that
// for less than a goroutine: the scheduler wakes nobody for it. Should work end
// its goroutine, the caller's goes on: the coroutine then still waits in yield,
// and a goroutine that has nothing else to do lets it end.
func onOwnStack(work func(outcome *error)) (err error) {
	next, stop := iter.Pull(func(yield func(struct{}) bool) {
		returned := false
		defer func() {
			if !returned {
				yield(struct{}{})
			}
		}()
		growStack()
		work(&err)
		returned = true
	})
	if _, ended := next(); ended {
		go stop()
	}
	return err
}

// handshakeStack is what a handshake needs of the 8 KiB of stack it gets.
const handshakeStack = 5 << 10

// growStack makes the stack as deep as a handshake needs it, at once and while
// there is next to nothing on it to move: without it, it is moved twice from
// where the frames are many.
//
//go:noinline
func growStack() {
	var room [handshakeStack]byte
	runtime.KeepAlive(&room)
}

// runHandshake does the work and delivers exactly one outcome, whatever happens.
func (c *Conn) runHandshake(outcome *error) {
	err := error(&Error{Check: CheckInternal, Alert: AlertInternalError, Err: errGoexit})
	c.in.mu.Lock()
	c.out.mu.Lock()
	defer func() {
		if v := recover(); v != nil {
			err = &Error{Check: CheckInternal, Alert: AlertInternalError, Err: &PanicError{Value: v, Stack: debug.Stack()}}
		}
		err = c.endHandshake(err)
		c.out.mu.Unlock()
		c.in.mu.Unlock()
		*outcome = err
	}()
	c.in.hold = true
	c.out.flight = getBuffer(smallBufferLen)
	if c.client {
		err = c.clientHandshake()
	} else {
		err = c.serverHandshake()
	}
}

// endHandshake gives buffers back, and after a failure tells the peer and
// disables both directions.
func (c *Conn) endHandshake(err error) error {
	putBuffer(c.out.flight)
	c.out.flight = nil
	c.in.hold, c.in.dropCCS, c.in.skipEarly, c.in.useless = false, false, 0, 0
	if err == nil {
		if c.in.off == len(c.in.raw) {
			c.in.release()
		}
		return nil
	}
	var refusal *Error
	switch {
	case errors.As(err, &refusal):
	case errors.Is(err, errCloseNotify):
		refusal = &Error{Check: CheckPeerAlert, Alert: AlertCloseNotify, Remote: true, Found: "close_notify during the handshake"}
	case errors.Is(err, io.EOF):
		refusal = &Error{Check: CheckTransport, Alert: AlertNone, Err: io.ErrUnexpectedEOF}
	case c.closed.Load():
		refusal = &Error{Check: CheckTransport, Alert: AlertNone, Err: net.ErrClosed}
	default:
		refusal = &Error{Check: CheckTransport, Alert: AlertNone, Err: err}
	}
	if !refusal.Remote && refusal.Alert != AlertNone {
		c.sendAlert(refusal.Alert)
	}
	c.in.release()
	c.in.hand = nil
	c.in.wipe()
	c.out.wipe()
	c.in.err, c.out.err = refusal, refusal
	return refusal
}

// readMessage gives the next handshake message, which must be of the type
// wanted.
func (c *Conn) readMessage(want uint8) ([]byte, error) { return c.readMessageOf(want, want) }

// readMessageOf gives the next handshake message, which must be of one of two
// types.
func (c *Conn) readMessageOf(want, other uint8) ([]byte, error) {
	for {
		msg, err := c.in.nextMessage()
		if err != nil {
			return nil, err
		}
		if msg != nil {
			if msg[0] != want && msg[0] != other {
				return nil, refuse(CheckMessage, AlertUnexpectedMessage, messageName(want), messageName(msg[0]))
			}
			return msg, nil
		}
		if err := c.readHandshakeRecord(want); err != nil {
			return nil, err
		}
	}
}

// readHandshakeRecord collects one handshake record.
func (c *Conn) readHandshakeRecord(want uint8) error {
	in := &c.in
	typ, payload, err := in.nextRecord(c.transport, nil)
	if err != nil {
		if in.skipsEarly(err) {
			return nil
		}
		return err
	}
	switch typ {
	case recordHandshake:
		if in.aead != nil {
			in.skipEarly = 0
		}
		return in.collect(payload)
	case recordAlert:
		return in.alert(payload, c.state.Version)
	case recordChangeCipherSpec:
		if in.dropCCS && len(payload) == 1 && payload[0] == 1 {
			return in.waste("change_cipher_spec")
		}
	case recordApplicationData:
		// Early data in front of a second ClientHello.
		if in.aead == nil && in.skipEarly > 0 {
			in.skipEarly -= in.size
			if in.skipEarly >= 0 {
				return nil
			}
		}
	}
	return refuse(CheckRecord, AlertUnexpectedMessage, messageName(want), fmt.Sprintf("a record of type %d", typ))
}

// readChangeCipherSpec reads the change_cipher_spec of TLS 1.2, RFC 5246 §7.1.
// No part of a handshake message may straddle it.
func (c *Conn) readChangeCipherSpec() error {
	if err := c.atKeyChange(); err != nil {
		return err
	}
	for {
		typ, payload, err := c.in.nextRecord(c.transport, nil)
		if err != nil {
			return err
		}
		switch {
		case typ == recordAlert:
			if err := c.in.alert(payload, VersionTLS12); err != nil {
				return err
			}
		case typ == recordChangeCipherSpec && len(payload) == 1 && payload[0] == 1:
			return nil
		default:
			return refuse(CheckRecord, AlertUnexpectedMessage, "change_cipher_spec", fmt.Sprintf("a record of type %d", typ))
		}
	}
}

// atKeyChange refuses handshake octets of the old key that would be taken for
// octets of the new one, RFC 8446 §5.1.
func (c *Conn) atKeyChange() error {
	if len(c.in.hand) > 0 {
		return refuse(CheckMessage, AlertUnexpectedMessage, "a record boundary at the change of keys", "more handshake octets")
	}
	return nil
}

// queueMessages adds messages to the transcript and, as one record, to the
// present flight.
func (c *Conn) queueMessages(transcript hash.Hash, msgs ...[]byte) error {
	for _, m := range msgs {
		transcript.Write(m)
	}
	if len(msgs) == 1 {
		return c.out.queue(recordHandshake, VersionTLS12, msgs[0])
	}
	return c.out.queue(recordHandshake, VersionTLS12, slices.Concat(msgs...))
}

// queueChangeCipherSpec adds a change_cipher_spec; in TLS 1.3 it is the dummy of
// RFC 8446 §D.4.
func (c *Conn) queueChangeCipherSpec() error {
	return c.out.queue(recordChangeCipherSpec, VersionTLS12, []byte{1})
}

// selectALPN picks the server's first protocol that the client offered.
func selectALPN(offered, ours []string) (string, error) {
	if len(offered) == 0 || len(ours) == 0 {
		return "", nil
	}
	for _, p := range ours {
		if slices.Contains(offered, p) {
			return p, nil
		}
	}
	return "", refuse(CheckALPN, AlertNoApplicationProtocol, fmt.Sprintf("one of %q", ours),
		quotePeer(fmt.Appendf(nil, "%s", offered)))
}

// checkALPN refuses an answer that was not offered.
func (s *settings) checkALPN(selected string) error {
	if selected == "" || slices.Contains(s.protos, selected) {
		return nil
	}
	return refuse(CheckALPN, AlertIllegalParameter, fmt.Sprintf("one of %q", s.protos), quotePeer([]byte(selected)))
}

// suiteNames lists allowed suites for an error.
func suiteNames(suites []*suite) string {
	names := make([]string, len(suites))
	for i, s := range suites {
		names[i] = s.name
	}
	return fmt.Sprintf("one of %s", names)
}

// offeredSuites lists what a client offered, the first few, for an error.
func offeredSuites(ids []uint16) string {
	const limit = 12
	names := make([]string, 0, limit)
	for _, id := range ids[:min(len(ids), limit)] {
		names = append(names, CipherSuiteName(id))
	}
	return fmt.Sprintf("%d suites %s", len(ids), names)
}

func groupNames(groups []uint16) string {
	const limit = 12
	names := make([]string, 0, limit)
	for _, g := range groups[:min(len(groups), limit)] {
		names = append(names, GroupName(g))
	}
	return fmt.Sprintf("%s", names)
}
