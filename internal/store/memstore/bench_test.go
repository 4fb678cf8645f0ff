package memstore_test

import (
	"sync"
	"testing"

	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/internal/store/memstore"
	"github.com/sealmq/sealmq/internal/store/storetest"
)

// BenchmarkStoreAndAcknowledge measures what one queued message costs: body and pointer in, both out.
func BenchmarkStoreAndAcknowledge(b *testing.B) {
	s := memstore.New(memstore.Options{})
	defer s.Close()
	session := store.Op{Kind: store.PutSession, Session: 1, Meta: &store.Session{}}
	if err := storetest.CommitWait(s, session); err != nil {
		b.Fatal(err)
	}
	m := storetest.Message("bench/topic", make([]byte, 190), 1)
	const window = 256
	batches := make([]store.Batch, 2*window)
	var wait sync.WaitGroup
	done := func(error) { wait.Done() }
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		at := i % window * 2
		if at == 0 {
			wait.Wait()
		}
		i++
		put, ack := &batches[at], &batches[at+1]
		put.Reset()
		put.Add(store.Op{Kind: store.PutBody, Body: store.BodyID(i), Message: m})
		put.Add(store.Op{
			Kind: store.PutQueue, Session: 1, Ord: store.Ord(i), Pointer: store.Pointer{Body: store.BodyID(i), Sole: true, Size: 328},
		})
		ack.Reset()
		ack.Add(store.Op{
			Kind: store.DeleteQueue, Session: 1, Ord: store.Ord(i), Body: store.BodyID(i), Pointer: store.Pointer{Sole: true},
		})
		wait.Add(2)
		s.Commit(put, done)
		s.Commit(ack, done)
	}
	wait.Wait()
}
