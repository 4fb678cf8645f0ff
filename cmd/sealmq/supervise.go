package main

import (
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/node"
	"github.com/sealmq/sealmq/internal/observe"
)

// supervisor is the service manager that waits for news, if there is one.
func (a *app) supervisor(log *slog.Logger) *observe.Notifier {
	n, err := observe.NewNotifier(a.getenv, os.Getpid())
	if err != nil {
		log.Warn("the service manager cannot be told anything", "err", err)
	}
	return n
}

// readyLine is what the service manager shows people.
func readyLine(n *node.Node) string { return "listening on " + strings.Join(n.URLs(), " ") }

// feed ticks when the watchdog wants to hear something; never without one.
func feed(m *observe.Notifier) (tick <-chan time.Time, stop func()) {
	every := m.WatchdogInterval()
	if every <= 0 {
		return nil, func() {}
	}
	t := time.NewTicker(every)
	return t.C, t.Stop
}
