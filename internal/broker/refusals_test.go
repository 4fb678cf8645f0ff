package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

// tape is a Recorder that remembers.
type tape struct {
	mu      sync.Mutex
	refused []Refusal
	logins  []Admission
	full    error // what LoggedIn says
}

func (l *tape) Refused(r *Refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = append(l.refused, *r)
}

func (l *tape) LoggedIn(a *Admission) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full == nil {
		l.logins = append(l.logins, *a)
	}
	return l.full
}

// fill makes every further login fail.
func (l *tape) fill(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full = err
}

func (l *tape) seen() ([]Refusal, []Admission) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.refused), slices.Clone(l.logins)
}

// checkFailed is an error of a seam.
type checkFailed struct{ check string }

func (e *checkFailed) Error() string { return e.check }

func (e *checkFailed) Failed() (check, expected, found string) { return e.check, "this", "that" }

// TestRefusalOfEachLayer: each layer leaves one decision that names check, rule, listener and client, is found by its id and
// by its client, and reaches log, counter and recorder.
func TestRefusalOfEachLayer(t *testing.T) {
	rec := &tape{}
	record := func(r *rig) { r.rec = rec }
	small := with(func(s *Settings) {
		s.SubscriptionsPerSession = 1
		s.Rule = func(layer Layer, listener, check string) identity.Rule {
			return identity.Rule{Name: layer.String() + " " + listener + " " + check, File: "sealmq.yaml", Line: 7}
		}
	})
	bubble(t, func(r *rig) {
		r.authn.login = func(cr *identity.Credentials) identity.Verdict {
			if cr.Username == "mallory" {
				return identity.Verdict{Cause: &checkFailed{"password: password"}}
			}
			return identity.Verdict{Outcome: identity.Accepted, Principal: identity.Principal{Method: "password", Name: cr.Username}}
		}
		r.authz.set(denying(identity.Publish, "a"))
		for _, c := range []struct {
			layer  Layer
			check  string
			client string
			line   string
			code   mqtt.ReasonCode
			act    func()
		}{
			{LayerLogin, "password: password", "m", "login refused", mqtt.BadUserNameOrPassword, func() {
				m := r.open()
				m.send(connectPacket("m", user("mallory")))
				m.refused(mqtt.BadUserNameOrPassword)
			}},
			{LayerAccess, "publish", "p", "denied", mqtt.NotAuthorized, func() {
				if code := r.connect("p", user("p")).publish(msg("a", "x", 1)); code != mqtt.NotAuthorized {
					t.Errorf("%v", code)
				}
			}},
			{LayerLimit, "limits.subscriptions_per_client", "l", "limit reached", mqtt.QuotaExceeded, func() {
				l := r.connect("l", user("l"))
				l.subscribe(0, "a")
				two := &mqtt.Subscribe{Subscriptions: []mqtt.Subscription{{Filter: "b"}}}
				if codes := l.subscribed(two); codes[0] != mqtt.QuotaExceeded {
					t.Errorf("%v", codes)
				}
			}},
			{LayerProtocol, "MQTT-3.1.0-2", "w", "protocol violated", mqtt.ProtocolError, func() {
				w := r.connect("w", user("w"))
				w.send(connectPacket("w"))
				w.ejected(mqtt.ProtocolError)
			}},
		} {
			before := r.b.Snapshot().Refused[c.layer]
			r.log.reset()
			c.act()
			r.settle()
			got, ok := r.b.LastRefusal(c.client)
			same, found := r.b.Refusal(got.ID)
			if !ok || !found || same != got || len(got.ID) != refusalIDSize {
				t.Fatalf("%v: %+v, %+v", c.layer, got, same)
			}
			if got.Layer != c.layer || got.Check != c.check || got.ClientID != c.client || got.Code != c.code || got.Listener != "test" ||
				!strings.HasPrefix(got.Remote, "192.0.2.2:") {
				t.Errorf("%+v, want %v %s", got, c.layer, c.check)
			}
			if c.layer != LayerAccess && (got.Decision.Rule.Line != 7 || got.Decision.Rule.Name != c.layer.String()+" test "+c.check) {
				t.Errorf("%v: the rule is %v", c.layer, got.Decision.Rule)
			}
			if got.Decision.Why == "" || !r.logged(c.line, "id="+got.ID, "listener=test") {
				t.Errorf("%v: why %q, log\n%s", c.layer, got.Decision.Why, r.log)
			}
			if n := r.b.Snapshot().Refused[c.layer]; n != before+1 {
				t.Errorf("%v: the counter went from %d to %d", c.layer, before, n)
			}
			if all, _ := rec.seen(); len(all) == 0 || all[len(all)-1].ID != got.ID {
				t.Errorf("%v: recorded %+v", c.layer, all)
			}
			if !slices.Contains(r.b.RefusalCounts(), RefusalCount{c.layer, c.check, 1}) {
				t.Errorf("%v: counters %v", c.layer, r.b.RefusalCounts())
			}
		}
		if last, _ := r.b.LastRefusal(""); last.Layer != LayerProtocol {
			t.Errorf("the last one of all is %+v", last)
		}
	}, record, small)
}

// prover is a connection whose handshake fails.
type prover struct {
	memWire
	err error
}

func (p prover) Prove(context.Context) (*identity.Evidence, error) { return nil, p.err }

// TestRefusedHandshake: a failed handshake is a decision; a peer that only went away is none.
func TestRefusedHandshake(t *testing.T) {
	bubble(t, func(r *rig) {
		handshake := func(err error) {
			up, down := newStream(pipeSize), newStream(pipeSize)
			near := &memConn{in: up, out: down, local: memAddr("192.0.2.1:8883"), remote: memAddr("192.0.2.9:4711")}
			r.b.accept(prover{memWire{near}, err}, "lan")
			r.settle()
		}
		before := r.b.Snapshot().Refused[LayerTransport]
		handshake(&checkFailed{""})
		handshake(errors.New("reset"))
		if n := r.b.Snapshot().Refused[LayerTransport]; n != before {
			t.Errorf("%d refusals of peers that went away", n-before)
		}
		handshake(fmt.Errorf("wrapped: %w", &checkFailed{"certificate revocation"}))
		got, _ := r.b.refusals[LayerTransport].last("")
		if got.Check != "certificate revocation" || got.Expected != "this" || got.Found != "that" || got.Listener != "lan" ||
			!strings.HasPrefix(got.Remote, "192.0.2.9") || got.Code != 0 {
			t.Errorf("%+v", got)
		}
		if !r.logged("handshake refused", "id="+got.ID, `why="expected this, found that"`) {
			t.Errorf("log\n%s", r.log)
		}
	})
}

// TestRefusalsAreBounded: one client in a loop costs one entry and one line; many clients cost a bounded number of lines,
// whose sum is kept; a flood of one layer leaves the others alone.
func TestRefusalsAreBounded(t *testing.T) {
	rec := &tape{}
	bubble(t, func(r *rig) {
		for range 1000 {
			r.b.refuse(Refusal{Layer: LayerLogin, Check: "password: password", Remote: "192.0.2.1:1", Username: "a"})
		}
		if n := strings.Count(r.log.String(), "login refused"); n != 1 {
			t.Errorf("%d lines of one refusal", n)
		}
		last, _ := r.b.LastRefusal("")
		all, _ := rec.seen()
		if last.Times != 1000 || r.b.SuppressedLines() != 999 || len(all) != 4 || all[3].Times != 1000 || all[3].ID != last.ID {
			t.Errorf("%+v, %d suppressed, recorded %d", last, r.b.SuppressedLines(), len(all))
		}
		for i := range 3 * refusalsKept {
			r.b.refuse(Refusal{Layer: LayerTransport, Check: fmt.Sprint("check ", i), Remote: fmt.Sprintf("10.0.%d.%d:1", i/256, i%256)})
		}
		if n := strings.Count(r.log.String(), "handshake refused"); n != refusalBurst {
			t.Errorf("%d lines of a flood", n)
		}
		l := &r.b.refusals[LayerTransport]
		if len(l.byID) != refusalsKept || len(l.byWho) != refusalsKept || len(l.checks) > checksCounted+1 {
			t.Errorf("%d, %d are kept, %d counters", len(l.byID), len(l.byWho), len(l.checks))
		}
		r.b.refuse(Refusal{Layer: LayerLimit, Check: "limits.clients", Remote: "192.0.2.1:1"})
		if !r.logged("limit reached") {
			t.Error("a flood of handshakes silenced another layer")
		}
		r.wait(time.Second)
		r.b.refuse(Refusal{Layer: LayerTransport, Check: "check", Remote: "192.0.2.77:1"})
		if !r.logged("handshake refused", "192.0.2.77", fmt.Sprintf("lines_suppressed=%d", 3*refusalsKept-refusalBurst)) {
			t.Error("the lines that were left out are not counted")
		}
		if n := r.b.Snapshot().Refused[LayerTransport]; n != 3*refusalsKept+1 {
			t.Errorf("%d counted", n)
		}
	}, func(r *rig) { r.rec = rec })
}

// TestUnrecordedLogin: without a record there is no login, and nothing happens to the session.
func TestUnrecordedLogin(t *testing.T) {
	rec := &tape{}
	bubble(t, func(r *rig) {
		old := r.connect("c", user("alice"))
		if _, logins := rec.seen(); len(logins) != 1 || logins[0].ClientID != "c" || logins[0].Principal.Name != "alice" ||
			logins[0].Listener != "test" || logins[0].At.IsZero() || logins[0].Version != mqtt.V5 {
			t.Errorf("%+v", logins)
		}
		rec.fill(errors.New("no space left"))
		c := r.open()
		c.send(connectPacket("c", user("alice")))
		c.refused(mqtt.ServerUnavailable)
		three := r.open()
		three.v = mqtt.V311
		three.send(connectPacket("c", user("alice"), v3))
		three.refused(mqtt.ServerUnavailable)
		old.ping() // was not taken over
		if got, _ := r.b.LastRefusal("c"); got.Layer != LayerLimit || got.Check != "audit.on_failure" || got.Found != "no space left" {
			t.Errorf("%+v", got)
		}
	}, func(r *rig) { r.rec = rec })
}

// TestEveryReasonHasALayer: an error that ends connections is a refusal of some layer, or one of those that refuse nothing.
func TestEveryReasonHasALayer(t *testing.T) {
	none := []error{
		errSessionTaken, errShuttingDown, errKeepAlive, errAdministrative, errPanicked, errClosedByClient, errUnreadable,
	}
	for _, row := range reasons {
		layer, check := classify(fmt.Errorf("wrapped: %w", row.err))
		if refuses := !slices.Contains(none, row.err); refuses != (layer != 0) || refuses && check == "" {
			t.Errorf("%v: layer %v, check %q", row.err, layer, check)
		}
		if row.layer == LayerLimit && row.limit == "" {
			t.Errorf("%v: no key", row.err)
		}
	}
}

// TestWaitingLoginIsAnswered: a client whose login does not get its turn is told so before its connection ends, even when its
// CONNECT came late.
func TestWaitingLoginIsAnswered(t *testing.T) {
	for _, late := range []time.Duration{0, 5 * time.Second, 9900 * time.Millisecond} {
		bubble(t, func(r *rig) {
			r.authn.waits = true
			c := r.open()
			r.wait(late)
			c.send(connectPacket("c"))
			if late < 9*time.Second {
				c.refused(mqtt.ServerBusy)
			} else {
				c.closed() // too late for anything
			}
		})
	}
}
