package pebblestore

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// inOneGroup commits batches while the committer is held up, so that they are written together, and waits for the last.
func inOneGroup(t *testing.T, s *Store, batches ...[]store.Op) {
	t.Helper()
	held, release := make(chan struct{}), make(chan struct{})
	s.Commit(&store.Batch{Ops: []store.Op{putMeta("first", "1")}}, func(error) {
		close(held)
		<-release
	})
	<-held
	done := make(chan error, 1)
	for i, ops := range batches {
		var f func(error)
		if i == len(batches)-1 {
			f = func(err error) { done <- err }
		}
		s.Commit(&store.Batch{Ops: ops, Sync: true}, f)
	}
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func putInflight(pid mqtt.PacketID, ord store.Ord, qos mqtt.QoS) store.Op {
	return store.Op{Kind: store.PutInflight, Session: 1, PacketID: pid, Inflight: store.Inflight{Ord: ord, QoS: qos, State: store.Published}}
}

func deleteInflight(pid mqtt.PacketID) store.Op {
	return store.Op{Kind: store.DeleteInflight, Session: 1, PacketID: pid}
}

func deleteQueue(ord store.Ord, body store.BodyID, sole bool) store.Op {
	return store.Op{Kind: store.DeleteQueue, Session: 1, Ord: ord, Body: body, Pointer: store.Pointer{Sole: sole}}
}

// TestElide: what came and went within a group is not written; everything else is as if nothing had been held back.
func TestElide(t *testing.T) {
	message := []store.Op{putBody(1), putQueue(1, 1, 1, true)}
	flight := []store.Op{putInflight(7, 1, mqtt.AtLeastOnce)}
	for _, c := range []struct {
		name     string
		batches  [][]store.Op
		elided   uint64
		queue    []store.Ord
		inflight []mqtt.PacketID
		body     bool
	}{
		{"acknowledged", [][]store.Op{message, flight, {deleteInflight(7), deleteQueue(1, 1, true)}}, 1, nil, nil, false},
		{"expired before it was sent", [][]store.Op{message, {deleteQueue(1, 1, true)}}, 1, nil, nil, false},
		{"waiting", [][]store.Op{message}, 0, []store.Ord{1}, nil, true},
		{"in flight", [][]store.Op{message, flight}, 0, []store.Ord{1}, []mqtt.PacketID{7}, true},
		{"shared", [][]store.Op{{putBody(1), putQueue(1, 1, 1, false), putQueue(2, 1, 1, false)}, {deleteQueue(1, 1, false)}}, 0, nil, nil, true},
		{"QoS 2", [][]store.Op{message, {putInflight(7, 1, mqtt.ExactlyOnce)}, {deleteInflight(7), deleteQueue(1, 1, true)}}, 0, nil, nil, false},
		{"only the packet identifier", [][]store.Op{message, flight, {deleteInflight(7)}}, 0, []store.Ord{1}, nil, true},
		{"only the body", [][]store.Op{message, {store.Op{Kind: store.DeleteBody, Body: 1}}}, 0, []store.Ord{1}, nil, false},
		{"another packet identifier", [][]store.Op{message, flight, {deleteInflight(8), deleteQueue(1, 1, true)}}, 0, nil, []mqtt.PacketID{7}, false},
		{"identifier used again", [][]store.Op{
			message, flight,
			{deleteInflight(7), deleteQueue(1, 1, true)},
			{putBody(2), putQueue(1, 2, 2, true)},
			{putInflight(7, 2, mqtt.AtLeastOnce)},
		}, 1, []store.Ord{2}, []mqtt.PacketID{7}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, t.TempDir(), testOptions(t))
			defer s.Close()
			inOneGroup(t, s, []store.Op{putSession(1), putSession(2)})
			inOneGroup(t, s, c.batches...)
			for deadline := time.Now().Add(30 * time.Second); s.Stats().Backlog != 0; { // counted down after done
				if time.Now().After(deadline) {
					t.Fatalf("%d bytes wait for a disk that has all", s.Stats().Backlog)
				}
				time.Sleep(time.Millisecond)
			}
			if got := s.Stats().Elided; got != c.elided {
				t.Errorf("elided %d, want %d", got, c.elided)
			}
			rows, err := s.Queue(1, 0, 10)
			if err != nil {
				t.Fatal(err)
			}
			var queue []store.Ord
			for _, r := range rows {
				queue = append(queue, r.Ord)
			}
			var inflight []mqtt.PacketID
			if err := s.Sessions(func(row store.SessionRow) error {
				for _, f := range row.Inflight {
					inflight = append(inflight, f.PacketID)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			_, err = s.Body(1)
			if !slices.Equal(queue, c.queue) || !slices.Equal(inflight, c.inflight) || (err == nil) != c.body || err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("queue %v, in flight %v, body: %v", queue, inflight, err)
			}
		})
	}
}
