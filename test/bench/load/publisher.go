package load

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// publisher is one client that publishes. One goroutine writes, and with QoS 1 and 2 reads what is acknowledged; with a
// rate another one reads.
type publisher struct {
	*link
	*flow
	mould *mould
	qos   mqtt.QoS
	batch int
	limit int64        // messages, and no more; 0: until stop
	stop  *atomic.Bool // shared
	out   []byte

	mu     sync.Mutex // guards the rest, for publishers with a rate
	ids    []uint16   // that are free
	sentAs []uint32   // number of the message by identifier
	reply  []byte     // PUBREL packets to be written
	done   numbers    // that were accepted, if keep is set
	keep   bool
}

func newPublisher(o *Options, l *link, f *flow, m *mould, qos mqtt.QoS, stop *atomic.Bool) *publisher {
	p := &publisher{link: l, flow: f, mould: m, qos: qos, batch: o.Batch, stop: stop}
	if qos > 0 {
		window := min(o.Window, l.receiveMaximum)
		f.window = int64(window)
		p.sentAs = make([]uint32, window+1)
		for id := window; id > 0; id-- {
			p.ids = append(p.ids, uint16(id))
		}
	}
	return p
}

// room is how many messages one write may have now.
func (p *publisher) room() int {
	if p.stop.Load() {
		return 0
	}
	if p.limit > 0 {
		return int(min(int64(p.batch), p.limit-p.sent.Load()))
	}
	return p.batch
}

// write sends n messages, of QoS 1 and 2 as many as there are identifiers. It counts before: the broker may be faster
// than this goroutine.
func (p *publisher) write(n int) (int, error) {
	now := time.Since(epoch)
	p.out = p.out[:0]
	p.mu.Lock()
	if p.qos > 0 {
		n = min(n, len(p.ids))
	}
	var err error
	for range n {
		id := uint16(0)
		if p.qos > 0 {
			id = p.ids[len(p.ids)-1]
			p.ids = p.ids[:len(p.ids)-1]
			p.sentAs[id] = p.mould.next
		}
		if p.out, err = p.mould.append(p.out, id, now); err != nil {
			break
		}
	}
	p.mu.Unlock()
	if err != nil || n == 0 {
		return 0, err
	}
	p.sent.Add(int64(n))
	_, err = p.Write(p.out)
	return n, err
}

// untilStopped publishes in a closed loop.
func (p *publisher) untilStopped() error {
	if p.qos > 0 {
		return p.acknowledgedLoop()
	}
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for {
		n := int64(p.room())
		if n <= 0 {
			return nil
		}
		free := p.credit(min(n, max(1, p.window/2)), alarm)
		if free <= 0 {
			continue
		}
		if _, err := p.write(int(min(n, free))); err != nil {
			return err
		}
	}
}

// acknowledgedLoop fills the window, then reads what has been acknowledged, until all is.
func (p *publisher) acknowledgedLoop() error {
	for {
		n, err := p.write(p.room())
		if err != nil {
			return err
		}
		if n > 0 && len(p.ids) > 0 {
			continue
		}
		if p.room() <= 0 {
			if len(p.ids) == int(p.window) {
				return nil
			}
			_ = p.SetReadDeadline(time.Now().Add(patience))
		}
		if err := p.readOnce(); err != nil {
			return err
		}
	}
}

// read takes acknowledgements until the connection ends, for publishers with a rate.
func (p *publisher) read() error {
	for {
		if err := p.readOnce(); err != nil {
			return err
		}
	}
}

func (p *publisher) readOnce() error {
	if err := p.fill(); err != nil {
		return err
	}
	p.mu.Lock()
	err := p.each(p.acknowledge)
	reply := p.reply
	p.reply = p.reply[:0]
	p.mu.Unlock()
	if err == nil && len(reply) > 0 {
		_, err = p.Write(reply)
	}
	return err
}

var errIdentifier = errors.New("acknowledges a Packet Identifier that is not in use")

func (p *publisher) acknowledge(t mqtt.PacketType, frame []byte, header int) error {
	switch t {
	case mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubcomp:
	case mqtt.TypeDisconnect:
		return fmt.Errorf("the broker closes the connection of a publisher: %x", frame)
	default:
		return nil
	}
	id, code := acknowledged(frame, header)
	if id == 0 || int(id) >= len(p.sentAs) {
		return errIdentifier
	}
	switch {
	case code >= 0x80:
		p.refused.Add(1)
	case t == mqtt.TypePubrec:
		p.reply = appendAck(p.reply, mqtt.TypePubrel, id)
		return nil
	default:
		p.accepted.Add(1)
		if p.keep {
			p.done.add(p.sentAs[id])
		}
	}
	p.ids = append(p.ids, id)
	return nil
}
