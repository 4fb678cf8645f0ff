package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/sealmq/sealmq/internal/audit"
	"github.com/sealmq/sealmq/internal/broker"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/control"
	"github.com/sealmq/sealmq/internal/identity"
)

// auditKey is the signing key of the audit file, within node.data_dir.
const auditKey = "audit.key"

// AuditHint is what to do about an audit file that is not in order.
const AuditHint = "look at it with sealmq audit verify; move its folder away to begin a new one, and keep the old one as evidence"

// recorder writes what happens into the audit file. Its methods are safe for concurrent use and never wait for the disk.
type recorder struct{ log *audit.Log }

// openAudit opens the audit file, if there is one.
func (n *Node) openAudit(c *config.Config) error {
	a := &c.Audit
	if !a.On() {
		return nil
	}
	if err := os.MkdirAll(c.Node.DataDir, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	log, err := audit.Open(audit.Options{
		File: a.File, Key: filepath.Join(c.Node.DataDir, auditKey), Rotate: int64(a.Rotate), Keep: a.Keep, Checkpoint: a.Checkpoint,
		Continue: a.OnFailure == config.GoOn, Log: n.log,
	})
	if err != nil {
		return err
	}
	n.record = &recorder{log}
	return nil
}

// recorderOf is nil, and not a nil pointer in an interface, when nothing is recorded.
func (n *Node) recorderOf() broker.Recorder {
	if n.record == nil {
		return nil
	}
	return n.record
}

// closeAudit writes and signs what waits.
func (n *Node) closeAudit() error {
	if n.record == nil {
		return nil
	}
	return n.record.log.Close()
}

// Refused implements broker.Recorder.
func (r *recorder) Refused(f *broker.Refusal) {
	e := &audit.Entry{
		Time: f.Last, Kind: audit.Refused, ID: f.ID, Layer: f.Layer.String(), Client: f.ClientID, User: f.Username, Remote: f.Remote,
		Listener: f.Listener, Topic: f.Topic, Check: f.Check, Expected: f.Expected, Found: f.Found, Rule: f.Decision.Rule.String(),
		Code: int(f.Code),
	}
	if f.Times > 1 {
		e.Times = int64(f.Times)
	}
	if f.Principal != (identity.Principal{}) {
		e.Principal = f.Principal.String()
	}
	if f.Action != 0 {
		e.Action = f.Action.String()
	}
	if f.Version != 0 {
		e.Version = f.Version.String()
	}
	if f.Expected == "" && f.Found == "" {
		e.Why = f.Decision.Why
	}
	r.log.AddRefusal(e)
}

// LoggedIn implements broker.Recorder.
func (r *recorder) LoggedIn(a *broker.Admission) error {
	return r.log.Admit(&audit.Entry{
		Time: a.At, Kind: audit.Login, Client: a.ClientID, Principal: a.Principal.String(), Remote: a.Remote, Listener: a.Listener,
		Transport: a.Transport, Version: a.Version.String(),
	})
}

// Acted implements control.Recorder.
func (r *recorder) Acted(a *control.Act) {
	r.log.Add(&audit.Entry{Kind: audit.Admin, By: a.By, Operation: a.Operation, Details: a.Details, Error: errorText(a.Err)})
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// lifecycle records the start and the end of the broker.
func (n *Node) lifecycle(kind audit.Kind) {
	if n.record == nil {
		return
	}
	e := &audit.Entry{Kind: kind, Version: n.version, Details: n.URLs()}
	if kind == audit.Stop {
		e.Details = nil
	}
	n.record.log.Add(e)
}

// reloaded records what a reload came to.
func (n *Node) reloaded(changes []config.Change, err error) {
	if n.record == nil {
		return
	}
	e := &audit.Entry{Kind: audit.Reload, Error: errorText(err)}
	for _, c := range changes {
		e.Details = append(e.Details, c.String())
	}
	n.record.log.Add(e)
}

// ReloadRefused records a reload whose file could not be used.
func (n *Node) ReloadRefused(err error) { n.reloaded(nil, err) }

// auditState says what is wrong with the audit file, "" when nothing is.
func (n *Node) auditState() string {
	if n.record == nil {
		return ""
	}
	if err := n.record.log.Failed(); err != nil {
		return fmt.Sprintf("the audit file cannot be written (%s entries lost): %v", strconv.FormatInt(n.record.log.Lost(), 10), err)
	}
	return ""
}
