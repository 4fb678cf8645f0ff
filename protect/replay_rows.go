package protect

import (
	"container/heap"
	"hash/maphash"
	"slices"

	"github.com/sealmq/sealmq/internal/cbor"
)

// More domains of StateStore keys: what a receiver keeps that writes the mark of a message together with the message.
const (
	domainWindow = 3 // [3, kid, [sender, topic]]
	domainCTI    = 4 // [4, kid, [sender, cti]]
)

// NewJournal returns a Replay for a receiver that stores messages, such as a broker. Begin and Mark.Take then hand out
// the row that says that a message was seen, and the receiver makes it durable together with the message: neither can
// survive a crash without the other. What belongs to a sender as a whole still goes through Save, which here must not
// wait: it has to keep the order of the calls, and become durable no later than the rows taken afterwards. A nil value
// deletes.
func NewJournal(limits ReplayLimits, store StateStore) (*Replay, error) {
	return makeReplay(limits, store, true)
}

// Mark is the sequence of a message that was verified and is not yet remembered. It is used by one goroutine.
type Mark struct {
	replay *Replay
	ev     event
	undo   func() // nil: nothing was taken
}

// Begin is Open without its last step, for a receiver that may still refuse the message for reasons of its own: limits,
// or a full disk. The requirement is given, the opener's policy is not asked. A nil Mark says that there is no sequence
// to remember. While the Mark is in use d.Payload must not change. The error is a *Refusal.
func (o *Opener) Begin(dst []byte, d *Delivery, req Requirement, form ChecksumForm) (Result, *Mark, error) {
	if len(d.Payload) == 0 {
		res, err := openEmpty(d, req, form)
		return res, nil, err
	}
	w := openings.Get().(*opening)
	defer w.release()
	w.d, w.req = d, req
	res, done, err := o.begin(dst, w, form, nil)
	if err != nil || done {
		return res, nil, err
	}
	outcome, refusal := o.cfg.Replay.look(&w.ev)
	if refusal != nil {
		return Result{}, nil, refusal
	}
	w.res.Outcome = outcome
	return w.res, &Mark{replay: o.cfg.Replay, ev: w.ev}, nil
}

var stripeSeed = maphash.MakeSeed()

// Stripe is one of n numbers, the same for every copy of a message and for the messages next to it in its window. Between
// Take and what becomes of the message the receiver holds a lock with this number, so that a second copy is not told to be
// a duplicate of one that is then refused.
func (m *Mark) Stripe(n int) int {
	var h maphash.Hash
	h.SetSeed(stripeSeed)
	_, _ = h.Write(m.ev.kid)
	_, _ = h.Write(m.ev.sender)
	if m.ev.seq.ordered {
		_, _ = h.WriteString(m.ev.topic)
	} else {
		_, _ = h.Write(m.ev.seq.cti[:])
	}
	return int(h.Sum64() % uint64(n))
}

// Take judges the message again and remembers it. emit gets the row to be stored with the message, also for a duplicate,
// whose first copy may not be on disk yet; key and value are the callee's. The error is a *Refusal.
func (m *Mark) Take(emit func(key, value []byte)) (Outcome, error) {
	r := m.replay
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.keys[string(m.ev.kid)][string(m.ev.sender)]
	outcome, refusal := r.judge(s, &m.ev)
	if refusal != nil {
		return 0, refusal
	}
	if outcome == Deliver {
		if s == nil {
			if r.senders >= r.limits.Senders {
				return 0, refuse(ReasonLimit, "replay state holds %d senders", r.senders)
			}
			s = &senderState{persistent: persistent{kid: string(m.ev.kid), sender: string(m.ev.sender)}}
		}
		undo := s.snapshot(r, &m.ev)
		if refusal := r.apply(s, &m.ev); refusal != nil {
			return 0, refusal
		}
		m.undo = undo
	}
	if s != nil {
		s.emit(&m.ev, emit)
	}
	return outcome, nil
}

// Undo forgets what Take remembered: the message was not accepted. A new session or Will of the sender stays known,
// because it was verified.
func (m *Mark) Undo() {
	if m.undo == nil {
		return
	}
	m.replay.mu.Lock()
	defer m.replay.mu.Unlock()
	m.undo()
	m.undo = nil
}

// snapshot returns how to undo what apply is going to do. mu is held, also when it is called.
func (s *senderState) snapshot(r *Replay, e *event) func() {
	switch {
	case !e.seq.ordered:
		cti := e.seq.cti
		return func() { delete(s.seen, cti) } // its place in the heap runs out by itself
	case e.kind == KindWill:
		before := s.will
		return func() { s.will = before }
	}
	name := e.topic
	if t := s.topics[name]; t != nil {
		boot, windows := t.boot, slices.Clone(t.windows)
		return func() {
			if s.topics[name] == t {
				t.boot, t.windows = boot, windows
			}
		}
	}
	return func() {
		if t := s.topics[name]; t != nil {
			r.remove(t)
		}
	}
}

// emit hands out the row of the message's window or cti.
func (s *senderState) emit(e *event, emit func(key, value []byte)) {
	switch {
	case !e.seq.ordered:
		c := seenCTI{owner: s, cti: e.seq.cti, iat: e.iat, expires: e.iat + e.maxAge}
		v := cbor.AppendArray(nil, 2)
		emit(c.rowKey(), cbor.AppendUint(cbor.AppendUint(v, c.iat), c.expires))
	case e.kind != KindWill: // what is known of Wills belongs to the sender
		if t := s.topics[e.topic]; t != nil {
			emit(t.rowKey(), t.row())
		}
	}
}

func rowKey(domain uint64, kid, sender, name string) []byte {
	inner := cbor.AppendArray(make([]byte, 0, len(sender)+len(name)+8), 2)
	inner = cbor.AppendBytes(inner, []byte(sender))
	return stateKey(domain, kid, string(cbor.AppendBytes(inner, []byte(name))))
}

func (t *topicState) rowKey() []byte {
	return rowKey(domainWindow, t.owner.kid, t.owner.sender, t.topic)
}

func (c *seenCTI) rowKey() []byte {
	return rowKey(domainCTI, c.owner.kid, c.owner.sender, string(c.cti[:]))
}

// row is [boot, floor set, floor boot, floor seq, [salt, highest, bits]...].
func (t *topicState) row() []byte {
	v := cbor.AppendArray(make([]byte, 0, 64), 4+len(t.windows))
	set := uint64(0)
	if t.floor.set {
		set = 1
	}
	for _, n := range [...]uint64{uint64(t.boot), set, uint64(t.floor.boot), uint64(t.floor.seq)} {
		v = cbor.AppendUint(v, n)
	}
	for i := range t.windows {
		w := &t.windows[i]
		v = cbor.AppendArray(v, 3)
		v = cbor.AppendBytes(v, w.salt[:])
		v = cbor.AppendUint(cbor.AppendUint(v, uint64(w.high)), w.bits)
	}
	return v
}

// deleteRow removes the row of something that is folded into a floor or has run out.
func (r *Replay) deleteRow(key []byte) error {
	if !r.rows || r.store == nil {
		return nil
	}
	return r.store.Save(key, nil)
}

// loadRow brings back a window or a cti.
func (r *Replay) loadRow(key, value []byte) error {
	domain, kid, inner, err := readStateKey(key)
	if err != nil || domain != domainWindow && domain != domainCTI {
		return err
	}
	k := cbor.NewReader([]byte(inner))
	if n, err := k.Array(); err != nil || n != 2 {
		return errState
	}
	sender, err := k.Bytes()
	if err != nil {
		return errState
	}
	name, err := k.Bytes()
	if err != nil || k.Done() != nil {
		return errState
	}
	s := r.senderOf(kid, string(sender))
	v := cbor.NewReader(value)
	n, err := v.Array()
	if err != nil {
		return errState
	}
	if domain == domainCTI {
		return r.loadCTI(s, name, v, n)
	}
	return r.loadWindow(s, string(name), v, n)
}

func (r *Replay) loadCTI(s *senderState, cti []byte, v cbor.Reader, n int) error {
	iat, err1 := v.Uint()
	expires, err2 := v.Uint()
	if n != 2 || err1 != nil || err2 != nil || v.Done() != nil || len(cti) != unorderedCTI {
		return errState
	}
	if s.seen == nil {
		s.seen = map[[unorderedCTI]byte]struct{}{}
	}
	s.seen[[unorderedCTI]byte(cti)] = struct{}{}
	heap.Push(&r.ctis, seenCTI{owner: s, cti: [unorderedCTI]byte(cti), iat: iat, expires: expires})
	return nil
}

func (r *Replay) loadWindow(s *senderState, name string, v cbor.Reader, n int) error {
	var head [4]uint64
	for i := range head {
		var err error
		if head[i], err = v.Uint(); err != nil || head[i] > 1<<32-1 {
			return errState
		}
	}
	if n < 5 || n > 4+saltsKept || head[1] > 1 { // a floor that is neither set nor unset is damage, not the absence of one
		return errState
	}
	t := &topicState{owner: s, topic: name, boot: uint32(head[0])}
	t.floor = mark{set: head[1] == 1, boot: uint32(head[2]), seq: uint32(head[3])}
	for range n - 4 {
		if m, err := v.Array(); err != nil || m != 3 {
			return errState
		}
		salt, err1 := v.Bytes()
		high, err2 := v.Uint()
		bits, err3 := v.Uint()
		if err1 != nil || err2 != nil || err3 != nil || len(salt) != saltSize || high > 1<<32-1 {
			return errState
		}
		t.windows = append(t.windows, window{salt: [saltSize]byte(salt), high: uint32(high), bits: bits})
	}
	if v.Done() != nil {
		return errState
	}
	if s.topics == nil {
		s.topics = map[string]*topicState{}
	}
	t.place = r.topics.PushFront(t)
	s.topics[name] = t
	return nil
}
