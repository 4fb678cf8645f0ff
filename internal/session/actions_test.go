package session

import (
	"fmt"
	"slices"

	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// act does one thing that can happen. Sources of chance with n choices always come from pick.
func (w *world) act() {
	actions := []func(){
		w.publish, w.publish, w.publish, w.handOver, w.handOver, w.apply, w.sync, w.sync, w.answer, w.attach,
		w.detach, w.clientReceives, w.clientReceives, w.clientReceives, w.brokerReceives, w.brokerReceives, w.pauseOrResume,
		w.qos2FromClient, w.elapse, w.crash,
	}
	actions[w.pick(len(actions))]()
}

func (w *world) publish() {
	m := &accepted{name: fmt.Sprintf("m%d", w.nextOrd), qos: mqtt.QoS(w.pick(3)), expires: w.chance(10), large: w.chance(10), waits: true}
	w.nextOrd++
	expiresAt := int64(0)
	if m.expires {
		expiresAt = w.now + 10
	}
	msg := newMessage(m.name, w.pick(3), expiresAt)
	m.size = int64(msg.Size())
	e := Entry{Msg: msg, QoS: m.qos, Ready: true}
	full, len0 := w.s.Full(msg.Size()), w.s.Len()
	w.byName[m.name] = m
	if !w.s.Durable() || m.qos == 0 {
		w.order = append(w.order, m)
		m.ord = w.s.lastOrd + 1
		w.byOrd[m.ord] = m
		outcome := w.step2(Event{Kind: Enqueue, Entry: &e}, m)
		w.note("publish %s QoS %d: outcome %d", m.name, m.qos, outcome)
		w.accepts(outcome, full, len0)
		return
	}
	o := &offer{m: m}
	w.body++
	o.batch.Add(store.Op{Kind: store.PutBody, Body: w.body, Message: msg})
	e.Body, e.Ready = w.body, false
	fx := Effects{Batch: &o.batch}
	w.s.Step(Event{Kind: Enqueue, Entry: &e}, w.now, &fx)
	w.note("publish %s QoS %d: outcome %d place %d", m.name, m.qos, fx.Outcome, fx.Ord)
	w.accepts(fx.Outcome, full, len0)
	if fx.Outcome != Full {
		m.ord = fx.Ord
		w.byOrd[m.ord] = m
		w.order = append(w.order, m)
		w.offered = append(w.offered, o)
	}
	w.check()
}

// step2 is step for an entry that may be refused: then it does not wait.
func (w *world) step2(ev Event, m *accepted) Outcome {
	if w.s.Full(int(m.size)) && (!w.s.Attached() || w.s.Len() >= 2*w.limits.Messages || w.s.Bytes()+m.size > 2*w.limits.Bytes) {
		m.waits, m.excused = false, true
	}
	return w.step(ev)
}

func (w *world) accepts(o Outcome, full bool, len0 int) {
	switch {
	case o == Accepted && full, o == Held && (!full || !w.s.Attached()), o == Full && !full:
		w.fatalf("outcome %d, full %v, attached %v", o, full, w.s.Attached())
	case o != Full && len0 >= 2*w.limits.Messages:
		w.fatalf("accepted although %d messages wait", len0)
	}
}

// handOver commits one publisher's batch, not always the oldest, and makes its entry ready.
func (w *world) handOver() {
	if len(w.offered) == 0 {
		return
	}
	i := w.pick(len(w.offered))
	o := w.offered[i]
	w.offered = slices.Delete(w.offered, i, i+1)
	refused, sole := w.chance(5), w.chance(50)
	for j := range o.batch.Ops {
		o.batch.Ops[j].Pointer.Sole = sole
	}
	w.note("hand over %s refused=%v", o.m.name, refused)
	w.commit(&o.batch, nil, refused)
	o.m.onDisk = w.handed()
	if refused {
		o.m.excused, w.inexact = true, true
	}
	w.step(Event{Kind: Ready, Ord: o.m.ord, Sole: sole})
}

func (w *world) apply() { w.visible = min(w.visible+1, len(w.tail)) }

// answer hands in what a read found, once it may begin.
func (w *world) answer() {
	f := w.fetch
	if f == nil || w.log0+w.visible < f.barrier {
		return
	}
	w.fetch = nil
	if w.chance(5) {
		w.note("read fails")
		w.step(Event{Kind: Fetched})
		return
	}
	entries, last := w.view(w.visible).read(f.from, f.limit)
	w.note("read from %d limit %d: %d rows, last=%v", f.from, f.limit, len(entries), last)
	w.step(Event{Kind: Fetched, Rows: entries, Last: last})
}

func (w *world) attach() {
	if w.s.Attached() {
		return
	}
	w.fill()
	w.quota, w.small = 1+w.pick(4), w.chance(20)
	w.note("attach quota=%d small=%v", w.quota, w.small)
	w.step(Event{Kind: Attach, Quota: w.quota})
}

// fill does what a broker does before Attach after a start.
func (w *world) fill() {
	view := w.view(len(w.tail))
	for _, ord := range w.s.Missing() {
		if p, ok := view.queue[ord]; ok {
			w.s.Fill(ord, p, view.bodies[p.Body])
		} else {
			w.s.Fill(ord, store.Pointer{}, nil)
		}
	}
	w.check()
}

func (w *world) detach() {
	if !w.s.Attached() || !w.chance(30) {
		return
	}
	w.note("detach")
	w.disconnect()
	w.step(Event{Kind: Detach})
	if w.chance(30) && !w.s.Durable() {
		w.makeDurable()
	}
}

func (w *world) disconnect() {
	w.toClient, w.toBroker = nil, nil
	clear(w.outstanding)
}

func (w *world) makeDurable() {
	w.note("make durable")
	var b store.Batch
	w.s.MakeDurable(&b, func() store.BodyID { w.body++; return w.body })
	w.tail = append(w.tail, commit{ops: b.Ops})
	for i := range b.Ops {
		if op := &b.Ops[i]; op.Kind == store.PutQueue {
			w.byOrd[op.Ord].onDisk = w.handed()
		}
	}
	for len(w.tail) > 0 { // the client learns of it when it is on disk
		w.sync()
	}
}

func (w *world) clientReceives() {
	if len(w.toClient) == 0 {
		return
	}
	p := w.toClient[0]
	w.toClient = w.toClient[1:]
	ack := packet{pid: p.pid, m: p.m}
	switch {
	case p.kind == SendPubrel:
		delete(w.unreleased, p.pid)
		ack.ack = Pubcomp
	case p.m.qos == 0:
		p.m.delivered++
		return
	case p.m.qos == 1:
		p.m.delivered++
		ack.ack = Puback
	case w.unreleased[p.pid]:
		ack.ack = Pubrec
	case w.chance(5):
		ack.ack, ack.code = Pubrec, mqtt.QuotaExceeded
		p.m.excused = true
	default:
		w.unreleased[p.pid] = true
		p.m.delivered++
		if p.m.delivered > 1 && !w.hostile {
			w.fatalf("QoS 2 message %s delivered twice", p.m.name)
		}
		ack.ack = Pubrec
	}
	w.toBroker = append(w.toBroker, ack)
}

func (w *world) brokerReceives() {
	if len(w.toBroker) == 0 {
		return
	}
	i := 0
	if w.chance(20) {
		i = w.pick(len(w.toBroker))
	}
	p := w.toBroker[i]
	w.toBroker = slices.Delete(w.toBroker, i, i+1)
	w.acknowledge(p)
}

// acknowledge hands an acknowledgement to the session, and first takes from the Receive Maximum what it frees.
func (w *world) acknowledge(p packet) {
	if f := w.outstanding[p.pid]; f != nil {
		switch {
		case p.ack == Puback && f.m.qos == 1, p.ack == Pubcomp && f.released, p.ack == Pubrec && f.m.qos == 2 && p.code.IsError() && !f.received:
			delete(w.outstanding, p.pid)
		case p.ack == Pubrec && f.m.qos == 2:
			f.received = true
		}
	}
	w.note("-> event %d id %d code %#x", p.ack, p.pid, uint8(p.code))
	outcome := w.step(Event{Kind: p.ack, PacketID: p.pid, Code: p.code})
	if outcome != Accepted && !w.hostile {
		w.fatalf("acknowledgement of a client that keeps to the standard: outcome %d", outcome)
	}
}

func (w *world) pauseOrResume() {
	if w.chance(30) {
		w.note("pause")
		w.step(Event{Kind: Pause})
		return
	}
	w.note("resume")
	w.step(Event{Kind: Resume})
}

// qos2FromClient plays the receiving half of the broker: PUBLISH, PUBREL and refusal of a QoS 2 message.
func (w *world) qos2FromClient() {
	pid := mqtt.PacketID(1 + w.pick(3))
	had := w.inbound[pid]
	ev, want := Event{Kind: Publish, PacketID: pid}, Accepted
	switch {
	case w.chance(50):
		w.inbound[pid] = true
		if had {
			want = Duplicate
		}
	default:
		ev.Kind = Release
		if !had {
			want = Unknown
		}
		delete(w.inbound, pid)
	}
	w.note("inbound event %d id %d", ev.Kind, pid)
	if got := w.step(ev); got != want {
		w.fatalf("inbound: outcome %d, want %d", got, want)
	}
}

// elapse lets expiring messages that wait expire, and sweeps.
func (w *world) elapse() {
	if !w.chance(20) {
		return
	}
	w.note("time passes")
	w.now += 10
	for _, m := range w.order {
		if m.expires && m.waits && (m.qos == 0 || !w.s.Durable()) {
			m.waits = false
		}
		m.excused = m.excused || m.expires
	}
	w.step(Event{Kind: Sweep})
}

// crash loses what is not on disk, up to a random place, and starts the broker again.
func (w *world) crash() {
	if !w.s.Durable() || !w.chance(20) {
		return
	}
	n := w.pick(len(w.tail) + 1)
	w.note("crash; %d of %d commits survive", n, len(w.tail))
	kept := w.log0 + n
	w.synced = w.view(n)
	w.log0, w.tail, w.visible, w.offered, w.fetch = kept, nil, 0, nil, nil
	w.disconnect()
	w.inexact = false
	for _, m := range w.order {
		_, queued := w.synced.queue[m.ord]
		if m.qos == 0 || m.onDisk == 0 || m.onDisk > kept {
			m.excused = true
		}
		m.waits, m.sentLife = queued && m.qos > 0 && !m.reused(w), false
	}
	for _, f := range w.synced.inflight {
		w.byOrd[f.Ord].waits = false
	}
	w.inbound = map[mqtt.PacketID]bool{}
	for pid := range w.synced.inbound {
		w.inbound[pid] = true
	}
	s := Restore(w.synced.row(7), &w.limits)
	w.s = &s
	if w.chance(50) {
		w.fill()
	}
	// Places of rows that are gone are given again: compare the order only with what is still there.
	for i := range w.lastNew {
		w.lastNew[i] = min(w.lastNew[i], w.s.lastOrd)
	}
	w.check()
}

// reused reports whether the message's place was given to another one after a crash.
func (m *accepted) reused(w *world) bool { return w.byOrd[m.ord] != m }

// drain lets everything come to rest with a client that takes all, and checks that it arrived and that nothing is left.
func (w *world) drain() {
	if w.s.Attached() {
		w.disconnect()
		w.step(Event{Kind: Detach})
	}
	pick := w.pick
	w.pick = func(n int) int { return n - 1 } // no chance below 100 percent
	defer func() { w.pick = pick }()
	w.fill()
	w.quota, w.small = 65535, false
	w.note("drain")
	w.step(Event{Kind: Attach, Quota: w.quota})
	for range 10_000 {
		if len(w.offered) == 0 && len(w.tail) == 0 && w.fetch == nil && len(w.toClient) == 0 && len(w.toBroker) == 0 {
			break
		}
		w.handOver()
		w.sync()
		w.answer()
		w.clientReceives()
		w.brokerReceives()
	}
	s := w.s
	if s.Len() != 0 || s.Bytes() != 0 || s.Inflight() != 0 {
		w.fatalf("at rest: %d waiting, %d bytes, %d in flight", s.Len(), s.Bytes(), s.Inflight())
	}
	if s.ring.len() != 0 || len(s.ring.buf) > keep || s.holes != 0 || s.disk != 0 || len(s.unready) != 0 || s.quota != w.quota {
		w.fatalf("at rest: ring %d of %d, holes %d, disk %d, unready %d", s.ring.len(), len(s.ring.buf), s.holes, s.disk, len(s.unready))
	}
	if n := len(w.synced.queue) + len(w.synced.inflight) + len(w.synced.bodies); n != 0 {
		w.fatalf("at rest the store holds %d queue, %d in-flight and %d body rows",
			len(w.synced.queue), len(w.synced.inflight), len(w.synced.bodies))
	}
	for _, m := range w.order {
		if m.qos > 0 && m.delivered == 0 && !m.excused && !w.hostile {
			w.fatalf("%s (QoS %d, place %d) was accepted and never arrived", m.name, m.qos, m.ord)
		}
	}
}
