package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/broker"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/control"
	"github.com/sealmq/sealmq/topic"
)

// openControl opens the control socket: in the data folder, or for a broker that keeps nothing in a private temporary
// folder, which ends with it.
func (n *Node) openControl(plan *config.Plan, version string) (*control.Socket, error) {
	dir := plan.Config.Node.DataDir
	var err error
	if plan.Dev && plan.Config.Storage.Engine == config.EngineMemory {
		dir, err = os.MkdirTemp("", "sealmq-control-")
		n.controlTemp = dir
	} else {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("folder of the control socket: %w", err)
	}
	socket, err := control.Listen(dir, func(err error) { n.log.Warn("control socket: turned away", "err", err) })
	if err != nil {
		return nil, errors.Join(err, n.removeControlTemp())
	}
	n.controlDir = dir
	o := operator{n: n, plan: plan, version: version}
	n.control = control.NewServer(o, o, n.log)
	n.control.Explain(o)
	n.control.Cover(o)
	if n.record != nil {
		n.control.Record(n.record)
	}
	return socket, nil
}

// closeControl gives back what openControl opened, when the broker does not start.
func (n *Node) closeControl(socket *control.Socket) error {
	return errors.Join(socket.Close(), n.removeControlTemp())
}

func (n *Node) removeControlTemp() error {
	if n.controlTemp == "" {
		return nil
	}
	return os.RemoveAll(n.controlTemp)
}

// ControlDir is the folder of the control socket: what the admin commands take as --data.
func (n *Node) ControlDir() string { return n.controlDir }

// operator fits broker and store into what the control socket needs.
type operator struct {
	n       *Node
	plan    *config.Plan // of the start; only keys that a reload cannot change are read
	version string
}

// Status implements control.Broker.
func (o operator) Status() control.Status {
	s := o.n.broker.Snapshot()
	st := control.Status{
		Name: o.plan.Config.Node.Name, Version: o.version, PID: os.Getpid(), Started: o.n.broker.Started().UTC(), Ready: true,
		Storage: string(o.plan.Config.Storage.Engine),
		Config:  o.plan.File(), MaxClients: o.plan.Config.Limits.Clients,
		Connections: s.Clients, Sessions: s.Sessions, Subscriptions: s.Subscriptions,
		Retained: s.Retained, RetainedBytes: s.RetainedBytes, QueuedBytes: s.QueuedBytes,
		Received: s.PublishReceived[0] + s.PublishReceived[1] + s.PublishReceived[2],
		Sent:     s.PublishSent[0] + s.PublishSent[1] + s.PublishSent[2],
		Dropped:  s.Dropped, QueueFull: s.QueueFull, Denied: s.Denied, LoginsRefused: s.LoginsRefused,
	}
	for i := range o.n.listeners {
		l := &o.n.listeners[i]
		st.Listeners = append(st.Listeners, control.Listener{Name: l.name, Address: l.Addr().String()})
	}
	if reasons := o.n.Unready(); len(reasons) > 0 {
		st.Ready, st.Reason = false, strings.Join(reasons, "; ")
	}
	return st
}

// Sessions implements control.Broker.
func (o operator) Sessions(q control.SessionQuery) control.SessionPage {
	list, next := o.n.broker.Sessions(q.Prefix, q.After, q.Limit)
	page := control.SessionPage{Sessions: make([]control.Session, len(list)), Next: next}
	for i := range list {
		page.Sessions[i] = sessionOf(&list[i])
	}
	return page
}

// Kick implements control.Broker.
func (o operator) Kick(clientID string, dryRun bool) (control.Session, error) {
	act := o.n.broker.Kick
	if dryRun {
		act = func(id string) (broker.SessionInfo, error) {
			i, err := o.n.broker.Session(id)
			if err == nil && !i.Online {
				err = broker.ErrNotConnected
			}
			return i, err
		}
	}
	return onSession(act, clientID)
}

// Clear implements control.Broker.
func (o operator) Clear(clientID string, dryRun bool) (control.Session, error) {
	act := o.n.broker.Clear
	if dryRun {
		act = o.n.broker.Session
	}
	return onSession(act, clientID)
}

func onSession(act func(string) (broker.SessionInfo, error), clientID string) (control.Session, error) {
	info, err := act(clientID)
	if err != nil {
		return control.Session{}, refusal(err)
	}
	return sessionOf(&info), nil
}

// refusal gives the broker's errors their class for the socket.
func refusal(err error) error {
	for _, known := range []struct {
		err  error
		code control.Code
	}{
		{broker.ErrNoSession, control.NotFound},
		{broker.ErrNotConnected, control.Conflict},
		{broker.ErrReserved, control.Invalid},
	} {
		if errors.Is(err, known.err) {
			return &control.Error{Code: known.code, Message: err.Error()}
		}
	}
	return err
}

func sessionOf(i *broker.SessionInfo) control.Session {
	return control.Session{
		ClientID: i.ClientID, Principal: i.Principal.String(), Version: i.Version.String(), Online: i.Online,
		Address: i.Remote, Listener: i.Listener, Created: i.Created.UTC(), Durable: i.Durable,
		ExpirySeconds: i.Expiry, ExpiresAt: moment(i.ExpiresAt), Subscriptions: i.Subscriptions,
		QueuedMessages: i.QueuedMessages, QueuedBytes: i.QueuedBytes, Inflight: i.Inflight,
	}
}

// moment is a time that may be absent.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Retained implements control.Broker.
func (o operator) Retained(q control.RetainedQuery) control.RetainedPage {
	list, next := o.n.broker.RetainedMessages(q.Filter, q.After, q.Limit, q.Preview)
	page := control.RetainedPage{Messages: make([]control.Retained, len(list)), Next: next}
	for i := range list {
		m := &list[i]
		page.Messages[i] = control.Retained{
			Topic: m.Topic, QoS: int(m.QoS), PayloadBytes: m.PayloadBytes, Bytes: m.Bytes, ClientID: m.ClientID,
			Author: m.Author.String(), ReceivedAt: m.ReceivedAt.UTC(), ExpiresAt: moment(m.ExpiresAt), Preview: m.Preview,
		}
	}
	return page
}

// RemoveRetained implements control.Broker.
func (o operator) RemoveRetained(ctx context.Context, f topic.Filter, dryRun bool) (control.Removed, error) {
	count, bytes, err := o.n.broker.RemoveRetained(ctx, f, dryRun)
	if err != nil {
		return control.Removed{Count: count, Bytes: bytes}, refusal(err)
	}
	return control.Removed{Count: count, Bytes: bytes}, nil
}
