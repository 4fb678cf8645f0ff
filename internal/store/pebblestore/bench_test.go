package pebblestore

import (
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// producers is how many callers wait for their batch at the same time in the throughput benchmarks.
const producers = 256

// benchMessages are messages of 200 bytes that do not compress.
func benchMessages(n int) []*message.Message {
	random := rand.NewChaCha8([32]byte{})
	out := make([]*message.Message, n)
	for i := range out {
		payload := make([]byte, 190)
		random.Read(payload)
		out[i] = message.New(&mqtt.Publish{QoS: 1, Topic: "bench/topic", Payload: payload}, "bench", nil, 1)
	}
	return out
}

func benchOptions() Options {
	return Options{Logger: slog.New(slog.DiscardHandler)}
}

// inFlight runs b.N operations with the given number of callers, each waiting for its own.
func inFlight(b *testing.B, callers int, op func(caller, i int)) {
	b.Helper()
	var next atomic.Int64
	var wait sync.WaitGroup
	b.ResetTimer()
	for c := range callers {
		wait.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				op(c, int(i))
			}
		})
	}
	wait.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkDurable measures stored messages, body and pointer, each acknowledged after its fsync.
func BenchmarkDurable(b *testing.B) {
	messages := benchMessages(1024)
	for _, callers := range []int{1, 16, producers} {
		b.Run(name(callers), func(b *testing.B) {
			s := open(b, b.TempDir(), benchOptions())
			defer s.Close()
			batches := make([]store.Batch, callers)
			done := make([]chan error, callers)
			reply := make([]func(error), callers)
			for c := range done {
				done[c] = make(chan error, 1)
				reply[c] = func(err error) { done[c] <- err }
			}
			b.ReportAllocs()
			inFlight(b, callers, func(c, i int) {
				fill(&batches[c], c, i, messages[i%len(messages)])
				s.Commit(&batches[c], reply[c])
				if err := <-done[c]; err != nil {
					b.Error(err)
				}
			})
		})
	}
}

// fill makes the batch that stores message number i for caller c.
func fill(b *store.Batch, c, i int, m *message.Message) {
	b.Reset()
	b.Sync = true
	b.Add(store.Op{Kind: store.PutBody, Body: store.BodyID(i), Message: m})
	b.Add(store.Op{
		Kind: store.PutQueue, Session: store.SessionID(c + 1), Ord: store.Ord(i),
		Pointer: store.Pointer{Body: store.BodyID(i), QoS: 1, Sole: true, Size: 328},
	})
}

// BenchmarkFloor is the same load with nothing of ours: two raw rows into a shared Pebble batch, group commit with one
// fsync, one channel per waiter.
func BenchmarkFloor(b *testing.B) {
	messages := benchMessages(1024)
	o := benchOptions().withDefaults()
	cache := pebble.NewCache(o.CacheBytes)
	defer cache.Unref()
	db, err := pebble.Open(b.TempDir(), o.pebbleOptions(cache, &engineLog{log: o.Logger, fatal: o.Fatal}))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	var mu sync.Mutex
	group, waiting := db.NewBatch(), []chan struct{}(nil)
	wake := make(chan struct{}, 1)
	go func() {
		for range wake {
			mu.Lock()
			g, w := group, waiting
			group, waiting = db.NewBatch(), nil
			mu.Unlock()
			if err := g.Commit(pebble.Sync); err != nil {
				b.Error(err)
			}
			for _, done := range w {
				done <- struct{}{}
			}
		}
	}()
	done := make([]chan struct{}, producers)
	for c := range done {
		done[c] = make(chan struct{}, 1)
	}
	inFlight(b, producers, func(c, i int) {
		body := binary.BigEndian.AppendUint64([]byte{'M'}, uint64(i))
		pointer := keyQueue(make([]byte, 0, 17), store.SessionID(c+1), store.Ord(i))
		data, _, _ := messages[i%len(messages)].Data()
		mu.Lock()
		_ = group.Set(body, data, nil)
		_ = group.Set(pointer, body, nil)
		waiting = append(waiting, done[c])
		mu.Unlock()
		select {
		case wake <- struct{}{}:
		default:
		}
		<-done[c]
	})
	close(wake)
}

// BenchmarkCommit measures the caller's side alone: what a session pays under its lock.
func BenchmarkCommit(b *testing.B) {
	messages := benchMessages(1024)
	s := open(b, b.TempDir(), benchOptions())
	defer s.Close()
	var batch store.Batch
	var pending sync.WaitGroup
	b.ReportAllocs()
	for i := 1; b.Loop(); i++ {
		fill(&batch, 0, i, messages[i%len(messages)])
		batch.Sync = false
		pending.Add(1)
		s.Commit(&batch, func(error) { pending.Done() })
		if i%4096 == 0 {
			b.StopTimer()
			pending.Wait()
			b.StartTimer()
		}
	}
	pending.Wait()
}

// BenchmarkAcknowledged measures durable messages that are acknowledged at once, so that most die young.
func BenchmarkAcknowledged(b *testing.B) {
	messages := benchMessages(1024)
	s := open(b, b.TempDir(), benchOptions())
	defer s.Close()
	batches := make([]store.Batch, producers)
	acks := make([]store.Batch, producers)
	done := make([]chan struct{}, producers)
	reply := make([]func(error), producers)
	for c := range done {
		done[c] = make(chan struct{}, 2)
		reply[c] = func(error) { done[c] <- struct{}{} }
	}
	b.ReportAllocs()
	inFlight(b, producers, func(c, i int) {
		fill(&batches[c], c, i, messages[i%len(messages)])
		s.Commit(&batches[c], reply[c])
		<-done[c]
		acks[c].Reset()
		acks[c].Add(store.Op{
			Kind: store.DeleteQueue, Session: store.SessionID(c + 1), Ord: store.Ord(i), Body: store.BodyID(i),
			Pointer: store.Pointer{Sole: true},
		})
		s.Commit(&acks[c], func(error) {})
	})
}

// BenchmarkFanOut measures a message stored for 100 sessions and acknowledged by each, per session.
func BenchmarkFanOut(b *testing.B) {
	const sessions = 100
	messages := benchMessages(1024)
	s := open(b, b.TempDir(), benchOptions())
	defer s.Close()
	var wait sync.WaitGroup
	done := func(error) { wait.Done() }
	var put store.Batch
	acks := make([]store.Batch, sessions)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += sessions {
		body := store.BodyID(i + 1)
		put.Reset()
		put.Sync = true
		put.Add(store.Op{Kind: store.PutBody, Body: body, Message: messages[i%len(messages)]})
		for id := range store.SessionID(sessions) {
			put.Add(store.Op{
				Kind: store.PutQueue, Session: id + 1, Ord: store.Ord(body), Pointer: store.Pointer{Body: body, QoS: 1, Size: 328},
			})
		}
		wait.Add(1)
		s.Commit(&put, done)
		wait.Wait()
		wait.Add(sessions)
		for id := range store.SessionID(sessions) {
			acks[id].Reset()
			acks[id].Add(store.Op{Kind: store.DeleteQueue, Session: id + 1, Ord: store.Ord(body), Body: body})
			s.Commit(&acks[id], done)
		}
		wait.Wait()
	}
}

func name(callers int) string {
	return map[int]string{1: "callers=1", 16: "callers=16", producers: "callers=256"}[callers]
}
