package client

import (
	"sync"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// stage is how far a pending operation has come.
type stage uint8

const (
	stageAdmitted stage = iota // has its place in the queue's accounts, not in the queue yet
	stageQueued                // waits to be sent, or to be sent again
	stageSent                  // sent on the current connection, not answered
	stageReleased              // QoS 2: PUBREC has come, PUBREL is due or sent
	stageFinished              // the outcome is known
)

// pending is one outbound operation that is not finished: a PUBLISH, SUBSCRIBE or UNSUBSCRIBE. Its fields are guarded
// by Client.mu until stageFinished, and then belong to whoever finishes it.
type pending struct {
	stage     stage
	sent      bool // has been sent in this Session, on some connection: a repetition needs DUP [MQTT-3.3.1-1]
	counted   bool // is in queued and queuedBytes
	again     bool // request: a subscription renewed by the client itself
	abandoned bool // request: nobody waits any more
	waiting   bool // a goroutine receives from ready and releases the pending afterwards
	id        mqtt.PacketID
	seq       uint64 // order of submission; from stageReleased on, order of PUBREC
	size      int64  // bytes, as counted against QueueBytes
	expires   int64  // Unix nanoseconds; 0 never
	publish   mqtt.Publish
	buf       []byte // memory of publish.Payload
	request   mqtt.Packet
	codes     []mqtt.ReasonCode // answer to request

	done  func(Ack, error) // nil if nobody asked
	ready chan struct{}    // capacity 1
	ack   Ack
	err   error
}

const (
	maxPooledBuffer = 64 << 10 // larger payload buffers are left to the garbage collector
	pendingOverhead = 128      // bytes counted per message on top of topic and payload
)

var pendingPool = sync.Pool{New: func() any { return &pending{ready: make(chan struct{}, 1)} }}

func newPending() *pending { return pendingPool.Get().(*pending) }

// release gives the pending back for reuse. Nothing may refer to it any more.
func (p *pending) release() {
	buf := p.buf
	if cap(buf) > maxPooledBuffer {
		buf = nil
	}
	*p = pending{ready: p.ready, buf: buf[:0]}
	pendingPool.Put(p)
}

// keep copies m into the pending.
func (p *pending) keep(m *Message, now time.Time) {
	p.buf = append(p.buf[:0], m.Payload...)
	fill(&p.publish, m)
	p.publish.Payload = p.buf
	if m.Properties != nil && m.Properties.Present != 0 {
		p.publish.Properties = m.Properties.Clone()
		if m.Properties.Has(mqtt.PropMessageExpiry) {
			p.expires = now.Add(time.Duration(m.Properties.MessageExpiry) * time.Second).UnixNano()
		}
	}
	p.size = messageSize(m)
}

// messageSize is what a message counts against QueueBytes.
func messageSize(m *Message) int64 {
	n := int64(len(m.Topic)) + int64(len(m.Payload)) + pendingOverhead
	if p := m.Properties; p != nil {
		n += int64(len(p.ContentType) + len(p.ResponseTopic) + len(p.CorrelationData))
		for i := range p.User {
			n += int64(len(p.User[i].Key) + len(p.User[i].Value))
		}
	}
	return n
}

// fill makes a PUBLISH of a message, sharing its memory.
func fill(p *mqtt.Publish, m *Message) {
	p.Dup, p.PacketID = false, 0
	p.Topic, p.Payload, p.QoS, p.Retain = m.Topic, m.Payload, m.QoS, m.Retain
	if m.Properties != nil {
		p.Properties = *m.Properties
	} else if p.Properties.Present != 0 {
		p.Properties = mqtt.Properties{}
	}
}

// complete tells the owner the outcome. It must be called without Client.mu, once.
func (p *pending) complete() {
	if p.waiting {
		p.ready <- struct{}{}
		return
	}
	if p.done != nil {
		p.done(p.ack, p.err)
	}
	p.release()
}
