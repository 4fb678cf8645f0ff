package memstore_test

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/internal/store/memstore"
	"github.com/sealmq/sealmq/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	storetest.Run(t, func(testing.TB) storetest.Subject {
		return storetest.Subject{
			Volatile: true,
			Open: func(onGroup func()) (storetest.Store, error) {
				s := memstore.New(memstore.Options{OnGroup: onGroup})
				return storetest.Store{Writer: s, Rows: s, Tables: s}, nil
			},
		}
	})
}

// TestFull shows that only batches which add messages are refused, whole, and that deletes make room.
func TestFull(t *testing.T) {
	s := memstore.New(memstore.Options{MaxBytes: 1000})
	defer s.Close()
	session := store.Op{Kind: store.PutSession, Session: 1, Meta: &store.Session{}}
	body := func(id store.BodyID) store.Op {
		return store.Op{Kind: store.PutBody, Body: id, Message: storetest.Message("t", make([]byte, 1000), 1)}
	}
	pointer := store.Op{Kind: store.PutQueue, Session: 1, Ord: 1, Pointer: store.Pointer{Body: 1, Sole: true}}
	if err := storetest.CommitWait(s, session, body(1), pointer); err != nil {
		t.Fatal(err)
	}
	meta := store.Op{Kind: store.PutMeta, Key: "k", Value: []byte("v")}
	if err := storetest.CommitWait(s, meta, body(2)); !errors.Is(err, store.ErrFull) {
		t.Fatalf("second body: %v", err)
	}
	if v, err := s.Meta("k"); err != nil || v != nil {
		t.Errorf("part of a refused batch is there: %q, %v", v, err)
	}
	if err := storetest.CommitWait(s, meta); err != nil {
		t.Errorf("batch without messages: %v", err)
	}
	if err := storetest.CommitWait(s, store.Op{Kind: store.DeleteSession, Session: 1}); err != nil {
		t.Fatal(err)
	}
	if s.Bytes() != 0 {
		t.Errorf("%d bytes held by nobody", s.Bytes())
	}
	if err := storetest.CommitWait(s, body(3)); err != nil {
		t.Errorf("body after making room: %v", err)
	}
}
