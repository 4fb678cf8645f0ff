package payload

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

type arrival = message.Arrival

// Keys are what the broker holds.
type Keys struct {
	Ring *keyring.Ring
	// Described finds what is known of a shared key that is not held; nil knows none.
	Described func(kid []byte) *keyring.Record
	// Session returns this process's session under a redistribution key. It is called when keys are taken into use, and
	// stores a boot number first.
	Session func(*keyring.Record) (*protect.Session, error)
	// Budget counts the messages sealed under a key; nil counts nothing.
	Budget func(*keyring.Record) protect.Limiter
}

// Options are the surroundings of a Policy. All but Log are required.
type Options struct {
	Replay *protect.Replay // a journal
	Clock  protect.Clock
	Log    *slog.Logger
}

// stripes is how many locks keep the copies of one message apart.
const stripes = 256

// Policy judges payloads. It is safe for concurrent use.
type Policy struct {
	replay  *protect.Replay
	clock   protect.Clock
	log     *slog.Logger
	current atomic.Pointer[policy]
	locks   [stripes]sync.Mutex
	counts  coverage
	checks  [requirements][checkResults]atomic.Int64
	bare    struct { // retained messages older than the rules
		mu    sync.Mutex
		count int
		topic string
	}
}

// policy is what one configuration makes of the keys. It is immutable but for caches.
type policy struct {
	table      *table
	keys       Keys
	opener     *protect.Opener
	rest       *protect.Opener // opens what the broker itself sealed
	out        map[outKey]*protect.Sealer
	storage    *protect.Sealer // nil without storage key
	quarantine string
}

// outKey names a way to seal for subscribers.
type outKey struct {
	group  string
	signed bool
}

// New returns a Policy that concerns nothing until the first commit of Prepare.
func New(o Options) *Policy {
	p := &Policy{replay: o.Replay, clock: o.Clock, log: o.Log}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.counts.init()
	return p
}

// Prepare checks that the settings and the keys fit together; commit puts them in force. Keys of end-to-end groups are
// refused by name: a broker that holds one could read what is meant for others.
func (p *Policy) Prepare(s *Settings, groups map[string][]acl.Selector, keys Keys) (commit func(), err error) {
	if len(s.Rules) == 0 && keys.Ring == nil {
		return func() { p.current.Store(nil); p.counts.keep(nil) }, nil
	}
	if keys.Ring == nil {
		keys.Ring = &keyring.Ring{}
	}
	if err := RefuseEndToEnd(keys.Ring); err != nil {
		return nil, err
	}
	next := &policy{table: newTable(s.Rules, groups), keys: keys, out: map[outKey]*protect.Sealer{}, quarantine: s.Quarantine}
	if next.quarantine == "" {
		next.quarantine = DefaultQuarantine
	}
	if next.opener, err = protect.NewOpener(protect.OpenerConfig{Keys: keys.Ring, Replay: p.replay, Clock: p.clock, Described: keys.Described}); err != nil {
		return nil, err
	}
	empty, err := protect.NewReplay(protect.ReplayLimits{}, nil)
	if err != nil {
		return nil, err
	}
	if next.rest, err = protect.NewOpener(protect.OpenerConfig{Keys: keys.Ring, Replay: empty, Clock: p.clock}); err != nil {
		return nil, err
	}
	if err := next.sealers(s, p.clock); err != nil {
		return nil, err
	}
	return func() {
		p.counts.keep(s.Rules)
		p.current.Store(next)
	}, nil
}

// ErrEndToEnd is wrapped when the broker is given a key that it must not hold.
var ErrEndToEnd = errors.New("end-to-end key in the broker's keyring")

// RefuseEndToEnd looks for keys that the broker must not hold.
func RefuseEndToEnd(ring *keyring.Ring) error {
	var names []string
	for _, rec := range ring.Records() {
		if rec.E2E && rec.Key != nil && (rec.Use.Symmetric() || rec.Key.Private()) {
			names = append(names, nameOf(rec))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s: with it the broker could read what is meant for others", ErrEndToEnd, strings.Join(names, ", "))
}

// nameOf is how people call a key.
func nameOf(rec *keyring.Record) string {
	if rec.Group != "" {
		return fmt.Sprintf("%s (kid %x)", rec.Group, rec.KID)
	}
	return fmt.Sprintf("kid %x", rec.KID)
}

// Judge says what becomes of an arrival; nil when no rule concerns its topic. It does not block.
func (p *Policy) Judge(a *message.Arrival) *message.Judgement {
	cur := p.current.Load()
	if cur == nil {
		return nil
	}
	c := cur.table.concern(a.Topic)
	if c == nil {
		return nil
	}
	return p.judge(cur, c, a)
}

func (p *Policy) judge(cur *policy, c *concern, a *message.Arrival) *message.Judgement {
	o := p.open(cur, c, &c.wanted, a)
	if o.refusal == nil {
		p.checked(c, checkMet)
		p.counts.passed(c, a, p.clock())
		return p.admit(cur, c, a, &o)
	}
	p.counts.failed(c, a, o.refusal.Reason, cur.unmet(c, a, o.refusal), p.clock())
	if c.warns {
		p.warn(cur, c, a, o.refusal)
	}
	if !c.enforces {
		p.checked(c, checkPassed)
		return &message.Judgement{Fate: message.Forwarded}
	}
	if c.wanted != c.enforced {
		if o = p.open(cur, c, &c.enforced, a); o.refusal == nil {
			p.checked(c, checkPassed)
			return p.admit(cur, c, a, &o)
		}
	}
	p.checked(c, checkRefused)
	return p.refused(cur, c, a, o.refusal)
}

// opened is what came of opening an arrival.
type opened struct {
	res     protect.Result
	mark    *protect.Mark
	rec     *keyring.Record // of the outermost layer, if its key is held
	refusal *protect.Refusal
}

// open checks an arrival against a demand: what the profile checks, and what only a broker can.
func (p *Policy) open(cur *policy, c *concern, d *demand, a *message.Arrival) (o opened) {
	delivery := protect.Delivery{
		Topic: a.Topic, Payload: a.Payload, Retain: a.Retain, ClientID: a.ClientID, TLS: a.Encrypted,
		FormOnly: true, AnyKey: d.anyKey,
	}
	if len(a.Payload) == 0 && a.Retain {
		delivery.MayClear = c.mayClear(a)
	}
	var err error
	o.res, o.mark, err = cur.opener.Begin(nil, &delivery, d.req, d.form)
	if err == nil {
		if o.res.Kind != 0 && !o.res.Unverified {
			o.rec = cur.keys.Ring.Lookup(o.res.KID)
		}
		err = p.checkBroker(cur, c, d, a, &o)
	}
	if err != nil && !errors.As(err, &o.refusal) {
		o.refusal = &protect.Refusal{Reason: protect.ReasonState, Detail: err.Error()}
	}
	return o
}

func refuse(reason protect.Reason, format string, args ...any) error {
	return &protect.Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// checkBroker is what a broker checks besides: that a Will is a Will, that nobody but the broker redistributes, that what
// is sealed to the broker can be handed on, and the age that a rule allows.
func (p *Policy) checkBroker(cur *policy, c *concern, d *demand, a *message.Arrival, o *opened) error {
	res := &o.res
	if res.Kind != 0 {
		switch {
		case res.Kind == protect.KindRedistribution:
			return refuse(protect.ReasonRecord, "kid %x redistributes, which only the broker does", res.KID)
		case a.Will && res.Kind != protect.KindWill:
			return refuse(protect.ReasonRecord, "sealed as a message and used as a Will")
		case !a.Will && res.Kind == protect.KindWill:
			return refuse(protect.ReasonRecord, "sealed as a Will and published as a message")
		}
	}
	toBroker := o.rec != nil && (o.rec.Sender.Kind == keyring.SenderClientID || o.rec.Use == keyring.UseEnc)
	switch {
	case toBroker && c.route == NoRedistribution:
		return refuse(protect.ReasonRecord, "sealed to the broker on a topic that no rule redistributes")
	case d.opens && res.Kind != 0 && res.Confidential && o.rec == nil:
		return refuse(protect.ReasonUnknownKey, "sealed under key %x, which the broker does not hold, on a topic that it redistributes", res.KID)
	}
	if d.maxAge != 0 && res.Outcome != protect.Ignore && len(a.Payload) > 0 {
		return checkAge(res, d.maxAge, p.clock(), a.Will)
	}
	return nil
}

// checkAge refuses what is older than the rule allows or does not say how old it is. What is signed inside an encryption
// that the broker cannot open shows no age: it is left to the subscribers. A Will is as old as its connection.
func checkAge(res *protect.Result, maxAge time.Duration, now time.Time, will bool) error {
	hidden := res.Unverified && res.Confidential && res.Integrity == protect.IntegritySource
	switch {
	case will || hidden:
		return nil
	case !res.HasIAT:
		return refuse(protect.ReasonTime, "does not say when it was sealed, and the rule allows %v", maxAge)
	case now.Sub(res.IAT) > maxAge:
		return refuse(protect.ReasonTime, "sealed %v ago, and the rule allows %v", now.Sub(res.IAT).Round(time.Second), maxAge)
	}
	return nil
}

// admit makes the judgement about a message that meets its demand.
func (p *Policy) admit(cur *policy, c *concern, a *message.Arrival, o *opened) *message.Judgement {
	j := &message.Judgement{Fate: message.Forwarded}
	if o.res.Outcome == protect.Ignore {
		j.Fate = message.Swallowed
		return j
	}
	handOn := func() *protect.Refusal { return nil }
	if c.route != NoRedistribution && o.rec != nil && o.res.Confidential {
		res := o.res
		handOn = func() *protect.Refusal { return cur.redistribute(c, a, &res, j) }
	}
	if o.mark != nil {
		m := &mark{p: p, cur: cur, c: c, a: a, m: o.mark}
		j.Mark = m
		if o.res.Outcome != protect.Deliver {
			// Take will say that it is a duplicate, unless its first copy was refused in the end.
			m.late = handOn
			return j
		}
	}
	if refusal := handOn(); refusal != nil {
		return p.refused(cur, c, a, refusal)
	}
	return j
}

// mark fits a protect.Mark to the broker.
type mark struct {
	p   *Policy
	cur *policy
	c   *concern
	a   *message.Arrival
	m   *protect.Mark
	at  int

	late func() *protect.Refusal // what is left to do for a message that looked like a duplicate; nil for others
}

// Take implements message.Mark.
func (m *mark) Take(row func(key string, value []byte)) *message.Judgement {
	m.at = m.m.Stripe(stripes)
	m.p.locks[m.at].Lock()
	outcome, err := m.m.Take(func(key, value []byte) { row(rowPrefix+string(key), value) })
	var refusal *protect.Refusal
	switch {
	case errors.As(err, &refusal):
		return m.p.refused(m.cur, m.c, m.a, refusal)
	case outcome == protect.Deliver && m.late != nil:
		if refusal := m.late(); refusal != nil {
			return m.p.refused(m.cur, m.c, m.a, refusal)
		}
		return nil
	case outcome == protect.Deliver:
		return nil
	default:
		return &message.Judgement{Fate: message.Swallowed}
	}
}

// Done implements message.Mark.
func (m *mark) Done(accepted bool) {
	if !accepted {
		m.m.Undo()
	}
	m.p.locks[m.at].Unlock()
}

// Concerns reports whether a rule matches the topic.
func (p *Policy) Concerns(name string) bool {
	cur := p.current.Load()
	return cur != nil && cur.table.concern(name) != nil
}

// warn writes a line about a message that enforcing would refuse. Lines are as many as publishers and reasons, not as
// many as messages.
func (p *Policy) warn(cur *policy, c *concern, a *message.Arrival, r *protect.Refusal) {
	if !p.counts.firstWarning(c, a, r.Reason) {
		return
	}
	rule := cur.decider(c, c.rules, a, r)
	p.log.Warn("payload would be refused", "topic", a.Topic, "client", a.ClientID, "rule", rule.String(), "check", r.Reason.String(), "found", r.Detail)
}
