package protect

import (
	"container/list"
	"fmt"
	"strings"
	"sync"
)

// StateStore keeps the few numbers that must survive a restart: per sender the
// current session, the floor and the last will, and per client the high-water
// mark of its credentials. Keys and values are opaque and short. Save returns
// when the pair is durable; it is called on the rare events that move those
// numbers, from one goroutine at a time. Load yields every key once with its
// last value, before any Save. An error of Save refuses the message.
type StateStore interface {
	Load(yield func(key, value []byte) error) error
	Save(key, value []byte) error
}

// ReplayLimits bound the memory of a Replay; zero fields take the default.
type ReplayLimits struct {
	Senders   int // (kid, sender) pairs, default 1<<20; beyond it new ones are refused
	Topics    int // topics over all senders, default 1<<20; beyond it the oldest is folded into its floor
	Unordered int // remembered ctis over all senders, default 1<<18
}

const (
	windowSize = 64 // messages per replay window
	saltsKept  = 8  // sessions with boot 0 remembered per topic
)

// Replay is the replay state of one receiver. The state of a message is found
// under its owner's kid, its sender and its topic. It is safe for concurrent
// use. Nothing but a commit of a completely verified message changes it.
type Replay struct {
	limits ReplayLimits
	store  StateStore // nil: state is lost at a restart
	rows   bool       // windows and ctis are kept in rows, too

	// mu guards all below. It is held during Save: the floor must be durable
	// before another message is judged by it, and Save is rare.
	mu      sync.Mutex
	keys    map[string]map[string]*senderState
	senders int
	topics  *list.List // *topicState, most recently used first
	ctis    ctiHeap
}

// senderState is what is known of one sender under one key.
type senderState struct {
	persistent
	topics map[string]*topicState
	seen   map[[unorderedCTI]byte]struct{}
}

// persistent is the part of a senderState that a StateStore keeps.
type persistent struct {
	kid, sender string
	session     mark // boot; seq unused
	salt        [saltSize]byte
	floor       mark
	will        mark
	iatFloor    uint64 // unordered messages up to this iat are refused, if hasIATFloor
	hasIATFloor bool
}

// mark is an optional (boot, seq), ordered by boot, then seq.
type mark struct {
	set       bool
	boot, seq uint32
}

// compare returns -1, 0 or 1 as (boot, seq) of s is below, at or above m.
func (m mark) compare(s *sequence) int {
	switch {
	case s.boot != m.boot:
		if s.boot < m.boot {
			return -1
		}
		return 1
	case s.seq != m.seq:
		if s.seq < m.seq {
			return -1
		}
		return 1
	}
	return 0
}

// topicState is one replay window, or up to saltsKept of them for boot 0.
type topicState struct {
	owner *senderState
	topic string
	// floor is the sender's floor when this state was made. An earlier state of
	// the topic may have been folded into it, whose window is forgotten, so
	// nothing live at or below it is accepted again (stricter than the letter
	// of the rules for topics with state, and the same as without).
	floor   mark
	boot    uint32
	windows []window // newest salt last; exactly one if boot > 0
	place   *list.Element
}

type window struct {
	salt [saltSize]byte
	high uint32
	bits uint64 // bit i: high - i was seen
}

// event is one message as the replay rules see it.
type event struct {
	kid, sender []byte
	topic       string
	kind        Kind
	retain      bool
	seq         sequence
	iat         uint64 // unordered messages always have one
	maxAge      uint64 // seconds, with its default
	now         uint64
	fresh       bool // the topic policy requires freshness
	timed       bool // exp, or an iat within max-age, was checked
}

// NewReplay returns an empty state, or the one kept in store.
func NewReplay(limits ReplayLimits, store StateStore) (*Replay, error) {
	return makeReplay(limits, store, false)
}

func makeReplay(limits ReplayLimits, store StateStore, rows bool) (*Replay, error) {
	setDefault := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	setDefault(&limits.Senders, 1<<20)
	setDefault(&limits.Topics, 1<<20)
	setDefault(&limits.Unordered, 1<<18)
	r := &Replay{limits: limits, store: store, rows: rows, keys: map[string]map[string]*senderState{}, topics: list.New()}
	if store == nil {
		return r, nil
	}
	err := store.Load(func(key, value []byte) error {
		p, ok, err := decodePersistent(key, value)
		switch {
		case err != nil:
			return err
		case ok:
			r.senderOf(p.kid, p.sender).persistent = p
		case rows:
			return r.loadRow(key, value)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load replay state: %w", err)
	}
	return r, nil
}

// senderOf finds a sender or makes it, while the state is loaded.
func (r *Replay) senderOf(kid, sender string) *senderState {
	if s := r.keys[kid][sender]; s != nil {
		return s
	}
	s := &senderState{persistent: persistent{kid: kid, sender: sender}}
	r.insert(s)
	return s
}

func (r *Replay) insert(s *senderState) {
	bySender := r.keys[s.kid]
	if bySender == nil {
		bySender = map[string]*senderState{}
		r.keys[s.kid] = bySender
	}
	bySender[s.sender] = s
	r.senders++
}

// look judges a message without any change.
func (r *Replay) look(e *event) (Outcome, *Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.judge(r.keys[string(e.kid)][string(e.sender)], e)
}

// commit judges a verified message again and, if it is new, remembers it.
func (r *Replay) commit(e *event) (Outcome, *Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.keys[string(e.kid)][string(e.sender)]
	outcome, refusal := r.judge(s, e)
	if refusal != nil || outcome != Deliver {
		return outcome, refusal
	}
	if s == nil {
		if r.senders >= r.limits.Senders {
			return 0, refuse(ReasonLimit, "replay state holds %d senders", r.senders)
		}
		s = &senderState{persistent: persistent{kid: string(e.kid), sender: string(e.sender)}}
	}
	if refusal := r.apply(s, e); refusal != nil {
		return 0, refusal
	}
	return Deliver, nil
}

func (r *Replay) judge(s *senderState, e *event) (Outcome, *Refusal) {
	if s == nil {
		s = &senderState{} // never stored: judge does not write
	}
	switch {
	case !e.seq.ordered:
		return s.judgeUnordered(e)
	case s.isClone(e):
		return 0, refuse(ReasonClone, "boot %d is in use with another salt: cloned or restored sender", e.seq.boot)
	case e.kind == KindWill:
		return s.judgeWill(e)
	}
	t := s.topics[e.topic]
	w := t.window(&e.seq)
	if t == nil || (w == nil && t.boot == 0 && e.seq.boot == 0) {
		return s.judgeFirst(e)
	}
	return t.judge(w, e)
}

// isClone: the boot is the current one, or the one of this topic, under another
// salt. A clockless sender has boot 0 in every session.
func (s *senderState) isClone(e *event) bool {
	if e.seq.boot == 0 {
		return false
	}
	if s.session.set && s.session.boot == e.seq.boot && s.salt != e.seq.salt {
		return true
	}
	t := s.topics[e.topic]
	return t != nil && t.boot == e.seq.boot && t.windows[0].salt != e.seq.salt
}

// judgeWill: wills are ordered among themselves, over all topics of a sender.
func (s *senderState) judgeWill(e *event) (Outcome, *Refusal) {
	if s.session.set && e.seq.boot < s.session.boot {
		return 0, refuse(ReasonStale, "will of session %d after %d", e.seq.boot, s.session.boot)
	}
	if s.will.set {
		switch s.will.compare(&e.seq) {
		case 0:
			return seen(e), nil
		case -1:
			return 0, refuse(ReasonStale, "will before the last one")
		}
	}
	return Deliver, nil
}

// seen is the outcome of a message known already.
func seen(e *event) Outcome {
	if e.retain {
		return SameState
	}
	return Duplicate
}

// judgeFirst: nothing is known of this topic (or of this salt, for boot 0).
func (s *senderState) judgeFirst(e *event) (Outcome, *Refusal) {
	if !e.retain {
		if s.floor.set && s.floor.compare(&e.seq) <= 0 {
			return 0, refuse(ReasonStale, "sequence at or below the floor")
		}
		if s.session.set && e.seq.boot < s.session.boot {
			return 0, refuse(ReasonStale, "session %d after %d", e.seq.boot, s.session.boot)
		}
	}
	if e.fresh && !e.timed && (!s.session.set || e.seq.boot == 0) {
		return 0, refuse(ReasonTime, "first message of a sender without a time that proves it fresh")
	}
	return Deliver, nil
}

// window returns the window of a sequence's session, nil if there is none.
func (t *topicState) window(s *sequence) *window {
	if t == nil || t.boot != s.boot {
		return nil
	}
	for i := range t.windows {
		if t.windows[i].salt == s.salt {
			return &t.windows[i]
		}
	}
	return nil
}

// judge: the topic has state. w is nil exactly if the boot differs.
func (t *topicState) judge(w *window, e *event) (Outcome, *Refusal) {
	folded := !e.retain && t.floor.set && t.floor.compare(&e.seq) <= 0
	switch {
	case w == nil && e.seq.boot < t.boot:
		return 0, older(e)
	case (w == nil || e.seq.seq > w.high) && !folded:
		return Deliver, nil
	case w == nil || e.seq.seq > w.high:
		return 0, refuse(ReasonStale, "sequence at or below the floor")
	}
	below := w.high - e.seq.seq
	switch {
	case below == 0 && e.retain:
		return SameState, nil
	case e.retain:
		return 0, older(e)
	case below >= windowSize:
		return 0, refuse(ReasonStale, "sequence %d is %d below the highest", e.seq.seq, below)
	case w.bits&(1<<below) != 0:
		return Duplicate, nil
	case folded:
		return 0, refuse(ReasonStale, "sequence at or below the floor")
	}
	return Deliver, nil
}

// older refuses a message behind the state: a rollback if it is retained.
func older(e *event) *Refusal {
	if e.retain {
		return refuse(ReasonRollback, "retained state is older than the one known")
	}
	return refuse(ReasonStale, "session %d is over", e.seq.boot)
}

// apply remembers a message that judge delivers. Room is made and what must be
// durable is saved first; if either fails the message has left no trace.
func (r *Replay) apply(s *senderState, e *event) *Refusal {
	if refusal := r.makeRoom(s, e); refusal != nil {
		return refusal
	}
	next := s.persistent
	if e.seq.ordered && (!next.session.set || e.seq.boot > next.session.boot) {
		next.session, next.salt = mark{set: true, boot: e.seq.boot}, e.seq.salt
	}
	if e.kind == KindWill {
		next.will = mark{set: true, boot: e.seq.boot, seq: e.seq.seq}
	}
	if next != s.persistent {
		if err := r.save(&next); err != nil {
			return refuse(ReasonState, "%v", err)
		}
		s.persistent = next
	}
	switch {
	case !e.seq.ordered:
		r.rememberCTI(s, e)
	case e.kind != KindWill: // a will never moves a window
		r.rememberSeq(s, e)
	}
	if r.keys[s.kid][s.sender] == nil {
		r.insert(s)
	}
	return nil
}

// makeRoom drops the oldest entry if e needs one and none is left.
func (r *Replay) makeRoom(s *senderState, e *event) *Refusal {
	switch {
	case !e.seq.ordered:
		return r.makeRoomForCTI(s, e)
	case e.kind != KindWill && s.topics[e.topic] == nil && r.topics.Len() >= r.limits.Topics:
		return r.dropOldestTopic()
	}
	return nil
}

func (r *Replay) rememberSeq(s *senderState, e *event) {
	t := s.topics[e.topic]
	if t == nil {
		if s.topics == nil {
			s.topics = map[string]*topicState{}
		}
		t = &topicState{owner: s, topic: strings.Clone(e.topic), boot: e.seq.boot, floor: s.floor}
		t.place = r.topics.PushFront(t)
		s.topics[t.topic] = t
	} else {
		r.topics.MoveToFront(t.place)
	}
	if e.seq.boot != t.boot {
		t.boot, t.windows = e.seq.boot, t.windows[:0]
	}
	w := t.window(&e.seq)
	if w == nil {
		if len(t.windows) == saltsKept {
			t.windows = append(t.windows[:0], t.windows[1:]...)
		}
		t.windows = append(t.windows, window{salt: e.seq.salt, high: e.seq.seq, bits: 1})
		return
	}
	if e.seq.seq <= w.high {
		w.bits |= 1 << (w.high - e.seq.seq)
		return
	}
	w.bits = w.bits<<(e.seq.seq-w.high) | 1 // a shift of 64 or more leaves zero
	w.high = e.seq.seq
}

// dropOldestTopic folds the least recently used topic into its sender's floor.
func (r *Replay) dropOldestTopic() *Refusal {
	t := r.topics.Back().Value.(*topicState)
	next := t.owner.persistent
	t.raiseFloor(&next)
	if err := r.save(&next); err != nil {
		return refuse(ReasonState, "%v", err)
	}
	t.owner.floor = next.floor
	if err := r.deleteRow(t.rowKey()); err != nil {
		return refuse(ReasonState, "%v", err)
	}
	r.remove(t)
	return nil
}

func (r *Replay) remove(t *topicState) {
	delete(t.owner.topics, t.topic)
	r.topics.Remove(t.place)
}

func (t *topicState) raiseFloor(p *persistent) {
	for _, w := range t.windows {
		top := sequence{boot: t.boot, seq: w.high}
		if !p.floor.set || p.floor.compare(&top) > 0 {
			p.floor = mark{set: true, boot: t.boot, seq: w.high}
		}
	}
}

// Close folds everything known into the floors and saves them, so that after a
// restart nothing seen is accepted again. Without it (a crash) the topics'
// highest sequences of the current sessions and the unordered ctis are lost:
// then a message of a current session can be replayed once per topic, and an
// unordered one within its max-age.
func (r *Replay) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := r.topics.Front(); e != nil; e = e.Next() {
		t := e.Value.(*topicState)
		t.raiseFloor(&t.owner.persistent)
	}
	for _, c := range r.ctis {
		p := &c.owner.persistent
		p.iatFloor, p.hasIATFloor = max(p.iatFloor, c.iat), true
	}
	for _, bySender := range r.keys {
		for _, s := range bySender {
			if err := r.save(&s.persistent); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Replay) save(p *persistent) error {
	if r.store == nil {
		return nil
	}
	if err := r.store.Save(p.encode()); err != nil {
		return fmt.Errorf("save replay state: %w", err)
	}
	return nil
}
