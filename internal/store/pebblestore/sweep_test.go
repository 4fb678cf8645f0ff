package pebblestore

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/internal/store/storetest"
)

// countRows returns how many rows a table has, whether they can be seen or not.
func countRows(t *testing.T, s *Store, table byte) int {
	t.Helper()
	n := 0
	if err := s.each(table, func(*rows) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestOrphans plants what a crash or a lost row can leave behind, and looks for it after the next open.
func TestOrphans(t *testing.T) {
	for _, clean := range []bool{true, false} {
		o := testOptions(t)
		o.FS = vfs.NewMem()
		s := open(t, "store", o)
		err := storetest.CommitWait(s, putSession(1), putBody(1), putQueue(1, 1, 1, false))
		if err := errors.Join(err, s.Settle(t.Context()), s.Close()); err != nil {
			t.Fatal(err)
		}
		raw(t, o.FS, func(db *pebble.DB) {
			b := db.NewBatch()
			value := appendPointer(make([]byte, crcLen), &store.Pointer{Body: 2, Sole: true})
			set(b, keyQueue(nil, 2, 1), value)
			set(b, keyPacket(nil, tableInbound, 3, 1), make([]byte, crcLen))
			set(b, keySubscription(nil, 1<<63, "a"), append(make([]byte, crcLen), 0, 0))
			for body := store.BodyID(2); body < 2000; body++ {
				m := storetest.Message("t", nil, 1)
				setMessage(b, keyNumber(nil, tableBody, uint64(body)), appendMessageHead(nil, m), m)
			}
			if !clean {
				deleteKey(b, keyMeta(nil, metaOwn, nameClean))
			}
			if err := b.Commit(pebble.Sync); err != nil {
				t.Fatal(err)
			}
		})
		s = open(t, "store", o)
		if err := s.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			table byte
			want  int
		}{{tableSession, 1}, {tableQueue, 1}, {tableInbound, 0}, {tableSubscription, 0}} {
			if n := countRows(t, s, c.table); n != c.want {
				t.Errorf("clean %v: %d rows in table %c, want %d", clean, n, c.table, c.want)
			}
		}
		// Bodies are looked through only after a crash: the orphaned session's own goes in any case.
		want := 1
		if clean {
			want = 1998
		}
		if n := countRows(t, s, tableBody); n != want {
			t.Errorf("clean %v: %d bodies, want %d", clean, n, want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReleaseBeforeCount shows that deletes which come before the pointers are counted delete no body too early, and
// none too late. It runs the committer's steps by hand.
func TestReleaseBeforeCount(t *testing.T) {
	o := testOptions(t)
	o.FS = vfs.NewMem()
	s := open(t, "store", o)
	err := storetest.CommitWait(s, putSession(1), putSession(2), putBody(1), putBody(2), putBody(3),
		putQueue(1, 1, 1, false), putQueue(2, 1, 1, false), putQueue(1, 2, 2, false), putQueue(1, 3, 3, true))
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}

	opts := o.withDefaults()
	s = &Store{dir: "store", opts: opts, failed: make(chan struct{}), log: &engineLog{log: opts.Logger}}
	if s.lock, err = lock(opts.FS, "store"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.openDB(), s.prepare()); err != nil {
		t.Fatal(err)
	}
	s.wake = make(chan struct{}, 1)
	s.sweeper = newSweeper(s)
	s.counts, s.ofGroup = map[store.BodyID]int{}, map[place]store.BodyID{}
	step := func(ops ...store.Op) {
		t.Helper()
		s.Commit(&store.Batch{Ops: ops}, nil)
		g, _ := s.take()
		if err := s.write(g); err != nil {
			t.Fatal(err)
		}
	}
	release := func(session store.SessionID, ord store.Ord, body store.BodyID) store.Op {
		return store.Op{Kind: store.DeleteQueue, Session: session, Ord: ord, Body: body}
	}
	step(release(1, 1, 1), release(1, 1, 1), release(1, 2, 2))
	step(putBody(4), putQueue(1, 4, 4, false), release(1, 4, 4))
	if n := countRows(t, s, tableBody); n != 4 {
		t.Errorf("%d bodies before the count is known, want all 4", n)
	}
	if err := s.merge(arrival{map[store.BodyID]int{1: 2, 2: 1}, make(chan struct{})}); err != nil {
		t.Fatal(err)
	}
	for body, want := range map[store.BodyID]bool{1: true, 2: false, 3: true, 4: false} {
		if _, err := s.Body(body); (err == nil) != want {
			t.Errorf("body %d once the count is known: %v, want there: %v", body, err, want)
		}
	}
	step(release(2, 1, 1))
	if _, err := s.Body(1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("body 1 after its last pointer: %v", err)
	}
	if len(s.counts) != 0 {
		t.Errorf("counts left over: %v", s.counts)
	}
	if err := errors.Join(s.db.Close(), s.unlock()); err != nil {
		t.Fatal(err)
	}
}
