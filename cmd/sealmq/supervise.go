package main

import (
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/doctor"
	"github.com/sealmq/sealmq/internal/doctor/gather"
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

// diagnose tells the metrics what the doctor finds in the configuration in force.
func diagnose(n *node.Node, plan *config.Plan) {
	if n.OpsURL() == "" {
		return
	}
	r := doctor.Examine(gather.FromConfig(plan.File(), plan.Config))
	counts := map[string]int{}
	for _, s := range []doctor.Severity{doctor.Low, doctor.Medium, doctor.High} {
		counts[s.String()] = r.Count(s)
	}
	n.SetFindings(counts)
}
