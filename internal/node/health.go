package node

import (
	"context"
	"fmt"
	"time"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/ops"
	"github.com/sealmq/sealmq/internal/transport"
)

// earliestClock is before the first release: a clock that shows less was never set, and certificates, expiry and
// freshness mean nothing.
var earliestClock = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Started implements ops.Process.
func (n *Node) Started() bool { return n.started.Load() }

// Unready implements ops.Process: the reasons why the broker should get no connections.
func (n *Node) Unready() []string {
	if !n.Started() {
		return []string{"the start is not complete"}
	}
	var reasons []string
	if err := n.broker.Ready(); err != nil {
		reasons = append(reasons, "messages are not taken: "+err.Error())
	}
	if down := n.down.Load(); down != nil {
		reasons = append(reasons, *down)
	}
	if n.record != nil && n.config.Load().Audit.OnFailure == config.RefuseLogins {
		if state := n.auditState(); state != "" {
			reasons = append(reasons, "logins are refused: "+state)
		}
	}
	if now := time.Now(); now.Before(earliestClock) {
		reasons = append(reasons, fmt.Sprintf("the clock is wrong: it shows %s", now.UTC().Format(time.RFC3339)))
	}
	return reasons
}

// openOps opens the operations port, if there is one, so that health can be asked while the store is opened.
func (n *Node) openOps(ctx context.Context, c *config.Ops) error {
	if !c.Bind.IsValid() {
		return nil
	}
	n.mosquittoNames = c.MosquittoNames
	var err error
	n.ops, err = ops.Listen(ctx, ops.Options{
		Address: c.Bind, Metrics: c.Metrics, Health: c.Health, Token: c.Token, CertFile: c.TLS.Cert, KeyFile: c.TLS.Key, Log: n.log,
	}, n)
	if err != nil {
		return fmt.Errorf("operations port: %w", transport.Busy(c.Bind, err))
	}
	n.serving.Go(func() {
		if err := n.ops.Serve(); err != nil {
			n.fail(fmt.Errorf("operations port: %w", err))
		}
	})
	return nil
}

// closeOps closes the operations port.
func (n *Node) closeOps() error {
	if n.ops == nil {
		return nil
	}
	return n.ops.Close()
}

// OpsURL is the address of the operations port, "" without.
func (n *Node) OpsURL() string {
	if n.ops == nil {
		return ""
	}
	return n.ops.URL()
}
