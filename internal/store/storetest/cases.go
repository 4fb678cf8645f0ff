package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

var cases = []struct {
	name string
	test func(h *harness)
}{
	{"every kind of row", everyKind},
	{"done in order", doneInOrder},
	{"done of many committers", doneOfMany},
	{"commit under a lock that done takes", commitUnderLock},
	{"commit from done", commitFromDone},
	{"invalid batches change nothing", invalidBatches},
	{"close with batches under way", closeUnderWay},
	{"closed", closed},
	{"deletes of absent rows", absentDeletes},
	{"end of a session", endOfSession},
	{"sole bodies", soleBodies},
	{"shared bodies", sharedBodies},
	{"repeated deletes of a shared body", repeatedDeletes},
	{"shared bodies across reopening", sharedAcrossReopen},
	{"moved pointers", movedPointers},
	{"counters", counters},
	{"large values", largeValues},
	{"queue pages", queuePages},
	{"retained is independent of queues", retainedIndependent},
	{"will without a session", willWithoutSession},
	{"reading while reading", readWhileReading},
	{"metadata by prefix", metaByPrefix},
}

// everyKind puts one row of each kind with all fields set, replaces it, and deletes it.
func everyKind(h *harness) {
	steps := []struct {
		name string
		ops  []store.Op
	}{
		{"put", []store.Op{
			putSession(1), putSubscription(1, "a/+", 5), putSubscription(1, "$share/g/#", 2), putBody(1), putBody(2),
			putQueue(1, 12, 1, true), putQueue(1, 24, 2, false), putInflight(1, 7, 12, store.Published), putInbound(1, 9),
			putInbound(1, 65535), putRetained("a/b", 1), putRetained("a", 4), putWill(1, 3), putMeta("k", "v"),
		}},
		{"replace", []store.Op{
			{Kind: store.PutSession, Session: 1, Meta: &store.Session{Group: "$share/g/a", Version: mqtt.V31, Expiry: 0xFFFFFFFF}},
			putSubscription(1, "a/+", 4), putInflight(1, 7, 12, store.Released), putRetained("a/b", 2), putWill(1, 4),
			putMeta("k", ""),
		}},
		{"delete", []store.Op{
			{Kind: store.DeleteSubscription, Session: 1, Key: "a/+"},
			deleteQueue(1, 12, 1, true),
			{Kind: store.DeleteInflight, Session: 1, PacketID: 7},
			{Kind: store.DeleteInbound, Session: 1, PacketID: 9},
			{Kind: store.DeleteRetained, Key: "a/b"},
			{Kind: store.DeleteWill, Session: 1},
			{Kind: store.DeleteBody, Body: 2},
		}},
		{"delete session", []store.Op{deleteSession(1)}},
	}
	model := NewModel()
	for _, step := range steps {
		h.commit(step.ops...)
		model.Apply(&store.Batch{Ops: step.ops})
		h.both(func() { h.Helper(); h.compare(step.name, model.State(), 2, "k") })
	}
}

func (h *harness) compare(step string, want State, last store.BodyID, keys ...string) {
	h.Helper()
	got, err := Read(h.store, last, keys)
	if err != nil {
		h.Fatal(err)
	}
	if d := Diff(want, got); d != "" {
		h.Fatalf("%s (-want +got):\n%s", step, d)
	}
}

// doneInOrder checks order, that done never runs inside of Commit, and that OnGroup follows done.
func doneInOrder(h *harness) {
	const n = 500
	var inCommit atomic.Bool
	var order []int // only the store's goroutine touches it before finished is closed
	groups, lastGroup := 0, 0
	finished := make(chan struct{})
	h.onGroup = func() {
		groups++
		lastGroup = len(order)
		if lastGroup == n {
			close(finished)
			h.onGroup = nil
		}
	}
	batches := make([]store.Batch, n)
	for i := range n {
		b := &batches[i]
		b.Add(putMeta("k", fmt.Sprint(i)))
		b.Sync = i%7 == 0
		inCommit.Store(true)
		h.store.Commit(b, func(err error) {
			if err != nil {
				h.Error(err)
			}
			order = append(order, i)
			if inCommit.Load() && i == n {
				h.Error("done inside of Commit")
			}
		})
		inCommit.Store(false)
	}
	<-finished
	for i, v := range order {
		if v != i {
			h.Fatalf("done %d came as number %d", v, i)
		}
	}
	if groups == 0 || groups > n || lastGroup != n {
		h.Errorf("%d groups, the last one after %d done", groups, lastGroup)
	}
}

func doneOfMany(h *harness) {
	const committers, each = 8, 100
	var running atomic.Int32
	var wait sync.WaitGroup
	for c := range committers {
		wait.Add(each)
		go func() {
			last := -1
			for i := range each {
				b := &store.Batch{Sync: i%3 == 0}
				b.Add(putMeta(fmt.Sprint("k", c), fmt.Sprint(i)))
				h.store.Commit(b, func(err error) {
					defer wait.Done()
					if running.Add(1) != 1 {
						h.Error("two done at once")
					}
					if err != nil || i != last+1 {
						h.Errorf("committer %d: done %d after %d: %v", c, i, last, err)
					}
					last = i
					running.Add(-1)
				})
			}
		}()
	}
	wait.Wait()
	h.both(func() {
		for c := range committers {
			if v, err := h.store.Meta(fmt.Sprint("k", c)); err != nil || string(v) != fmt.Sprint(each-1) {
				h.Errorf("committer %d: last value %q, %v", c, v, err)
			}
		}
	})
}

// commitUnderLock would deadlock if Commit ran done, or waited for it.
func commitUnderLock(h *harness) {
	var mu sync.Mutex
	var wait sync.WaitGroup
	for i := range 100 {
		wait.Add(1)
		mu.Lock()
		h.store.Commit(&store.Batch{Ops: []store.Op{putMeta("k", fmt.Sprint(i))}, Sync: true}, func(error) {
			mu.Lock()
			defer mu.Unlock()
			wait.Done()
		})
		mu.Unlock()
	}
	wait.Wait()
}

func commitFromDone(h *harness) {
	result := make(chan error, 1)
	var next func(n int) func(error)
	next = func(n int) func(error) {
		return func(err error) {
			if err != nil || n == 0 {
				result <- err
				return
			}
			h.store.Commit(&store.Batch{Ops: []store.Op{putMeta("k", fmt.Sprint(n))}}, next(n-1))
		}
	}
	h.store.Commit(&store.Batch{}, next(10))
	if err := <-result; err != nil {
		h.Fatal(err)
	}
	h.both(func() {
		if v, err := h.store.Meta("k"); err != nil || string(v) != "1" {
			h.Errorf("last value %q, %v", v, err)
		}
	})
}

func invalidBatches(h *harness) {
	for _, bad := range []store.Op{
		{},
		{Kind: 200, Session: 1},
		{Kind: store.PutBody, Body: 1},
		{Kind: store.PutBody, Message: Message("t", nil, 1)},
		{Kind: store.DeleteBody},
		{Kind: store.PutQueue, Session: 1, Ord: 1},
		{Kind: store.PutQueue, Ord: 1, Pointer: store.Pointer{Body: 1}},
		{Kind: store.PutQueue, Session: 1, Ord: 1, Pointer: store.Pointer{Body: 1, QoS: 3}},
		{Kind: store.PutQueue, Session: 1, Ord: 1, Pointer: store.Pointer{Body: 1, SubscriptionIDs: make([]uint32, 1<<13)}},
		{Kind: store.DeleteQueue, Session: 1, Ord: 1},
		{Kind: store.PutInflight, Session: 1, PacketID: 1},
		{Kind: store.PutInbound, Session: 1},
		{Kind: store.PutSession, Session: 1},
		{Kind: store.PutSubscription, Session: 1, Subscription: &store.Subscription{}},
		{Kind: store.PutRetained, Message: Message("", nil, 1)},
		{Kind: store.DeleteRetained},
		{Kind: store.PutWill, Session: 1, Will: &store.Will{}},
		{Kind: store.PutMeta, Key: string(make([]byte, store.MaxKey+1))},
		{Kind: store.PutMeta, Key: "k", Value: make([]byte, store.MaxMeta+1)},
	} {
		if err := h.try(putMeta("k", "written"), putSession(1), bad); !errors.Is(err, store.ErrInvalid) {
			h.Errorf("%+v: %v", bad, err)
		}
	}
	h.both(func() { h.Helper(); h.compare("nothing", NewModel().State(), 3, "k") })
}

func closeUnderWay(h *harness) {
	const n = 300
	var called atomic.Int32
	for i := range n {
		h.store.Commit(&store.Batch{Ops: []store.Op{putMeta("k", fmt.Sprint(i))}, Sync: i%2 == 0}, func(err error) {
			if err != nil {
				h.Error(err)
			}
			called.Add(1)
		})
	}
	h.close()
	if called.Load() != n {
		h.Fatalf("%d done of %d when Close returned", called.Load(), n)
	}
	if h.subject.Volatile {
		return
	}
	h.open()
	if v, err := h.store.Meta("k"); err != nil || string(v) != fmt.Sprint(n-1) {
		h.Errorf("last value %q, %v", v, err)
	}
}

func closed(h *harness) {
	s := h.store
	h.close()
	if err := CommitWait(s, putMeta("k", "v")); !errors.Is(err, store.ErrClosed) {
		h.Errorf("Commit after Close: %v", err)
	}
	s.Commit(&store.Batch{}, nil)
	if err := s.Close(); err != nil {
		h.Errorf("second Close: %v", err)
	}
}

func absentDeletes(h *harness) {
	h.commit(
		deleteSession(9), deleteQueue(9, 1, 1, true), deleteQueue(9, 1, 1, false),
		store.Op{Kind: store.DeleteBody, Body: 9}, store.Op{Kind: store.DeleteInflight, Session: 9, PacketID: 1},
		store.Op{Kind: store.DeleteInbound, Session: 9, PacketID: 1}, store.Op{Kind: store.DeleteWill, Session: 9},
		store.Op{Kind: store.DeleteRetained, Key: "t"}, store.Op{Kind: store.DeleteSubscription, Session: 9, Key: "t"},
	)
	h.both(func() { h.Helper(); h.compare("nothing", NewModel().State(), 9) })
}

func endOfSession(h *harness) {
	var ops []store.Op
	for id := store.SessionID(1); id <= 3; id++ {
		ops = append(ops, putSession(id), putSubscription(id, "a", 1), putInflight(id, 1, 1, store.Published),
			putInbound(id, 2), putWill(id, 1))
		for ord := store.Ord(1); ord <= 600; ord++ {
			body := store.BodyID(id)*1000 + store.BodyID(ord)
			ops = append(ops, putBody(body), putQueue(id, ord, body, true))
		}
	}
	ops = append(ops, putBody(1), putQueue(1, 1001, 1, false), putQueue(2, 1001, 1, false), putBody(2),
		putQueue(2, 1002, 2, false))
	model := NewModel()
	step := func(name string, ops ...store.Op) {
		h.commit(ops...)
		model.Apply(&store.Batch{Ops: ops})
		h.both(func() { h.Helper(); h.compare(name, model.State(), 3600) })
	}
	step("three sessions", ops...)
	step("the second ends, a fourth begins", deleteSession(2), putSession(4), putQueue(4, 1, 1, false))
	step("late changes of the second", store.Op{Kind: store.DeleteInflight, Session: 2, PacketID: 1},
		deleteQueue(2, 1001, 1, false), putInbound(2, 3), putSubscription(2, "b", 1))
	step("the first ends", deleteSession(1))
	h.body(1, true)
	step("the fourth ends", deleteSession(4))
	h.body(1, false)
}

func soleBodies(h *harness) {
	h.commit(putSession(1), putBody(1), putQueue(1, 1, 1, true), putBody(2), putQueue(1, 2, 2, true))
	h.commit(deleteQueue(1, 1, 1, true))
	h.both(func() { h.body(1, false); h.body(2, true) })
	h.commit(putBody(3), putQueue(1, 3, 3, true), deleteQueue(1, 3, 3, true))
	h.both(func() { h.body(2, true); h.body(3, false) })
}

func sharedBodies(h *harness) {
	h.commit(putSession(1), putSession(2), putSession(3))
	h.commit(putBody(1), putQueue(1, 1, 1, false), putQueue(2, 1, 1, false), putQueue(3, 1, 1, false))
	h.commit(deleteQueue(2, 1, 1, false))
	h.commit(deleteQueue(1, 1, 1, false))
	h.body(1, true)
	h.commit(deleteQueue(3, 1, 1, false))
	h.both(func() { h.body(1, false) })
	// Put and delete within one batch.
	h.commit(putQueue(1, 2, 2, false), putBody(2), putQueue(2, 2, 2, false), deleteQueue(1, 2, 2, false))
	h.body(2, true)
	h.commit(deleteQueue(2, 2, 2, false), deleteQueue(2, 2, 2, false))
	h.both(func() { h.body(2, false) })
}

// repeatedDeletes would lose a message if deletes were counted without looking at the rows.
func repeatedDeletes(h *harness) {
	h.commit(putSession(1), putSession(2), putSession(3), putBody(1),
		putQueue(1, 1, 1, false), putQueue(2, 1, 1, false), putQueue(3, 1, 1, false))
	h.commit(deleteQueue(1, 1, 1, false), deleteQueue(1, 1, 1, false), deleteQueue(1, 1, 1, false))
	h.commit(deleteQueue(1, 1, 1, false))
	h.commit(deleteSession(2), deleteQueue(2, 1, 1, false))
	h.commit(deleteQueue(2, 1, 1, false))
	h.both(func() { h.body(1, true) })
	h.commit(deleteQueue(3, 1, 1, false))
	h.both(func() { h.body(1, false) })
}

func sharedAcrossReopen(h *harness) {
	h.commit(putSession(1), putSession(2), putBody(1), putQueue(1, 1, 1, false), putQueue(2, 1, 1, false))
	h.reopen()
	h.commit(deleteQueue(1, 1, 1, false)) // perhaps before the pointers are counted
	h.both(func() { h.body(1, true) })
	h.reopen()
	h.commit(deleteQueue(2, 1, 1, false))
	h.both(func() { h.body(1, false) })
}

func movedPointers(h *harness) {
	h.commit(putSession(1), putSession(2), putBody(1), putQueue(1, 1, 1, true))
	h.commit(putQueue(2, 1, 1, true), deleteQueue(1, 1, 1, false))
	h.both(func() { h.body(1, true) })
	h.commit(deleteSession(1))
	h.both(func() { h.body(1, true) })
	h.commit(deleteQueue(2, 1, 1, true))
	h.both(func() { h.body(1, false) })
}

func counters(h *harness) {
	check := func(session store.SessionID, body store.BodyID) {
		h.Helper()
		h.both(func() {
			h.Helper()
			if s, b := h.store.Counters(); s < session || b < body {
				h.Errorf("Counters() = %d, %d, want at least %d, %d", s, b, session, body)
			}
		})
	}
	check(0, 0)
	h.commit(putSession(70_000), putBody(5), putQueue(70_000, 1, 5, true))
	check(70_000, 5)
	h.commit(deleteSession(70_000))
	check(70_000, 5)
	h.commit(putWill(70_001, 1), putSession(3), putBody(1<<40), putQueue(3, 1, 1<<40, true))
	h.commit(store.Op{Kind: store.DeleteWill, Session: 70_001}, deleteQueue(3, 1, 1<<40, true))
	check(70_001, 1<<40)
}

func largeValues(h *harness) {
	payload := bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16)
	topic := string(bytes.Repeat([]byte("t"), 65535))
	big := store.Op{Kind: store.PutBody, Body: 1, Message: Message(topic, payload, 1)}
	queue := putQueue(1, 1, 1, true)
	for i := range uint32(store.MaxSubscriptionIDs) {
		queue.Pointer.SubscriptionIDs = append(queue.Pointer.SubscriptionIDs, i)
	}
	ops := []store.Op{
		putSession(1), putSubscription(1, topic, 1), big, queue,
		{Kind: store.PutRetained, Message: big.Message},
		putMeta("k", string(payload[:store.MaxMeta])),
	}
	model := NewModel()
	model.Apply(&store.Batch{Ops: ops})
	h.commit(ops...)
	h.both(func() { h.Helper(); h.compare("large", model.State(), 1, "k") })
}

func queuePages(h *harness) {
	ops := []store.Op{putSession(1), putSession(2), putQueue(2, 1, 500, true)}
	for ord := store.Ord(10); ord <= 100; ord += 10 {
		ops = append(ops, putQueue(1, ord, store.BodyID(ord), true))
	}
	h.commit(ops...)
	h.both(func() {
		for _, c := range []struct {
			from  store.Ord
			limit int
			want  []store.Ord
		}{
			{1, 3, []store.Ord{10, 20, 30}},
			{20, 2, []store.Ord{20, 30}},
			{21, 2, []store.Ord{30, 40}},
			{91, 5, []store.Ord{100}},
			{101, 5, nil},
			{1, 0, nil},
		} {
			rows, err := h.store.Queue(1, c.from, c.limit)
			if err != nil {
				h.Fatal(err)
			}
			var got []store.Ord
			for _, r := range rows {
				got = append(got, r.Ord)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				h.Errorf("from %d, %d rows: %v, want %v", c.from, c.limit, got, c.want)
			}
		}
		if rows, err := h.store.Queue(77, 1, 10); err != nil || len(rows) != 0 {
			h.Errorf("queue of no session: %v, %v", rows, err)
		}
	})
}

func retainedIndependent(h *harness) {
	m := Message("t", []byte("first"), 2)
	h.commit(putSession(1), store.Op{Kind: store.PutBody, Body: 1, Message: m}, putQueue(1, 1, 1, true),
		store.Op{Kind: store.PutRetained, Message: m})
	h.commit(putRetained("t", 7))
	h.both(func() {
		if got, err := h.store.Body(1); err != nil || string(got.Payload()) != "first" {
			h.Errorf("queued message after the retained one was replaced: %v", err)
		}
	})
	h.commit(deleteQueue(1, 1, 1, true))
	model := NewModel()
	model.Apply(&store.Batch{Ops: []store.Op{putSession(1), putRetained("t", 7)}})
	h.both(func() { h.Helper(); h.compare("queue row deleted", model.State(), 1) })
}

func willWithoutSession(h *harness) {
	h.commit(putWill(5, 1))
	model := NewModel()
	model.Apply(&store.Batch{Ops: []store.Op{putWill(5, 1)}})
	h.both(func() { h.Helper(); h.compare("will", model.State(), 0) })
	h.commit(deleteSession(5))
	h.both(func() { h.Helper(); h.compare("session deleted", NewModel().State(), 0) })
}

// readWhileReading would deadlock if a view held a lock that readers or the committer need.
func readWhileReading(h *harness) {
	h.commit(putSession(1), putBody(1), putQueue(1, 1, 1, true), putRetained("t", 1), putWill(1, 1), putMeta("k", "v"))
	stop := errors.New("stop")
	read := func(n string) error {
		if err := h.try(putMeta("k", n)); err != nil {
			return err
		}
		rows, err := h.store.Queue(1, 1, 1)
		if err != nil || len(rows) != 1 {
			h.Errorf("queue: %v, %v", rows, err)
		}
		return stop
	}
	for name, err := range map[string]error{
		"sessions": h.store.Sessions(func(store.SessionRow) error { return read("sessions") }),
		"retained": h.store.Retained(func(*message.Message) error { return read("retained") }),
		"wills":    h.store.Wills(func(store.SessionID, store.Will) error { return read("wills") }),
		"metadata": h.store.MetaRows("k", func(string, []byte) error { return read("metadata") }),
	} {
		if !errors.Is(err, stop) {
			h.Errorf("%s returned %v, not what yield did", name, err)
		}
	}
}

// metaByPrefix shows that names are found by how they begin, that deleted ones are gone, and that what is read is the
// caller's.
func metaByPrefix(h *harness) {
	h.commit(putMeta("a", "0"), putMeta("b/1", "one"), putMeta("b/2", "two"), putMeta("b/\xff", "high"), putMeta("c", "3"))
	h.commit(store.Op{Kind: store.DeleteMeta, Key: "b/2"}, store.Op{Kind: store.DeleteMeta, Key: "absent"})
	h.both(func() {
		h.Helper()
		for range 2 { // what the first reading changes, the second does not see
			var got []string
			err := h.store.MetaRows("b/", func(key string, value []byte) error {
				got = append(got, key+"="+string(value))
				clear(value)
				return nil
			})
			if want := []string{"b/1=one", "b/\xff=high"}; err != nil || !slices.Equal(got, want) {
				h.Errorf("got %q, %v, want %q", got, err, want)
			}
		}
	})
}
