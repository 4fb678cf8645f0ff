package node

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sealmq/sealmq/internal/authn"
	"github.com/sealmq/sealmq/internal/broker"
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/observe"
)

// meteredLogin times logins and counts those that fail.
type meteredLogin struct {
	broker.Authenticator
	seconds  *observe.Histogram
	failures *observe.Counters
}

// Bounds of what failed logins are counted by: methods times classes.
const mostFailures = 64

func meter(a broker.Authenticator) *meteredLogin {
	return &meteredLogin{
		Authenticator: a, failures: observe.NewCounters(mostFailures, "method", "reason"),
		seconds: observe.NewHistogram(100*time.Microsecond, time.Millisecond, 5*time.Millisecond, 20*time.Millisecond, 50*time.Millisecond,
			100*time.Millisecond, 250*time.Millisecond, time.Second, 5*time.Second),
	}
}

// Authenticate implements broker.Authenticator.
func (m *meteredLogin) Authenticate(ctx context.Context, ev *identity.Evidence, cr *identity.Credentials) identity.Verdict {
	start := time.Now()
	return m.record(m.Authenticator.Authenticate(ctx, ev, cr), time.Since(start))
}

// record counts a verdict; the steps of an exchange are one login, without the time that the client takes.
func (m *meteredLogin) record(v identity.Verdict, spent time.Duration) identity.Verdict {
	if v.Outcome == identity.Continued {
		next := v.Next
		v.Next = func(data []byte) identity.Verdict {
			start := time.Now()
			after := next(data)
			return m.record(after, spent+time.Since(start))
		}
		return v
	}
	m.seconds.Observe(spent)
	if v.Outcome == identity.Rejected {
		m.failures.Add(failedMethod(v), failureReasons[v.Failure])
	}
	return v
}

// failedMethod is what refused the login.
func failedMethod(v identity.Verdict) string {
	var r *authn.Refusal
	switch {
	case errors.As(v.Cause, &r):
		return r.Method
	case v.Failure == identity.Banned:
		return "lockout"
	}
	return "other"
}

var failureReasons = map[identity.Failure]string{
	identity.NotAuthenticated: "not_authenticated", identity.NotPermitted: "not_permitted",
	identity.BadMethod: "bad_method", identity.Busy: "busy", identity.Banned: "banned",
}

// countedActions are the actions that decisions are counted by.
var countedActions = [...]identity.Action{
	identity.Connect, identity.Publish, identity.Retain, identity.Subscribe, identity.Receive, identity.Will,
}

// decisionCounts counts decisions of the access rules by action and result.
type decisionCounts [identity.Will + 1]struct {
	allowed, denied atomic.Int64
	_               [6]uint64 // a cache line of its own: the hot path counts publishes
}

func (c *decisionCounts) add(a identity.Action, allowed bool) {
	n := &c[min(int(a), len(c)-1)]
	if allowed {
		n.allowed.Add(1)
		return
	}
	n.denied.Add(1)
}

func (c *decisionCounts) write(m *observe.Metrics) {
	f := m.Family("sealmq_acl_decisions_total", observe.Counter, "Decisions of the access rules. Answers that the broker kept for a topic are counted once.")
	for _, a := range countedActions {
		f.Value(float64(c[a].allowed.Load()), "action", a.String(), "result", "allowed")
		f.Value(float64(c[a].denied.Load()), "action", a.String(), "result", "denied")
	}
}

// Metrics implements ops.Process.
func (n *Node) Metrics(m *observe.Metrics) {
	m.Family("sealmq_build_info", observe.Gauge, "The running build; always 1.").Value(1, "version", n.version, "go", runtime.Version())
	ready := 0.0
	if len(n.Unready()) == 0 {
		ready = 1
	}
	m.Single("sealmq_ready", observe.Gauge, "Whether the broker takes connections and messages, as /readyz says.", ready)
	if !n.Started() {
		return
	}
	s := n.broker.Snapshot()
	m.Single("sealmq_start_time_seconds", observe.Gauge, "When the broker started, in Unix time.", float64(n.broker.Started().Unix()))
	n.writeConnections(m, &s)
	n.rules.counts.write(m)
	refusals := m.Family("sealmq_refusals_total", observe.Counter, "Refusals of every layer, by what was checked; each has a decision id in the log.")
	for _, r := range n.broker.RefusalCounts() {
		refusals.Value(float64(r.Times), "layer", r.Layer.String(), "check", r.Check)
	}
	checks := m.Family("sealmq_protection_checks_total", observe.Counter, "Payloads on topics with rules, by what the topic requires: met; passed although not met; refused.")
	for _, c := range n.payload.policy.Checks() {
		checks.Value(float64(c.Times), "require", c.Require, "result", c.Result)
	}
	n.writeAudit(m)
	n.writeMessages(m, &s)
	n.writeState(m, &s)
	n.writeCertificates(m)
	n.writeFindings(m)
	if n.mosquittoNames {
		writeMosquittoNames(m, n.broker.Sys())
	}
}

func (n *Node) writeConnections(m *observe.Metrics, s *broker.Snapshot) {
	m.Single("sealmq_connections", observe.Gauge, "Network Connections that are open.", float64(s.Clients))
	m.Single("sealmq_connections_total", observe.Counter, "Network Connections that were accepted.", float64(s.Connections))
	m.Single("sealmq_connections_refused_total", observe.Counter, "Network Connections closed at once, because a limit was reached.", float64(s.RefusedConnections))
	f := m.Family("sealmq_connects_total", observe.Counter, "CONNECT packets by listener and how they ended.")
	for _, c := range n.broker.Connects() {
		f.Value(float64(c.Count), "listener", c.Listener, "result", c.Result)
	}
	n.metered.seconds.Write(m, "sealmq_auth_seconds", "Time that the broker spent on one login, waiting for a password check included.")
	n.metered.failures.Write(m, "sealmq_auth_failures_total", "Refused logins by method and reason.")
	m.Single("sealmq_closed_by_broker_total", observe.Counter, "Connections that the broker ended, errors of clients included.", float64(s.ClosedByBroker))
	m.Single("sealmq_panics_total", observe.Counter, "Connections that ended because of an error in the broker. Any is worth a report.", float64(s.Panics))
}

func (n *Node) writeAudit(m *observe.Metrics) {
	failed, lost := 0.0, 0.0
	if n.record != nil {
		lost = float64(n.record.log.Lost())
		if n.record.log.Failed() != nil {
			failed = 1
		}
	}
	m.Single("sealmq_audit_failed", observe.Gauge, "Whether the audit file cannot be written at present.", failed)
	m.Single("sealmq_audit_lost_total", observe.Counter, "Audit entries that could not be written.", lost)
	m.Single("sealmq_refusal_lines_suppressed_total", observe.Counter, "Refusals that got no line in the log, because they repeated another one or were too many.", float64(n.broker.SuppressedLines()))
}

func (n *Node) writeMessages(m *observe.Metrics, s *broker.Snapshot) {
	m.Single("sealmq_packets_received_total", observe.Counter, "MQTT Control Packets received.", float64(s.PacketsReceived))
	m.Single("sealmq_received_bytes_total", observe.Counter, "Bytes received, without TLS and TCP.", float64(s.BytesReceived))
	m.Single("sealmq_sent_bytes_total", observe.Counter, "Bytes sent, without TLS and TCP.", float64(s.BytesSent))
	for _, d := range []struct {
		name, help string
		n          [3]int64
	}{
		{"sealmq_publish_received_total", "PUBLISH packets received.", s.PublishReceived},
		{"sealmq_publish_sent_total", "PUBLISH packets sent.", s.PublishSent},
	} {
		f := m.Family(d.name, observe.Counter, d.help)
		for q, count := range d.n {
			f.Value(float64(count), "qos", string(rune('0'+q)))
		}
	}
	f := m.Family("sealmq_dropped_total", observe.Counter, "Messages that did not reach a session or a client, by reason.")
	f.Value(float64(s.Dropped), "reason", "slow_client")
	f.Value(float64(s.Expired), "reason", "expired")
	f.Value(float64(s.QueueFull), "reason", "queue_full")
	f.Value(float64(s.DeniedDeliveries), "reason", "not_allowed")
	f.Value(float64(s.RefusedPublishes), "reason", "refused")
	m.Single("sealmq_denied_total", observe.Counter, "Actions of clients that the access rules denied; each has a decision id in the log.", float64(s.Denied))
	m.Single("sealmq_wills_total", observe.Counter, "Will Messages published.", float64(s.Wills))
	m.Single("sealmq_store_errors_total", observe.Counter, "Operations of the store that failed.", float64(s.StoreErrors))
}

func (n *Node) writeState(m *observe.Metrics, s *broker.Snapshot) {
	m.Single("sealmq_sessions", observe.Gauge, "Sessions, connected or not.", float64(s.Sessions))
	m.Single("sealmq_subscriptions", observe.Gauge, "Subscriptions of all sessions.", float64(s.Subscriptions))
	m.Single("sealmq_retained", observe.Gauge, "Retained messages.", float64(s.Retained))
	m.Single("sealmq_retained_bytes", observe.Gauge, "Bytes of the retained messages.", float64(s.RetainedBytes))
	m.Single("sealmq_queue_bytes", observe.Gauge, "Bytes that wait in the queues of all sessions.", float64(s.QueuedBytes))
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	m.Single("sealmq_heap_bytes", observe.Gauge, "Memory in use on the heap.", float64(mem.HeapAlloc))
	m.Single("sealmq_goroutines", observe.Gauge, "Goroutines of the process.", float64(runtime.NumGoroutine()))
}

func (n *Node) writeCertificates(m *observe.Metrics) {
	f := m.Family("sealmq_certificate_expiry_timestamp_seconds", observe.Gauge, "When the certificate of a listener expires, in Unix time.")
	for i := range n.listeners {
		if c := n.listeners[i].Certificate(); c != nil {
			f.Value(float64(c.NotAfter.Unix()), "name", n.listeners[i].name)
		}
	}
}

// severities are the labels of sealmq_doctor_findings.
var severities = [...]string{"high", "medium", "low"}

func (n *Node) writeFindings(m *observe.Metrics) {
	counts := n.findings.Load()
	if counts == nil {
		return
	}
	f := m.Family("sealmq_doctor_findings", observe.Gauge, "Findings of sealmq doctor about the configuration in force, when it was loaded.")
	for _, s := range severities {
		f.Value(float64((*counts)[s]), "severity", s)
	}
}

// SetFindings tells the metrics how many findings of each severity the doctor has about the configuration in force.
func (n *Node) SetFindings(counts map[string]int) { n.findings.Store(&counts) }

// writeMosquittoNames adds numbers of $SYS under the names that exporters for Mosquitto give them: without $SYS/, slashes
// and blanks turned into underscores.
func writeMosquittoNames(m *observe.Metrics, values []broker.SysValue) {
	for _, v := range values {
		name := strings.NewReplacer("/", "_", " ", "_", "$", "").Replace(strings.TrimPrefix(v.Topic, "$SYS/"))
		m.Single(name, observe.Gauge, v.Topic, v.Value)
	}
}
