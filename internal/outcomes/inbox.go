package outcomes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/protect"
)

// event is what became of one message at a receiver: handed to the application, or refused.
type event struct {
	topic   string
	payload []byte // as the application got it; as it came when refused
	err     error  // nil: handed over
}

// report puts a refusal into the words of the table.
func (e *event) report() Report {
	switch {
	case e.err == nil:
		return ReportNone
	case errors.Is(e.err, protecting.ErrNotNew):
		return Duplicate
	case errors.Is(e.err, protect.ErrUnknownKey):
		return NotMine
	case errors.Is(e.err, protect.ErrPolicy):
		return Policy
	case errors.Is(e.err, protect.ErrOpen):
		return Unverified
	}
	return reportFailed
}

// inbox collects what comes, by trial.
type inbox struct {
	mu      sync.Mutex // guards below
	events  map[string][]event
	changed chan struct{} // closed and replaced with each event
}

func newInbox() *inbox { return &inbox{events: map[string][]event{}, changed: make(chan struct{})} }

// trialOf is the part of a topic that names the trial: r/ROUTE/TRIAL.
func trialOf(topic string) string {
	parts := strings.SplitN(topic, "/", 4)
	return strings.Join(parts[:min(len(parts), 3)], "/")
}

func (b *inbox) add(m *client.Message, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	trial := trialOf(m.Topic)
	b.events[trial] = append(b.events[trial], event{m.Topic, m.Payload, err})
	close(b.changed)
	b.changed = make(chan struct{})
}

// wait returns the events of a trial when there are n, or why not.
func (b *inbox) wait(ctx context.Context, trial string, n int) ([]event, error) {
	for {
		b.mu.Lock()
		got, changed := b.events[trial], b.changed
		b.mu.Unlock()
		if len(got) >= n {
			return got, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return got, fmt.Errorf("%d of %d messages came: %w", len(got), n, context.Cause(ctx))
		}
	}
}

// count is how many events a trial has.
func (b *inbox) count(trial string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.events[trial])
}

// reader opens messages for an application. Every trial has a state of its own, so that one cannot disturb the next.
type reader struct {
	keys *protecting.Keys
	m    *Mechanism
	bad  fault

	mu       sync.Mutex // guards openings
	openings map[string]*protecting.Opening
}

// Seal implements client.Protector: a reader does not publish.
func (*reader) Seal(client.Kind, *client.Message) error {
	return errors.New("a reader does not publish")
}

// Open implements client.Protector.
func (r *reader) Open(m *client.Message) error {
	o, err := r.opening(trialOf(m.Topic))
	if err != nil {
		return err
	}
	p := protecting.Protector{Receive: o}
	return p.Open(m)
}

func (r *reader) opening(trial string) (*protecting.Opening, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o := r.openings[trial]; o != nil && r.bad != replayOff {
		return o, nil
	}
	options := protecting.OpenOptions{Require: r.m.require, Checksum: r.m.checksum, Clock: clock}
	if r.bad == protectionOff {
		options = protecting.OpenOptions{Clock: clock}
	}
	o, err := protecting.NewOpening(r.keys, options)
	if err == nil {
		r.openings[trial] = o
	}
	return o, err
}
