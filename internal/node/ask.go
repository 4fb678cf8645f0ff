package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/internal/authn"
	"github.com/sealmq/sealmq/internal/broker"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/control"
	"github.com/sealmq/sealmq/internal/explain"
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/payload"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// Question is a dry run: may somebody do something, and, with a listener, could it log in there.
type Question struct {
	explain.Query
	Listener string     // name in the configuration; "" leaves the login out
	From     netip.Addr // of the client; zero is loopback for a listener on loopback, and another machine otherwise
}

// NewQuestion makes a Question out of words, or says why it cannot be asked.
func NewQuestion(w control.Question) (*Question, error) {
	q := &Question{Listener: w.Listener}
	q.Principal, q.ClientID, q.Topic = identity.Anonymous, w.ClientID, w.Topic
	switch {
	case w.User != "":
		q.Principal = identity.Principal{Method: "password", Issuer: w.Issuer, Name: w.User}
		if w.Method != "" {
			q.Principal.Method = w.Method
		}
	case w.Method != "" || w.Issuer != "":
		return nil, errors.New("a method or issuer without a user name")
	}
	for a := identity.Publish; a <= identity.Will; a++ {
		if a.String() == w.Do {
			q.Action = a
		}
	}
	if q.Action == 0 {
		return nil, fmt.Errorf("%q is not publish, retain, will, subscribe or receive", w.Do)
	}
	if w.From != "" {
		from, err := netip.ParseAddr(w.From)
		if err != nil {
			return nil, fmt.Errorf("%q is not an address", w.From)
		}
		q.From = from.Unmap()
	}
	if err := q.Check(); err != nil {
		return nil, fmt.Errorf("topic %q: %w", w.Topic, err)
	}
	return q, nil
}

// oracle answers questions by one configuration. It never changes; the login in it may.
type oracle struct {
	policy    *acl.Policy
	login     *authn.Login
	listeners []config.Listener
	places    places
	payload   *payload.Settings
	groups    map[string][]acl.Selector
}

func newOracle(c *config.Config, policy *acl.Policy, login *authn.Login) *oracle {
	return &oracle{
		policy: policy, login: login, listeners: c.Listeners, places: newPlaces(c), payload: c.PayloadSettings(), groups: c.ACL.Groups,
	}
}

// Ask answers a question by the configuration and the files it names, without a broker.
func Ask(plan *config.Plan, q *Question) (explain.Answer, error) {
	policy, err := plan.Config.Policy()
	if err != nil {
		return explain.Answer{}, fmt.Errorf("access rules: %w", err)
	}
	o := newOracle(plan.Config, policy, nil)
	if q.Listener != "" {
		marks, err := protect.NewMarks(noMarks{})
		if err != nil {
			return explain.Answer{}, err
		}
		if o.login, err = authn.New(loginOptions(plan.Config, make([]byte, secretSize), marks, slog.New(slog.DiscardHandler))); err != nil {
			return explain.Answer{}, err
		}
	}
	return o.ask(q)
}

// noMarks takes the place of the file of used credentials: nobody logs in.
type noMarks struct{}

// Load implements protect.StateStore.
func (noMarks) Load(func(key, value []byte) error) error { return nil }

// Save implements protect.StateStore.
func (noMarks) Save(_, _ []byte) error { return errors.New("a dry run") }

func (o *oracle) ask(q *Question) (explain.Answer, error) {
	if err := q.Check(); err != nil {
		return explain.Answer{}, err
	}
	a := explain.Answer{Explanation: explain.Ask(o.policy, &q.Query)}
	if q.Action == identity.Publish || q.Action == identity.Retain || q.Action == identity.Will {
		a.Payload = payload.Show(o.payload, o.groups, q.Topic).Rules
	}
	if q.Listener == "" {
		return a, nil
	}
	for i := range o.listeners {
		if o.listeners[i].Name == q.Listener {
			e := o.askLogin(q, &o.listeners[i])
			a.Login = &e
			return a, nil
		}
	}
	names := make([]string, len(o.listeners))
	for i := range o.listeners {
		names[i] = o.listeners[i].Name
	}
	return a, fmt.Errorf("there is no listener %q; there are %s", q.Listener, strings.Join(names, ", "))
}

// askLogin says whether the client could log in on a listener, given the right secret.
func (o *oracle) askLogin(q *Question, l *config.Listener) explain.Explanation {
	method := q.Principal.Method
	if q.Principal.IsAnonymous() {
		method = authn.Anonymous
	}
	i := &explain.Incident{
		Layer: broker.LayerLogin.String(), ClientID: q.ClientID, Username: q.Principal.Name, Listener: l.Name, Version: mqtt.V5,
	}
	ev := evidenceOn(l, q.From)
	switch { // what the transport would not give
	case method == "certificate" && l.ClientCert.CA == "":
		i.Layer, i.Check, i.Expected, i.Found = broker.LayerTransport.String(), "client certificate", "a listener with client_cert", "one that asks for none"
		i.Rule = o.places.rule(broker.LayerTransport, l.Name, "").String()
		return i.Explain()
	case method == "psk" && l.PSK.File == "":
		i.Layer, i.Check, i.Expected, i.Found = broker.LayerTransport.String(), "psk identity", "a listener with tls_psk", "one without"
		i.Rule = o.places.rule(broker.LayerTransport, l.Name, "").String()
		return i.Explain()
	}
	v := o.login.Preview(ev, method, q.Principal.Name)
	if v.Outcome != identity.Rejected {
		why := "a right secret is accepted"
		if method == authn.Anonymous {
			why = "clients that prove nothing are accepted from this machine"
		}
		return explain.Explanation{
			Allowed: true, Layer: i.Layer, Question: i.Question(), Why: why + ", " + from(ev),
			Rule: o.places.rule(broker.LayerLogin, l.Name, method+":").String(),
		}
	}
	i.Code = broker.LoginCode(v.Failure)
	i.Check = method
	var failed identity.Failed
	if errors.As(v.Cause, &failed) {
		i.Check, i.Expected, i.Found = failed.Failed()
	}
	i.Found += ", " + from(ev)
	i.Rule = o.places.rule(broker.LayerLogin, l.Name, i.Check).String()
	return i.Explain()
}

// elsewhere stands for another machine (RFC 5737).
var elsewhere = netip.AddrFrom4([4]byte{192, 0, 2, 1})

// evidenceOn is what a listener would say about a client before it logs in.
func evidenceOn(l *config.Listener, from netip.Addr) *identity.Evidence {
	if !from.IsValid() {
		from = elsewhere
		if l.Loopback() {
			from = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
	}
	ev := &identity.Evidence{Listener: l.Name, Transport: "tcp", Loopback: from.IsLoopback(), Remote: netip.AddrPortFrom(from, 1)}
	if l.Unix != "" {
		ev.Transport, ev.Loopback, ev.Remote = "unix", true, netip.AddrPort{}
	}
	if l.Encrypted() {
		ev.TLS = &identity.TLS{Exporter: func(string, []byte, int) ([]byte, error) { return make([]byte, 32), nil }}
		ev.Transport = "tls"
	}
	if l.PSK.File != "" {
		ev.Transport, ev.TLS.PSKIdentity = "psk", "(any identity)"
	}
	if l.ClientCert.Mode == config.RequireCert {
		ev.TLS.Chain = authn.SomeChain()
	}
	return ev
}

func from(ev *identity.Evidence) string {
	switch {
	case ev.Loopback:
		return "on this machine"
	case ev.Remote.Addr() == elsewhere:
		return "from another machine"
	}
	return "from " + ev.Remote.Addr().String()
}

// answerBy makes questions answered by the rules, the login and the listeners in force, as c wrote them.
func (n *Node) answerBy(c *config.Config) {
	n.oracle.Store(newOracle(c, n.rules.current.Load().policy, n.login))
}

// Ask answers a question by what is in force.
func (n *Node) Ask(q *Question) (explain.Answer, error) { return n.oracle.Load().ask(q) }
