package outcomes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/internal/wiretap"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// route is one mechanism under one set of circumstances: a publisher, a reader, and the wires between them and the broker,
// shared by the trials of all attacks.
type route struct {
	lab  *Lab
	m    *Mechanism
	c    *Circumstances
	site *site
	name string // r/NUMBER

	own *protect.Sealer // of the publisher on this route alone; nil: the one of all routes
	sid []byte          // its name on the wire

	in, out   *wiretap.Wire
	publisher *client.Client // nil for a Will
	intruder  *client.Client // of an attacker, straight to the broker; made when needed
	reader    *client.Client
	opens     *reader
	got       *inbox

	mu  sync.Mutex // guards err
	err error      // of an attacker's own work
}

// trial is one attack on a route.
type trial struct {
	attack   *Attack
	leg      string // where a message is altered: LegIn, LegOut, or ""
	topic    string
	text     string
	want     int    // messages that come to the reader
	captured []byte // the first message, as it passed
	altered  bool
	// refusedAs is how the broker refused it; "" when it did not.
	refusedAs Report
}

// Where a message is altered.
const (
	LegIn  = "in"  // between the publisher and the broker
	LegOut = "out" // between the broker and the reader: what an evil broker can do, too
)

// must keeps an error of the attacker's work, which makes the trial worthless.
func (r *route) must(b []byte, err error) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errors.Join(r.err, err)
	return b
}

// open connects who must be connected before anything is sent.
func (r *route) open(ctx context.Context) error {
	var err error
	if r.in, err = wiretap.New(r.site.address, r.c.Version, false); err != nil {
		return err
	}
	if r.m.broker == branchTLS {
		r.out, err = wiretap.New(r.site.secure, r.c.Version, true)
	} else {
		r.out, err = wiretap.New(r.site.address, r.c.Version, false)
	}
	if err != nil {
		return err
	}
	if r.c.Enforced && r.m.Name == "mac" {
		if r.own, r.sid, err = r.lab.people.another(); err != nil {
			return err
		}
	}
	r.got = newInbox()
	r.opens = &reader{keys: r.lab.people.reader, m: r.m, bad: r.lab.fault, openings: map[string]*protecting.Opening{}}
	if !r.c.Will {
		cfg := r.config("publisher")
		cfg.Dial = r.in.Dial(nil)
		if cfg.Protector, err = r.protector(cfg.ClientID); err != nil {
			return err
		}
		if r.publisher, err = client.Dial(ctx, cfg); err != nil {
			return err
		}
	}
	if r.c.Delivery == Retained {
		return nil
	}
	if err := r.connectReader(ctx); err != nil {
		return err
	}
	if err := r.subscribe(ctx, r.name+"/#"); err != nil {
		return err
	}
	if r.c.Delivery == Offline {
		if err := r.reader.Close(ctx); err != nil {
			return err
		}
		return r.site.awaitOffline(ctx, r.name+" reader")
	}
	return nil
}

// protector seals for a connection of the publisher's.
func (r *route) protector(clientID string) (client.Protector, error) {
	if r.own != nil {
		return sealsOnly{r.own}, nil
	}
	s, err := r.lab.sealers[r.m.Name], error(nil)
	if r.m.broker != "" {
		s, err = r.m.sealing(r.lab.people.publisher, clientID)
	}
	return &protecting.Protector{Publish: s, Will: s}, err
}

func (r *route) config(who string) client.Config {
	return client.Config{
		Server: "mqtt://" + r.site.address, Version: r.c.Version, ClientID: r.name + " " + who, CleanStart: true, NoReconnect: true,
		TopicAliasMaximum: -1, ConnectTimeout: patience,
	}
}

func (r *route) connectReader(ctx context.Context) error {
	cfg := r.config("reader")
	cfg.Dial, cfg.Protector = r.out.Dial(nil), r.opens
	if r.m.broker == branchTLS {
		cfg.Server, cfg.Dial = "mqtts://"+r.site.secure, overTLS(cfg.Dial, r.site.tls)
	}
	cfg.Handler = func(m *client.Message) { r.got.add(m, nil) }
	cfg.Hooks.Rejected = r.got.add
	if r.c.Delivery == Offline {
		cfg.CleanStart = false
		cfg.Properties.SetSessionExpiry(3600)
	}
	var err error
	r.reader, err = client.Dial(ctx, cfg)
	return err
}

func (r *route) subscribe(ctx context.Context, filter string) error {
	if r.c.Delivery == Share {
		filter = "$share/readers/" + filter
	}
	_, err := r.reader.Subscribe(ctx, mqtt.Subscription{Filter: filter, QoS: r.c.QoS})
	return err
}

// send publishes a message of the publisher, and returns when the broker has handed it to its operator.
func (r *route) send(ctx context.Context, t *trial, text string) error {
	n := r.site.seen.count(trialOf(t.topic)) + 1
	var err error
	if r.c.Will {
		var p client.Protector
		if p, err = r.protector(r.name + " publisher " + t.topic); err == nil {
			err = r.die(ctx, "publisher", r.in.Dial, p, t.topic, []byte(text))
		}
	} else {
		err = r.publisher.Publish(ctx, r.message(t.topic, []byte(text)))
	}
	if err != nil {
		return err
	}
	_, err = r.site.seen.wait(ctx, trialOf(t.topic), n)
	return err
}

func (r *route) message(topic string, payload []byte) *client.Message {
	return &client.Message{Topic: topic, Payload: payload, QoS: r.c.QoS, Retain: r.c.Delivery == Retained}
}

// inject has an attacker with a connection of his own send bytes as they are.
func (r *route) inject(t *trial, payload []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n := r.site.seen.count(trialOf(t.topic)) + 1
	var err error
	switch {
	case r.c.Will:
		err = r.die(ctx, "intruder", straight(r.site.address), nil, t.topic, payload)
	case r.intruder == nil:
		if r.intruder, err = client.Dial(ctx, r.config("intruder")); err != nil {
			return err
		}
		fallthrough
	default:
		err = r.intruder.Publish(ctx, r.message(t.topic, payload))
	}
	if err != nil {
		return err
	}
	_, err = r.site.seen.wait(ctx, trialOf(t.topic), n)
	return err
}

type dialFunc = func(context.Context, *url.URL) (net.Conn, error)

// straight dials the broker without a wire between.
func straight(address string) func(cut *func()) dialFunc {
	return func(cut *func()) dialFunc {
		return func(ctx context.Context, _ *url.URL) (net.Conn, error) {
			var d net.Dialer
			c, err := d.DialContext(ctx, "tcp", address)
			if err == nil {
				*cut = func() { _ = c.Close() }
			}
			return c, err
		}
	}
}

// die connects with a Will and breaks the connection.
func (r *route) die(ctx context.Context, who string, dial func(*func()) dialFunc, p client.Protector, topic string, payload []byte) error {
	var cut func()
	cfg := r.config(who + " " + topic)
	cfg.Dial, cfg.Protector, cfg.Will = dial(&cut), p, r.message(topic, payload)
	c, err := client.Dial(ctx, cfg)
	if err != nil {
		return err
	}
	cut()
	return c.Close(ctx)
}

// run carries one trial out, up to the point where the reader gets to see it.
func (r *route) run(ctx context.Context, t *trial) error {
	if t.attack.alters != nil {
		w := r.in
		if t.leg == LegOut {
			w = r.out
		}
		w.On(t.topic, func(topic string, payload []byte) (string, []byte) {
			topic, payload = t.attack.alters(r, topic, payload)
			r.mu.Lock()
			defer r.mu.Unlock()
			t.altered = true
			return topic, payload
		})
	}
	if err := r.send(ctx, t, t.text); err != nil {
		return err
	}
	t.want = 1
	if t.attack.injects == nil {
		return nil
	}
	t.captured = r.in.Last(t.topic)
	t.want = 2
	switch {
	case r.c.Delivery == Retained && t.attack.Name == "replay": // it is put back when the reader knows a newer one
		return r.send(ctx, t, t.text+" newer")
	case r.c.Delivery == Retained:
		t.want = 1 // the attacker's replaces it
	}
	return t.attack.injects(r, t)
}

// receive lets the reader have what waits for it, and returns when it has all.
func (r *route) receive(ctx context.Context, trials []*trial) error {
	switch r.c.Delivery {
	case Offline:
		if err := r.connectReader(ctx); err != nil {
			return err
		}
	case Retained:
		if err := r.receiveRetained(ctx, trials); err != nil {
			return err
		}
	}
	for _, t := range trials {
		if _, err := r.got.wait(ctx, trialOf(t.topic), t.want); err != nil {
			return fmt.Errorf("%s %s: %w", t.attack.Name, t.leg, err)
		}
	}
	return nil
}

// receiveRetained subscribes; then, where an old message is to be put back, it goes away and comes again.
func (r *route) receiveRetained(ctx context.Context, trials []*trial) error {
	if err := r.connectReader(ctx); err != nil {
		return err
	}
	if err := r.subscribe(ctx, r.name+"/#"); err != nil {
		return err
	}
	for _, t := range trials {
		if t.attack.Name != "replay" || t.want == 1 { // tried at the broker already
			continue
		}
		if _, err := r.got.wait(ctx, trialOf(t.topic), 1); err != nil {
			return err
		}
		if _, err := r.reader.Unsubscribe(ctx, r.name+"/#"); err != nil {
			return err
		}
		if err := t.attack.injects(r, t); err != nil {
			return err
		}
		if err := r.subscribe(ctx, t.topic); err != nil {
			return err
		}
	}
	return nil
}

// close ends the connections of the route.
func (r *route) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	for _, c := range []*client.Client{r.publisher, r.intruder, r.reader} {
		if c != nil {
			if e := c.Close(ctx); !errors.Is(e, client.ErrClosed) {
				err = errors.Join(err, e)
			}
		}
	}
	for _, w := range []*wiretap.Wire{r.in, r.out} {
		if w != nil {
			err = errors.Join(err, w.Close())
		}
	}
	return err
}

// refusesWill tries to send a Will that the mechanism cannot protect.
func (r *route) refusesWill(ctx context.Context) error {
	p, err := r.protector("")
	if err != nil {
		return err
	}
	err = r.die(ctx, "publisher", r.in.Dial, p, r.name+"/will", []byte(r.text(0)))
	switch {
	case err == nil:
		return errors.New("a Will was sent")
	case !errors.Is(err, protect.ErrSeal):
		return err
	case r.in.Recorded("MQTT"):
		return errors.New("a CONNECT was sent")
	}
	return nil
}

// text is what the publisher says in a trial: a reading that occurs nowhere else.
func (r *route) text(i int) string {
	return "reading " + r.name + "." + strconv.Itoa(i) + " is 21.5 degrees"
}
