package protecting

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// rotating is one publisher under load. What seals can be exchanged while it runs.
type rotating struct {
	name   string
	keys   *Keys
	seal   atomic.Pointer[Sealing]
	total  atomic.Int64
	later  atomic.Int64 // number of the first message under the next epoch; 0 before
	failed error
}

// run publishes until stop is closed, one message after the other.
func (r *rotating) run(ctx context.Context, c *client.Client, stop <-chan struct{}) {
	for i := int64(1); ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		s := r.seal.Load()
		topic := "p/" + r.name
		b, err := s.Seal(topic, fmt.Appendf(nil, "%s %d", r.name, i), false)
		if err == nil {
			err = c.Publish(ctx, &client.Message{Topic: topic, Payload: b, QoS: mqtt.AtLeastOnce})
		}
		if err != nil {
			r.failed = err
			return
		}
		r.total.Store(i)
	}
}

// await waits until n more messages have left.
func (r *rotating) await(t *testing.T, n int64) {
	t.Helper()
	until := r.total.Load() + n
	for end := time.Now().Add(30 * time.Second); r.total.Load() < until; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: %d messages: %v", r.name, r.total.Load(), r.failed)
		}
	}
}

// received collects what a member opens, and how much it does not.
type received struct {
	mu      sync.Mutex
	got     map[string]int
	unknown int
	other   []error
}

func (r *received) count() (opened, refused int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got), r.unknown + len(r.other)
}

// member subscribes with a keyring.
func member(t *testing.T, server, id string, k *Keys) *received {
	t.Helper()
	r := &received{got: map[string]int{}}
	c, err := client.Dial(t.Context(), client.Config{
		Server: server, ClientID: id, CleanStart: true,
		Protector: &Protector{Receive: opening(t, k, OpenOptions{Require: LevelEncrypt.Requirement(), Filters: []string{"p/#"}})},
		Hooks: client.Hooks{Rejected: func(_ *client.Message, err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if errors.Is(err, protect.ErrUnknownKey) {
				r.unknown++
				return
			}
			r.other = append(r.other, err)
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subscribe(t.Context(), mqtt.Subscription{Filter: "p/#", QoS: mqtt.AtLeastOnce}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			m, err := c.Receive(ctx)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.got[string(m.Payload)]++
			r.mu.Unlock()
		}
	}()
	t.Cleanup(func() { cancel(); <-done; _ = c.Close(context.Background()) })
	return r
}

// TestRotationUnderLoad: two publishers change to the next epoch at different times and never stop. The member that was
// given it opens every message; the one that was left out opens those of the old epoch and none of the next.
func TestRotationUnderLoad(t *testing.T) {
	server := openBroker(t)
	office, press, stays, leaves := newKeys(t), newKeys(t), newKeys(t), newKeys(t)
	epoch1 := add(t, "plant", keyring.UseR, office, press, stays, leaves)
	exporter := add(t, "office", keyring.UseSign, office, press, stays)
	pressKey, staysKey := add(t, "press", keyring.UseEnc, press), add(t, "stays", keyring.UseEnc, stays)

	in, out := member(t, server, "stays", stays), member(t, server, "leaves", leaves)
	publishers := []*rotating{{name: "office", keys: office}, {name: "press", keys: press}}
	stop := make(chan struct{})
	var running sync.WaitGroup
	for _, r := range publishers {
		r.seal.Store(sealing(t, r.keys, SealOptions{Level: LevelEncrypt, Keys: []string{"plant"}}))
		c, err := client.Dial(t.Context(), client.Config{Server: server, ClientID: "pub-" + r.name, CleanStart: true})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() { r.run(context.Background(), c, stop); _ = c.Close(context.Background()) })
	}
	publishers[0].await(t, 50)
	publishers[1].await(t, 50)

	epoch2, err := epoch1.Successor()
	if err != nil {
		t.Fatal(err)
	}
	if err := office.Add(epoch2); err != nil {
		t.Fatal(err)
	}
	for to, rec := range map[*Keys]*keyring.Record{press: pressKey, stays: staysKey} {
		serial, err := office.NewSerial(exporter, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		b, err := (&keyring.Bundle{Serial: serial, Issued: time.Now(), Records: []*keyring.Record{epoch1, epoch2}}).Seal(exporter, rec.Public(), false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaves.ImportBundle(b, rec.Public(), exporter.Public()); err == nil {
			t.Fatal("the member that is left out opened the bundle of another")
		}
		if added, err := to.ImportBundle(b, rec, exporter.Public()); err != nil || added != 1 {
			t.Fatalf("%d, %v", added, err)
		}
	}
	for _, r := range publishers { // one after the other, each under load
		r.await(t, 50)
		if err := r.keys.Activate(epoch2.KID); err != nil {
			t.Fatal(err)
		}
		next := sealing(t, r.keys, SealOptions{Level: LevelEncrypt, Keys: []string{"plant"}})
		r.seal.Store(next)
		r.later.Store(r.total.Load() + 2) // the one under way may be of either epoch
		r.await(t, 50)
	}
	publishers[0].await(t, 50)
	close(stop)
	running.Wait()

	total := 0
	for _, r := range publishers {
		if r.failed != nil {
			t.Fatalf("%s: %v", r.name, r.failed)
		}
		total += int(r.total.Load())
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		opened, _ := in.count()
		seen, refused := out.count()
		if opened == total && seen+refused == total || time.Now().After(end) {
			break
		}
	}
	if opened, refused := in.count(); opened != total || refused != 0 {
		t.Errorf("the member opened %d of %d, refused %d: %v", opened, total, refused, in.other)
	}
	for payload, times := range in.got {
		if times != 1 {
			t.Errorf("%q arrived %d times", payload, times)
		}
	}
	for _, r := range publishers {
		for i := int64(1); i <= r.total.Load(); i++ {
			payload := fmt.Sprintf("%s %d", r.name, i)
			switch after := r.later.Load(); {
			case i >= after && out.got[payload] != 0:
				t.Errorf("the member that was left out opened %q of the next epoch", payload)
			case i < after-2 && out.got[payload] != 1:
				t.Errorf("the member that was left out did not open %q of its own epoch", payload)
			}
		}
	}
	if out.unknown < 100 || len(out.other) != 0 {
		t.Errorf("left out: %d of an unknown key, %v", out.unknown, out.other)
	}
	t.Logf("%d messages, %d of the next epoch", total, out.unknown)
}
