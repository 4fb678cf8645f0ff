package payload

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// memRows is a store's metadata.
type memRows struct {
	mu   sync.Mutex
	rows map[string][]byte
}

func (r *memRows) Each(prefix string, yield func(key string, value []byte) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, v := range r.rows {
		if strings.HasPrefix(k, prefix) {
			if err := yield(k, v); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *memRows) Put(key string, value []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rows == nil {
		r.rows = map[string][]byte{}
	}
	r.rows[key] = bytes.Clone(value)
}

func (r *memRows) Delete(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rows, key)
}

// clock is a time that a test sets.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

var begin = time.Unix(1_800_000_000, 0)

// newRecord makes a record of a use on all topics after change. Its sender and its kid can be told by its name.
func newRecord(t testing.TB, name string, use keyring.Use, change func(*keyring.Record)) *keyring.Record {
	t.Helper()
	r, err := protecting.NewRecord(name, use, []string{"#"}, func(r *keyring.Record) {
		if use.Symmetric() {
			r.KID = append([]byte(name), 0, 1)
			r.Sender.Size = 2
		}
		if use == keyring.UseSign {
			r.Sender = keyring.SenderRule{Kind: keyring.SenderFixed, ID: []byte(name)}
		}
		if change != nil {
			change(r)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// harness is a policy with what surrounds it.
type harness struct {
	testing.TB
	*Policy
	clock *clock
	rows  *memRows
	keys  Keys
}

func newHarness(t testing.TB, rules []Rule, recs ...*keyring.Record) *harness {
	t.Helper()
	h := &harness{TB: t, clock: &clock{begin}, rows: &memRows{}, keys: Keys{Ring: &keyring.Ring{}}}
	if err := h.keys.Ring.Add(recs...); err != nil {
		t.Fatal(err)
	}
	h.keys.Session = func(*keyring.Record) (*protect.Session, error) { return protect.NewSession(1, nil) }
	h.restart()
	h.apply(rules)
	return h
}

// restart makes the policy anew on the same rows.
func (h *harness) restart() {
	h.Helper()
	replay, err := NewReplay(h.rows)
	if err != nil {
		h.Fatal(err)
	}
	h.Policy = New(Options{Replay: replay, Clock: h.clock.Now})
}

func (h *harness) apply(rules []Rule) {
	h.Helper()
	commit, err := h.Prepare(&Settings{Rules: rules, StorageKey: storageOf(rules)}, nil, h.keys)
	if err != nil {
		h.Fatal(err)
	}
	commit()
}

func storageOf(rules []Rule) string {
	for i := range rules {
		if rules[i].Redistribute == PlaintextToTLS {
			return "rest"
		}
	}
	return ""
}

func (h *harness) sealer(rec *keyring.Record, boot uint32) *protect.Sealer {
	h.Helper()
	cfg := protect.SealerConfig{Key: rec, Clock: h.clock.Now, Timestamp: true}
	var err error
	if cfg.Session, err = protect.NewSession(boot, nil); err != nil {
		h.Fatal(err)
	}
	switch rec.Sender.Kind {
	case keyring.SenderWire:
		cfg.Sender = []byte{0, 7}
	case keyring.SenderClientID:
		cfg.ClientID = "device"
	}
	s, err := protect.NewSealer(cfg)
	if err != nil {
		h.Fatal(err)
	}
	return s
}

func seal(t testing.TB, s *protect.Sealer, topic, text string) []byte {
	t.Helper()
	b, err := s.Seal(nil, &protect.Message{Topic: topic, Payload: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// pass judges an arrival as a broker does, and accepts it; nil means that it went on.
func (h *harness) pass(a message.Arrival) *message.Judgement {
	h.Helper()
	if a.Author == nil {
		a.Author = &identity.Principal{Method: "password", Name: "alice"}
	}
	j := h.Judge(&a)
	if j == nil || j.Mark == nil {
		return j
	}
	if next := j.Mark.Take(h.rows.Put); next != nil {
		j.Mark.Done(true)
		return next
	}
	j.Mark.Done(true)
	return j
}

func fate(j *message.Judgement) string {
	switch {
	case j == nil:
		return "not concerned"
	case j.Fate == message.Refused:
		return "refused: " + j.Refusal.Check
	case j.Fate == message.Swallowed:
		return "swallowed"
	}
	return "forwarded"
}

func (h *harness) want(what string, a message.Arrival, want string) {
	h.Helper()
	if got := fate(h.pass(a)); got != want {
		h.Errorf("%s: %s, want %s", what, got, want)
	}
}

// TestModes: what a rule does not enforce passes as it came, and what another rule enforces on the same topic is refused.
func TestModes(t *testing.T) {
	mac, sign := newRecord(t, "mac", keyring.UseMAC, nil), newRecord(t, "sign", keyring.UseSign, nil)
	h := newHarness(t, []Rule{
		{Topic: "a/#", Require: protect.Requirement{Integrity: protect.IntegrityGroup}, Mode: Enforce},
		{Topic: "a/b", Require: protect.Requirement{Integrity: protect.IntegritySource}, Mode: Observe},
		{Topic: "c", Require: protect.Requirement{Integrity: protect.IntegritySource}, Mode: Warn},
	}, mac, sign.Public())
	m, s := h.sealer(mac, 1), h.sealer(sign, 1)
	flipped := seal(t, m, "c", "x")
	flipped[len(flipped)-1]++
	h.want("nothing on a/b", message.Arrival{Topic: "a/b", Payload: []byte("x")}, "refused: unprotected")
	h.want("MAC on a/b", message.Arrival{Topic: "a/b", Payload: seal(t, m, "a/b", "x")}, "forwarded")
	h.want("signature on a/b", message.Arrival{Topic: "a/b", Payload: seal(t, s, "a/b", "x")}, "forwarded")
	h.want("nothing on c", message.Arrival{Topic: "c", Payload: []byte("x")}, "forwarded")
	h.want("forged MAC on c", message.Arrival{Topic: "c", Payload: flipped}, "forwarded")
	h.want("d", message.Arrival{Topic: "d", Payload: []byte("x")}, "not concerned")
	h.want("a", message.Arrival{Topic: "a", Payload: []byte("x")}, "refused: unprotected")
	for i := range requirements {
		if indexOf(requirementAt(i)) != i {
			t.Errorf("requirement %d is number %d", i, indexOf(requirementAt(i)))
		}
	}
	got := map[string]int64{}
	for _, c := range h.Checks() {
		got[c.Require+" "+c.Result] = c.Times
	}
	if got["source met"] != 1 || got["source passed"] != 3 || got["source refused"] != 1 || got["group refused"] != 1 || len(got) != 9 {
		t.Errorf("checks %v", got)
	}
	cov := h.Coverage()
	if cov[0].Passed != 2 || cov[0].Failed != 2 || cov[1].Passed != 1 || cov[1].Failed != 2 || cov[2].Failed != 2 || cov[2].Reasons["verify"] != 1 {
		t.Errorf("coverage %+v", cov)
	}
}

// TestObservedRedistribution: a rule that only observes opens what is sealed to the broker, and refuses nothing.
func TestObservedRedistribution(t *testing.T) {
	device := newRecord(t, "device", keyring.UseS, func(r *keyring.Record) { r.Sender = keyring.SenderRule{Kind: keyring.SenderClientID} })
	rest := newRecord(t, "rest", keyring.UseR, func(r *keyring.Record) { r.Sender = keyring.SenderRule{Kind: keyring.SenderRedistribution} })
	readers := newRecord(t, "readers", keyring.UseEnc, nil)
	h := newHarness(t, []Rule{
		{Topic: "#", Require: protect.Requirement{Confidential: true}, Mode: Enforce},
		{Topic: "a", Redistribute: PlaintextToTLS, Mode: Observe},
	}, device, rest, readers.Public())
	j := h.pass(message.Arrival{Topic: "a", Payload: seal(t, h.sealer(device, 1), "a", "x"), ClientID: "device"})
	if fate(j) != "forwarded" || !j.Sealed || string(j.Plain) != "x" {
		t.Errorf("sealed to the broker: %s, %+v", fate(j), j)
	}
	to, err := protect.NewSealer(protect.SealerConfig{Recipients: []*keyring.Record{readers}, Clock: h.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	j = h.pass(message.Arrival{Topic: "a", Payload: seal(t, to, "a", "x"), ClientID: "device"})
	if fate(j) != "forwarded" || j.Replaced {
		t.Errorf("sealed to the readers: %s, %+v", fate(j), j)
	}
	h.want("plain", message.Arrival{Topic: "a", Payload: []byte("x")}, "refused: unprotected")
	if cov := h.Coverage(); cov[1].Failed != 2 || cov[1].Passed != 1 {
		t.Errorf("coverage %+v", cov[1])
	}
}

// TestRelax: a relaxation takes away what is enforced only if it is enforced itself.
func TestRelax(t *testing.T) {
	rules := func(mode Mode) []Rule {
		return []Rule{
			{Topic: "a/#", Require: protect.Requirement{Integrity: protect.IntegrityGroup, Fresh: true}, Mode: Enforce},
			{Topic: "a/b", Relax: []protect.Relaxation{protect.RelaxIntegrity, protect.RelaxFresh}, Mode: mode},
		}
	}
	h := newHarness(t, rules(Enforce))
	h.want("relaxed", message.Arrival{Topic: "a/b", Payload: []byte("x")}, "forwarded")
	h.want("elsewhere", message.Arrival{Topic: "a/c", Payload: []byte("x")}, "refused: unprotected")
	h = newHarness(t, rules(Observe))
	h.want("relaxation that is only observed", message.Arrival{Topic: "a/b", Payload: []byte("x")}, "forwarded")
}

// TestTimes: what is too old, and what does not say when it was sealed.
func TestTimes(t *testing.T) {
	mac := newRecord(t, "mac", keyring.UseMAC, nil)
	h := newHarness(t, []Rule{
		{Topic: "a", Require: protect.Requirement{Integrity: protect.IntegrityGroup}, MaxAge: time.Minute, Mode: Enforce},
		{Topic: "f", Require: protect.Requirement{Integrity: protect.IntegrityGroup, Fresh: true}, Mode: Enforce},
	}, mac)
	m := h.sealer(mac, 1)
	young, old := seal(t, m, "a", "x"), seal(t, m, "a", "y")
	expiring, err := m.Seal(nil, &protect.Message{Topic: "a", Payload: []byte("z"), Expires: begin.Add(20 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	h.clock.now = begin.Add(30 * time.Second)
	h.want("young", message.Arrival{Topic: "a", Payload: young}, "forwarded")
	h.want("expired", message.Arrival{Topic: "a", Payload: expiring}, "refused: time")
	h.clock.now = begin.Add(61 * time.Second)
	h.want("old", message.Arrival{Topic: "a", Payload: old}, "refused: time")
	h.want("plain", message.Arrival{Topic: "a", Payload: []byte("x")}, "refused: unprotected")

	cfg := protect.SealerConfig{Key: mac, Sender: []byte{0, 8}}
	if cfg.Session, err = protect.NewSession(3, nil); err != nil {
		t.Fatal(err)
	}
	timeless, err := protect.NewSealer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.want("without time, max_age", message.Arrival{Topic: "a", Payload: seal(t, timeless, "a", "x")}, "refused: time")
	h.want("the first of a sender, without time", message.Arrival{Topic: "f", Payload: seal(t, timeless, "f", "x")}, "refused: time")
}

// TestReplay: a message is new once, whatever happens in between.
func TestReplay(t *testing.T) {
	mac := newRecord(t, "mac", keyring.UseMAC, nil)
	rules := []Rule{{Topic: "#", Require: protect.Requirement{Integrity: protect.IntegrityGroup}, Mode: Enforce}}
	h := newHarness(t, rules, mac)
	m := h.sealer(mac, 1)
	first, second := seal(t, m, "a", "1"), seal(t, m, "a", "2")
	h.want("first", message.Arrival{Topic: "a", Payload: first}, "forwarded")
	h.want("again", message.Arrival{Topic: "a", Payload: first}, "swallowed")
	h.want("again, retained", message.Arrival{Topic: "a", Payload: first, Retain: true}, "swallowed")
	h.want("elsewhere", message.Arrival{Topic: "b", Payload: first}, "refused: verify")

	// A message that is judged and then not accepted is new when it comes again.
	a := message.Arrival{Topic: "a", Payload: second, Author: &identity.Principal{}}
	j := h.Judge(&a)
	if next := j.Mark.Take(func(string, []byte) {}); next != nil {
		t.Fatal(fate(next))
	}
	j.Mark.Done(false)
	h.want("second after all", a, "forwarded")

	// After a restart on the rows that were stored.
	h.restart()
	h.apply(rules)
	h.want("first after a restart", message.Arrival{Topic: "a", Payload: first}, "swallowed")
	h.want("second after a restart", message.Arrival{Topic: "a", Payload: second}, "swallowed")
	later := h.sealer(mac, 2)
	h.want("a new session", message.Arrival{Topic: "a", Payload: seal(t, later, "a", "3")}, "forwarded")
	h.want("the old session", message.Arrival{Topic: "c", Payload: seal(t, m, "c", "4")}, "refused: stale")
	clone := h.sealer(mac, 2)
	h.want("a clone", message.Arrival{Topic: "a", Payload: seal(t, clone, "a", "5")}, "swallowed")
}

// TestReplay_Concurrent: of many copies on many connections exactly one goes on, also when the first are refused in the end.
func TestReplay_Concurrent(t *testing.T) {
	device := newRecord(t, "device", keyring.UseS, func(r *keyring.Record) { r.Sender = keyring.SenderRule{Kind: keyring.SenderClientID} })
	group := newRecord(t, "group", keyring.UseS, func(r *keyring.Record) { r.Sender = keyring.SenderRule{Kind: keyring.SenderRedistribution} })
	h := newHarness(t, []Rule{{Topic: "#", Redistribute: SealedToGroup, Group: "group", Mode: Enforce}}, device, group)
	m := h.sealer(device, 1)
	for round := range 50 {
		b := seal(t, m, "a", fmt.Sprint(round))
		var mu sync.Mutex
		accepted, refusals, told := 0, 3, 0 // the first three that get so far find the disk full
		var all sync.WaitGroup
		for range 12 {
			all.Go(func() {
				j := h.Judge(&message.Arrival{Topic: "a", Payload: b, ClientID: "device", Author: &identity.Principal{}})
				next := j.Mark.Take(h.rows.Put)
				if next == nil && !j.Replaced {
					t.Error("goes on as it came")
				}
				mu.Lock()
				ok := true
				switch {
				case next == nil && refusals > 0:
					refusals--
					ok = false
				case next == nil:
					accepted++
				case next.Fate == message.Swallowed && accepted == 0:
					told++ // a duplicate of nothing: it would be acknowledged and lost
				}
				mu.Unlock()
				j.Mark.Done(ok)
			})
		}
		all.Wait()
		if accepted != 1 || told != 0 {
			t.Fatalf("round %d: %d accepted, %d told to be duplicates before", round, accepted, told)
		}
	}
}

// TestReplay_LateCopy: a copy that looked like a duplicate when it came goes on in its place when the first is refused, and in
// the form that the rules say.
func TestReplay_LateCopy(t *testing.T) {
	device := newRecord(t, "device", keyring.UseS, func(r *keyring.Record) { r.Sender = keyring.SenderRule{Kind: keyring.SenderClientID} })
	group := newRecord(t, "group", keyring.UseS, func(r *keyring.Record) { r.Sender = keyring.SenderRule{Kind: keyring.SenderRedistribution} })
	h := newHarness(t, []Rule{{Topic: "#", Redistribute: SealedToGroup, Group: "group", Mode: Enforce}}, device, group)
	a := message.Arrival{Topic: "a", Payload: seal(t, h.sealer(device, 1), "a", "x"), ClientID: "device", Author: &identity.Principal{}}
	row := func(string, []byte) {}
	first := h.Judge(&a)
	if next := first.Mark.Take(row); next != nil {
		t.Fatal(fate(next))
	}
	second := h.Judge(&a)
	first.Mark.Done(false)
	next := second.Mark.Take(row)
	second.Mark.Done(true)
	if next != nil || !second.Replaced || bytes.Equal(second.Payload, a.Payload) {
		t.Errorf("the second copy: %s, replaced %v", fate(next), second.Replaced)
	}
}

// TestClear: a retained message of a protected topic is removed by those who may, and a live empty payload says nothing.
func TestClear(t *testing.T) {
	h := newHarness(t, []Rule{{
		Topic: "a", Require: protect.Requirement{Integrity: protect.IntegrityGroup}, Mode: Enforce,
		Clear: []acl.Selector{{Kind: acl.User, Name: "alice"}},
	}})
	bob := &identity.Principal{Method: "password", Name: "bob"}
	h.want("live", message.Arrival{Topic: "a"}, "swallowed")
	h.want("alice", message.Arrival{Topic: "a", Retain: true}, "forwarded")
	h.want("bob", message.Arrival{Topic: "a", Retain: true, Author: bob}, "refused: clear")
	h.want("bob who calls himself alice", message.Arrival{Topic: "a", Retain: true, Author: bob, ClientID: "alice"}, "refused: clear")
	if j := h.pass(message.Arrival{Topic: "a", Retain: true, Author: bob}); j.Refusal.Code != mqtt.NotAuthorized {
		t.Errorf("code %v", j.Refusal.Code)
	}
}

// TestNoOracle: every way in which a message does not parse and every way in which it does not verify have one answer.
func TestNoOracle(t *testing.T) {
	mac := newRecord(t, "mac", keyring.UseMAC, nil)
	h := newHarness(t, []Rule{{Topic: "#", Require: protect.Requirement{Integrity: protect.IntegrityGroup}, Mode: Enforce}}, mac)
	good := seal(t, h.sealer(mac, 1), "a", "payload")
	type answer struct {
		code mqtt.ReasonCode
		word string
	}
	answers := map[answer]int{}
	for i := range good {
		for _, change := range []func([]byte) []byte{
			func(b []byte) []byte { b[i] ^= 1; return b },
			func(b []byte) []byte { b[i] ^= 0x80; return b },
			func(b []byte) []byte { return b[:i] },
		} {
			b := change(bytes.Clone(good))
			if len(b) == 0 {
				continue
			}
			j := h.pass(message.Arrival{Topic: "a", Payload: b})
			if j.Fate != message.Refused {
				t.Fatalf("byte %d: %s", i, fate(j))
			}
			answers[answer{j.Refusal.Code, j.Refusal.Word}]++
		}
	}
	delete(answers, answer{mqtt.ImplementationSpecificError, "kid"}) // another kid, which is no secret
	delete(answers, answer{mqtt.ImplementationSpecificError, "stale"})
	delete(answers, answer{mqtt.NotAuthorized, ""}) // the sender's id has another length
	if len(answers) != 1 || answers[answer{mqtt.PayloadFormatInvalid, ""}] == 0 {
		t.Errorf("answers: %v", answers)
	}
}

// TestRedistribution: what is handed on, and that it opens for those who should.
func TestRedistribution(t *testing.T) {
	device := newRecord(t, "device", keyring.UseS, func(r *keyring.Record) { r.Sender = keyring.SenderRule{Kind: keyring.SenderClientID} })
	redistributed := func(r *keyring.Record) { r.Sender = keyring.SenderRule{Kind: keyring.SenderRedistribution} }
	group, rest := newRecord(t, "group", keyring.UseS, redistributed), newRecord(t, "rest", keyring.UseR, redistributed)
	h := newHarness(t, []Rule{
		{Topic: "open", Redistribute: PlaintextToTLS, Mode: Enforce},
		{Topic: "sealed", Redistribute: SealedToGroup, Group: "group", Mode: Enforce},
	}, device, group, rest)
	s := h.sealer(device, 1)
	j := h.pass(message.Arrival{Topic: "open", Payload: seal(t, s, "open", "text"), ClientID: "device"})
	if fate(j) != "forwarded" || !j.Sealed || string(j.Plain) != "text" || bytes.Contains(j.Payload, []byte("text")) {
		t.Fatalf("%+v", j)
	}
	m := message.New(&mqtt.Publish{Topic: "open", Payload: j.Payload}, "device", nil, 0)
	m.Sealed = true
	if plain, err := h.Reveal(m); err != nil || string(plain) != "text" {
		t.Errorf("revealed %q, %v", plain, err)
	}
	moved := message.New(&mqtt.Publish{Topic: "sealed", Payload: j.Payload}, "device", nil, 0)
	if _, err := h.Reveal(moved); err == nil {
		t.Error("revealed on another topic")
	}
	if _, ok := h.Renew(m); ok {
		t.Error("renewed under the key that it has")
	}
	j = h.pass(message.Arrival{Topic: "sealed", Payload: seal(t, s, "sealed", "text"), ClientID: "device"})
	if fate(j) != "forwarded" || j.Sealed || j.Plain != nil || bytes.Contains(j.Payload, []byte("text")) {
		t.Fatalf("%+v", j)
	}
	// A missing key of the settings is an error, by name.
	_, err := h.Prepare(&Settings{Rules: []Rule{{Topic: "x", Redistribute: SealedToGroup, Group: "absent", Mode: Enforce}}}, nil, h.keys)
	if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), `"absent"`) {
		t.Errorf("absent group: %v", err)
	}
	// A key that does not redistribute is none, either.
	if _, err = h.Prepare(&Settings{Rules: []Rule{{Topic: "x", Redistribute: SealedToGroup, Group: "device", Mode: Enforce}}}, nil, h.keys); !errors.Is(err, ErrKey) {
		t.Errorf("key of a device as group: %v", err)
	}
}

// TestCoverage: counters are bounded, keep those who do not comply, and survive.
func TestCoverage(t *testing.T) {
	rules := []Rule{{Topic: "#", Require: protect.Requirement{Integrity: protect.IntegrityGroup}, Mode: Observe}}
	mac := newRecord(t, "mac", keyring.UseMAC, nil)
	h := newHarness(t, rules, mac)
	m := h.sealer(mac, 1)
	for i := range maxPublishers + 10 {
		h.pass(message.Arrival{Topic: "a", Payload: seal(t, m, "a", "x"), ClientID: fmt.Sprint("good-", i)})
	}
	h.pass(message.Arrival{Topic: "bad/topic", Payload: []byte("x"), ClientID: "bad"})
	h.pass(message.Arrival{Topic: "a", Payload: []byte("x"), ClientID: strings.Repeat("\xff", 70000)})
	check := func(cov []RuleCoverage) {
		t.Helper()
		r := &cov[0]
		if len(r.Publishers) != maxPublishers || r.Uncounted != 10 || r.Failed != 2 || r.Passed != maxPublishers+10 {
			t.Fatalf("%d publishers, %d uncounted, %d failed, %d passed", len(r.Publishers), r.Uncounted, r.Failed, r.Passed)
		}
		bad := slices.IndexFunc(r.Publishers, func(p PublisherCoverage) bool { return p.Client == "bad" })
		if bad < 0 || bad > 1 || r.Publishers[bad].Reason != "unprotected" || r.Publishers[bad].Topic != "bad/topic" || r.Complying() != maxPublishers-2 {
			t.Errorf("at %d of %d complying", bad, r.Complying())
		}
	}
	check(h.Coverage())
	b, err := h.SaveCoverage()
	if err != nil || b == nil {
		t.Fatal(err)
	}
	if again, err := h.SaveCoverage(); again != nil || err != nil {
		t.Errorf("saved again without a change: %d bytes, %v", len(again), err)
	}
	h.restart()
	if err := h.LoadCoverage(b); err != nil {
		t.Fatal(err)
	}
	h.apply(rules)
	check(h.Coverage())
	h.apply([]Rule{{Topic: "#", Require: protect.Requirement{Integrity: protect.IntegritySource}, Mode: Observe}})
	if cov := h.Coverage(); cov[0].Passed != 0 || len(cov[0].Publishers) != 0 {
		t.Error("a changed rule has the counters of the old one")
	}
	for _, bad := range []string{"", "{}", `{"version":1,"rules":[]} x`, `{"version":1,"other":1}`, string(b[:len(b)/2])} {
		if err := h.LoadCoverage([]byte(bad)); err == nil {
			t.Errorf("%.20q was loaded", bad)
		}
	}
}

// TestTable: what is remembered of topics is what a look at all rules gives, and the memory is bounded.
func TestTable(t *testing.T) {
	rules := []Rule{
		{Topic: "a/+/c", Require: protect.Requirement{Fresh: true}, Mode: Enforce},
		{Topic: "a/#", Require: protect.Requirement{Confidential: true}, Mode: Observe},
		{Topic: "b", MaxAge: time.Minute, Mode: Enforce},
		{Topic: "b/#", MaxAge: time.Second, Mode: Enforce},
	}
	tab := newTable(rules, nil)
	for _, c := range []struct {
		name  string
		rules []int
	}{{"a", []int{1}}, {"a/b/c", []int{0, 1}}, {"a/b/d", []int{1}}, {"b", []int{2, 3}}, {"b/x", []int{3}}, {"c", nil}, {"", nil}, {"/a", nil}, {"aa", nil}} {
		for range 2 {
			con := tab.concern(c.name)
			if con == nil != (c.rules == nil) || con != nil && !slices.Equal(con.rules, c.rules) {
				t.Errorf("%q: %+v, want rules %v", c.name, con, c.rules)
			}
		}
	}
	if d := tab.concern("b").wanted; d.maxAge != time.Second {
		t.Errorf("max age %v", d.maxAge)
	}
	for i := range maxConcerns + 100 {
		tab.concern(fmt.Sprint("a/", i))
	}
	n := 0
	tab.known.Range(func(any, any) bool { n++; return true })
	if n > maxConcerns {
		t.Errorf("%d topics remembered", n)
	}
	if newTable([]Rule{{Topic: "+/x", Mode: Enforce}}, nil).concern("y/x") == nil {
		t.Error("a rule that begins with a wildcard is not found")
	}
}

// TestOverlap compares with topics that both filters match.
func TestOverlap(t *testing.T) {
	filters := []string{"a", "a/b", "a/+", "a/#", "+", "#", "+/b", "+/+", "+/#", "b/#", "a/b/c", "a/+/c", "a/b/#", "/", "/+", "$x/#", "$x/+", "+/b/c"}
	var names []string
	for _, f := range filters {
		for _, w := range []string{"a", "b", "c", "", "a/b", "b/c"} {
			names = append(names, strings.ReplaceAll(strings.ReplaceAll(f, "+", w), "#", w), strings.TrimSuffix(f, "/#"))
		}
	}
	for _, f := range filters {
		for _, g := range filters {
			common := slices.ContainsFunc(names, func(n string) bool { return n != "" && matches(f, n) && matches(g, n) })
			if got := Overlap(f, g); got != common || Overlap(g, f) != got {
				t.Errorf("%q and %q overlap: %v, want %v", f, g, got, common)
			}
		}
	}
}

func matches(f, n string) bool {
	return !strings.ContainsAny(n, "+#") && newTable([]Rule{{Topic: f, Mode: Enforce}}, nil).find(n) != nil
}

// FuzzJudge: whatever arrives, what goes on meets the topic's demand, what is refused has one of the known answers, and
// nothing panics.
func FuzzJudge(f *testing.F) {
	device := newRecord(f, "device", keyring.UseS, func(r *keyring.Record) { r.Sender = keyring.SenderRule{Kind: keyring.SenderClientID} })
	redistributed := func(r *keyring.Record) { r.Sender = keyring.SenderRule{Kind: keyring.SenderRedistribution} }
	mac, sign := newRecord(f, "mac", keyring.UseMAC, nil), newRecord(f, "sign", keyring.UseSign, nil)
	enc := newRecord(f, "enc", keyring.UseEnc, nil)
	group, rest := newRecord(f, "group", keyring.UseS, redistributed), newRecord(f, "rest", keyring.UseR, redistributed)
	h := newHarness(f, []Rule{
		{Topic: "mac", Require: protect.Requirement{Integrity: protect.IntegrityGroup}, Mode: Enforce},
		{Topic: "sum", Require: protect.Requirement{Integrity: protect.IntegrityChecksum}, Checksum: protect.ChecksumPrefix, Mode: Enforce},
		{Topic: "open", Redistribute: PlaintextToTLS, Mode: Enforce},
		{Topic: "sealed", Redistribute: SealedToGroup, Group: "group", Mode: Enforce},
		{Topic: "any", Require: protect.Requirement{Confidential: true}, AcceptUnknownKeys: true, Mode: Enforce},
		{Topic: "free", Require: protect.Requirement{Fresh: true}, Mode: Observe},
	}, device, mac, sign.Public(), enc.Public(), group, rest)
	topics := []string{"mac", "sum", "open", "sealed", "any", "free"}
	for i, rec := range []*keyring.Record{device, mac, sign, group} {
		for j, name := range topics {
			b := seal(f, h.sealer(rec, uint32(i+1)), name, "seed")
			f.Add(j, b, false, false)
			f.Add(j, b, true, true)
		}
	}
	f.Add(0, []byte{}, true, false)
	f.Add(1, protect.AppendChecksum(nil, protect.ChecksumPrefix, []byte("x")), false, false)
	f.Fuzz(func(t *testing.T, at int, payload []byte, retain, will bool) {
		if at < 0 {
			at = -(at + 1)
		}
		name := topics[at%len(topics)]
		before := bytes.Clone(payload)
		mine := *h
		mine.TB = t
		j := mine.pass(message.Arrival{Topic: name, Payload: payload, Retain: retain, Will: will, ClientID: "device", Encrypted: will})
		if !bytes.Equal(before, payload) {
			t.Error("the payload was changed")
		}
		switch {
		case j == nil:
			t.Errorf("%s is not concerned", name)
		case j.Fate == message.Refused:
			if r := &j.Refusal; r.Code != mqtt.PayloadFormatInvalid && r.Code != mqtt.NotAuthorized && r.Code != mqtt.ImplementationSpecificError || r.Rule.Name == "" {
				t.Errorf("refused with %+v", r)
			}
		case j.Fate == message.Forwarded && (name == "open" || name == "sealed") && !j.Replaced:
			t.Errorf("%x went on as it came", payload)
		case j.Fate == message.Forwarded && name == "mac" && cose.TagOf(cose.TrimSelfDescribed(payload)) == 0:
			t.Errorf("%x went on without a MAC", payload)
		}
	})
}
