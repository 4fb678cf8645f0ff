package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/audit"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/control"
	"github.com/sealmq/sealmq/internal/node"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/internal/transport"
)

// stopTimeout is how long clients and the store have when the broker stops.
const stopTimeout = 10 * time.Second

// runBroker starts a node, says what to type next, and keeps it running until ctx is done. SIGHUP reads the
// configuration and its files again; changes of the files alone are noticed without it.
func (a *app) runBroker(ctx context.Context, plan *config.Plan, log *slog.Logger, level *slog.LevelVar) error {
	n, err := node.Start(ctx, plan, log, readBuild(false).Version)
	if err != nil {
		return startError(err, plan)
	}
	a.announce(n, plan)
	manager := a.supervisor(log)
	defer manager.Close()
	manager.Ready(readyLine(n))
	diagnose(n, plan)
	watchdog, stopWatchdog := feed(manager)
	defer stopWatchdog()
	resting, wake := context.WithCancel(ctx)
	defer wake()
	go returnMemory(resting)
	hangup := make(chan os.Signal, 1)
	notifyReload(hangup)
	defer signal.Stop(hangup)
	look := time.NewTicker(node.WatchInterval)
	defer look.Stop()
	var failed error
	for done := false; !done; {
		select {
		case <-hangup:
			manager.Reloading()
			plan = reload(n, plan, log, level)
			diagnose(n, plan)
			manager.Ready(readyLine(n))
		case <-watchdog:
			n.Broker().Snapshot() // takes the locks of the broker: one that hangs is given up
			manager.Alive()
		case now := <-look.C:
			n.Poll(plan, now)
		case failed = <-n.Failed():
			done = true
		case <-ctx.Done():
			done = true
		}
	}
	manager.Stopping()
	log.Info("stopping")
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(failed, n.Stop(stop))
}

// announce tells a person where the broker listens and what to type next.
func (a *app) announce(n *node.Node, plan *config.Plan) {
	plain := ""
	for i, url := range n.URLs() {
		l := &plan.Config.Listeners[i]
		reach := ""
		if l.Loopback() {
			reach = ", this machine only"
		}
		writef(a.stderr, "listening on %s (%s%s)\n", url, l.Name, reach)
		if address, ok := strings.CutPrefix(url, "mqtt://"); ok && plain == "" && l.Loopback() {
			plain = address
		}
	}
	if url := n.OpsURL(); url != "" {
		writef(a.stderr, "metrics and health on %s\n", url)
	}
	if home := plan.Home(); home != "" {
		a.printAccess(n, plan, home)
		return
	}
	host, port, err := net.SplitHostPort(plain)
	if err != nil || !plan.Config.Auth.Anonymous {
		return
	}
	writef(a.stderr, "\nTry it from two other terminals:\n")
	writef(a.stderr, "  sealmq sub -h %s -p %s -t 'test/#' -v\n", host, port)
	writef(a.stderr, "  sealmq pub -h %s -p %s -t test/hello -m 'hello'\n", host, port)
	writef(a.stderr, "  sealmq status --data %s\n", oneLine(n.ControlDir()))
	writef(a.stderr, "mosquitto_sub and mosquitto_pub take the same letters. Stop the broker with Ctrl-C.\n\n")
}

// reload applies a changed configuration, all of it or nothing, and says which.
func reload(n *node.Node, plan *config.Plan, log *slog.Logger, level *slog.LevelVar) *config.Plan {
	next, changes, err := plan.Reload()
	if err != nil {
		log.Error("reload refused, nothing changed", "err", err)
		n.ReloadRefused(err)
		return plan
	}
	if err := n.Reload(next); err != nil {
		log.Error("reload refused, nothing changed", "err", err)
		return plan
	}
	level.Set(logLevel(next.Config.Log.Level))
	for _, c := range changes {
		log.Info("changed", "key", c.Key, "from", c.Old, "to", c.New)
	}
	log.Info("configuration reloaded", "changes", len(changes))
	return next
}

// startError says in the form of the command line why the broker did not start.
func startError(err error, plan *config.Plan) error {
	var busy *transport.BusyError
	if errors.As(err, &busy) {
		hint := busy.Hint()
		if file := plan.File(); file != "" && plan.Config.Origin("listeners").Flag == "" {
			hint = busy.HintOr("give its listener another port in " + file)
		}
		return &failure{exitFailed, fmt.Sprintf("cannot listen on %v", busy.Address), busy.Why(), hint, err}
	}
	f := &failure{exitFailed, "cannot start the broker", err.Error(), "", err}
	var altered *audit.Bad
	if errors.As(err, &altered) {
		f.hint = node.AuditHint
		return f
	}
	var (
		damaged *store.CorruptError
		used    *store.InUseError
		answers *control.InUseError
	)
	switch {
	case errors.As(err, &damaged):
		f.hint = "nothing was changed; sealmq restore BACKUP --data DIR makes a new data folder"
	case errors.As(err, &used) || errors.As(err, &answers):
		f.hint = "stop that broker first, or give this one another folder with --data DIR"
	}
	return f
}
