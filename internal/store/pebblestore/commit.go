package pebblestore

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
)

// A group is closed when it has this many batches or bytes; what comes later goes into the next one.
const (
	groupBatches = 2048
	groupBytes   = 1 << 20
)

// counterBlock is how many numbers are reserved at a time, so that the counters are not written with every batch.
const counterBlock = 1 << 16

// intake is where Commit encodes batches. batchMu guards all of it.
type intake struct {
	closed  bool
	groups  []*group // in Commit order; the last one may still grow
	spare   []*group // emptied, for reuse
	backlog int64    // bytes of groups that are not on disk yet
	wake    chan struct{}

	lastSession, reservedSession store.SessionID
	lastBody, reservedBody       store.BodyID

	key, value []byte // scratch
}

// group is what one write, and at most one fsync, makes durable.
type group struct {
	batch   *pebble.Batch
	sync    bool
	batches int
	done    []completion
	claims  []claim           // shared pointers put and deleted, in order
	ended   []store.SessionID // deleted sessions, whose rows are swept afterwards
	size    int64             // bytes, as counted in backlog

	held      []heldRows
	heldIndex map[place]int32 // places in held
	elided    uint64          // messages whose rows came and went
}

type completion struct {
	done func(error)
	err  error
}

// claim is a shared pointer that was put, or, when released, deleted.
type claim struct {
	session  store.SessionID
	ord      store.Ord
	body     store.BodyID
	released bool
}

// Commit takes the batch over: it encodes it and never waits for the disk. done, which may be nil, is called exactly
// once, in the order of the Commit calls, by the store's goroutine: for Sync batches after the fsync of their group,
// for others after they were written. It never runs inside of Commit; it must not block, but may call Commit. An error
// means that nothing of the batch was written: store.ErrFull, store.ErrInvalid or store.ErrClosed. A failed fsync calls
// no done at all: see Options.Fatal.
func (s *Store) Commit(b *store.Batch, done func(error)) {
	err := b.Check()
	adds := b.Adds()
	s.batchMu.Lock()
	if s.closed {
		s.batchMu.Unlock()
		if done != nil {
			go done(fmt.Errorf("commit to %q: %w", s.dir, store.ErrClosed))
		}
		return
	}
	g := s.current()
	if err == nil && adds {
		if err = s.room(); err != nil {
			s.total.refused.Add(1)
		}
	}
	if err == nil {
		before, size := g.batch.Len(), g.size
		s.encode(g, b)
		g.size += int64(g.batch.Len() - before)
		s.backlog += g.size - size
		g.sync = g.sync || b.Sync
	}
	g.batches++
	if done != nil {
		g.done = append(g.done, completion{done, err})
	}
	s.batchMu.Unlock()
	s.signal()
}

// Accepting returns nil while batches with new messages are taken, or why they are not: an error that wraps
// store.ErrFull.
func (s *Store) Accepting() error {
	if s.full.Load() {
		return fmt.Errorf("disk of %q nearly full: %w", s.dir, store.ErrFull)
	}
	return nil
}

func (s *Store) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// room reports why a batch that adds messages cannot be taken now.
func (s *Store) room() error {
	if s.full.Load() {
		return fmt.Errorf("disk of %q nearly full: %w", s.dir, store.ErrFull)
	}
	if s.backlog >= s.opts.MaxBacklog {
		return fmt.Errorf("%d bytes wait for the disk of %q: %w", s.backlog, s.dir, store.ErrFull)
	}
	return nil
}

// current returns the group that a batch goes into.
func (s *Store) current() *group {
	if n := len(s.groups); n > 0 {
		if g := s.groups[n-1]; g.batches < groupBatches && g.size < groupBytes {
			return g
		}
	}
	var g *group
	if n := len(s.spare); n > 0 {
		g, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		g = &group{}
	}
	g.batch = s.db.NewBatchWithSize(64<<10, pebble.WithMaxRetainedSizeBytes(4*groupBytes))
	s.groups = append(s.groups, g)
	return g
}

// take removes the oldest group. It returns nil when there is none, and then whether the store is closed.
func (s *Store) take() (*group, bool) {
	s.batchMu.Lock()
	defer s.batchMu.Unlock()
	if len(s.groups) == 0 {
		return nil, s.closed
	}
	g := s.groups[0]
	s.groups = s.groups[:copy(s.groups, s.groups[1:])]
	return g, false
}

// recycle takes back a group whose done have all been called.
func (s *Store) recycle(g *group) {
	_ = g.batch.Close() // never fails for a batch that was applied or is empty
	clear(g.done)
	size := g.size
	clear(g.held)
	clear(g.heldIndex)
	*g = group{done: g.done[:0], claims: g.claims[:0], ended: g.ended[:0], held: g.held[:0], heldIndex: g.heldIndex}
	s.batchMu.Lock()
	defer s.batchMu.Unlock()
	s.backlog -= size
	if len(s.spare) < 2 {
		s.spare = append(s.spare, g)
	}
}

// encode writes the rows of a checked batch into a group.
func (s *Store) encode(g *group, b *store.Batch) {
	for i := 0; i < len(b.Ops); i++ {
		op := &b.Ops[i]
		if op.Session > s.lastSession {
			s.noteSession(g, op.Session)
		}
		if op.Kind == store.PutBody && op.Body > s.lastBody {
			s.noteBody(g, op.Body)
		}
		if n := s.holdBack(g, b.Ops[i:]); n > 0 {
			i += n - 1
			continue
		}
		switch op.Kind {
		case store.PutBody:
			s.key = keyNumber(s.key[:0], tableBody, uint64(op.Body))
			s.value = appendMessageHead(s.value[:0], op.Message)
			setMessage(g.batch, s.key, s.value, op.Message)
		case store.DeleteBody:
			s.delete(g, keyNumber(s.key[:0], tableBody, uint64(op.Body)))
		case store.PutRetained:
			s.key = keyRetained(s.key[:0], op.Message.Topic())
			s.value = appendMessageHead(s.value[:0], op.Message)
			setMessage(g.batch, s.key, s.value, op.Message)
		case store.DeleteRetained:
			s.delete(g, keyRetained(s.key[:0], op.Key))
		case store.PutWill:
			s.key = keyNumber(s.key[:0], tableWill, uint64(op.Session))
			s.value = appendMessageHead(appendWillHead(s.value[:0], op.Will), op.Will.Message)
			setMessage(g.batch, s.key, s.value, op.Will.Message)
		case store.DeleteWill:
			s.delete(g, keyNumber(s.key[:0], tableWill, uint64(op.Session)))
		case store.PutMeta:
			s.key = keyMeta(s.key[:0], metaBroker, op.Key)
			s.set(g, append(s.record(), op.Value...))
		case store.DeleteMeta:
			s.delete(g, keyMeta(s.key[:0], metaBroker, op.Key))
		case store.PutQueue, store.DeleteQueue:
			s.encodeQueue(g, op)
		default:
			s.encodeOfSession(g, op)
		}
	}
}

func (s *Store) encodeQueue(g *group, op *store.Op) {
	s.key = keyQueue(s.key[:0], op.Session, op.Ord)
	if op.Kind == store.PutQueue {
		s.set(g, appendPointer(s.record(), &op.Pointer))
		if !op.Pointer.Sole {
			g.claims = append(g.claims, claim{session: op.Session, ord: op.Ord, body: op.Pointer.Body})
		}
		return
	}
	s.delete(g, s.key)
	if op.Pointer.Sole {
		s.delete(g, keyNumber(s.key[:0], tableBody, uint64(op.Body)))
	} else {
		g.claims = append(g.claims, claim{session: op.Session, ord: op.Ord, body: op.Body, released: true})
	}
}

// encodeOfSession writes the small rows of a session. DeleteSession removes what makes it exist; the sweeper removes
// the rest once that is written.
func (s *Store) encodeOfSession(g *group, op *store.Op) {
	switch op.Kind {
	case store.PutInflight:
		s.key = keyPacket(s.key[:0], tableInflight, op.Session, op.PacketID)
		s.set(g, appendInflight(s.record(), &op.Inflight))
	case store.DeleteInflight:
		s.delete(g, keyPacket(s.key[:0], tableInflight, op.Session, op.PacketID))
	case store.PutInbound:
		s.key = keyPacket(s.key[:0], tableInbound, op.Session, op.PacketID)
		s.set(g, s.record())
	case store.DeleteInbound:
		s.delete(g, keyPacket(s.key[:0], tableInbound, op.Session, op.PacketID))
	case store.PutSession:
		s.key = keyNumber(s.key[:0], tableSession, uint64(op.Session))
		s.set(g, appendSession(s.record(), op.Meta))
	case store.DeleteSession:
		s.delete(g, keyNumber(s.key[:0], tableSession, uint64(op.Session)))
		s.delete(g, keyNumber(s.key[:0], tableWill, uint64(op.Session)))
		g.ended = append(g.ended, op.Session)
	case store.PutSubscription:
		s.key = keySubscription(s.key[:0], op.Session, op.Subscription.Filter)
		s.set(g, appendSubscription(s.record(), op.Subscription))
	case store.DeleteSubscription:
		s.delete(g, keySubscription(s.key[:0], op.Session, op.Key))
	}
}

// record returns the scratch for a value, with room for the checksum in front.
func (s *Store) record() []byte { return append(s.value[:0], 0, 0, 0, 0) }

// set adds the row of s.key.
func (s *Store) set(g *group, value []byte) {
	s.value = value
	set(g.batch, s.key, value)
}

func (s *Store) delete(g *group, key []byte) {
	s.key = key
	deleteKey(g.batch, key)
}

func deleteKey(b *pebble.Batch, key []byte) {
	_ = b.Delete(key, nil) // fails only on indexed batches that are too large
}

// setMessage adds a row that ends with a message's data, which is copied once, straight into the batch.
func setMessage(b *pebble.Batch, key, head []byte, m *message.Message) {
	data, _, _ := m.Data()
	d := b.SetDeferred(len(key), crcLen+len(head)+len(data))
	copy(d.Key, key)
	copy(d.Value[crcLen:], head)
	copy(d.Value[crcLen+len(head):], data)
	seal(d.Key, d.Value)
	_ = d.Finish() // fails only on indexed batches
}

// noteSession keeps the counter ahead of the numbers in use: the row is part of the group that first needs it.
func (s *Store) noteSession(g *group, id store.SessionID) {
	s.lastSession = id
	if id > s.reservedSession {
		s.reservedSession = reserve(id)
		setOwnMeta(g.batch, nameLastSession, binary.AppendUvarint(nil, uint64(s.reservedSession)))
	}
}

func (s *Store) noteBody(g *group, id store.BodyID) {
	s.lastBody = id
	if id > s.reservedBody {
		s.reservedBody = reserve(id)
		setOwnMeta(g.batch, nameLastBody, binary.AppendUvarint(nil, uint64(s.reservedBody)))
	}
}

// reserve returns the end of the block that starts after id, or the last number there is.
func reserve[T store.SessionID | store.BodyID](id T) T {
	if end := id + counterBlock; end > id {
		return end
	}
	return ^T(0)
}

// Counters returns numbers that are at least as high as any that a batch has used, deleted ones included, so that
// numbers above them are new. After a crash they are up to a block of 65,536 higher.
func (s *Store) Counters() (lastSession store.SessionID, lastBody store.BodyID) {
	s.batchMu.Lock()
	defer s.batchMu.Unlock()
	return s.lastSession, s.lastBody
}
