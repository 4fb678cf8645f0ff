package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

// subCommand prints messages; letters as in mosquitto_sub.
type subCommand struct {
	Topics       []string `short:"t" name:"topic" sep:"none" placeholder:"FILTER" group:"Subscription" help:"Topic filter. Can be repeated."`
	QoS          int      `short:"q" name:"qos" default:"0" env:"SEALMQ_QOS" group:"Subscription" help:"Highest quality of service to receive: 0, 1 or 2."`
	Unsubscribe  []string `short:"U" sep:"none" placeholder:"FILTER" group:"Subscription" help:"Topic filter to unsubscribe from. Can be repeated."`
	NoLocal      bool     `name:"no-local" group:"Subscription" help:"Not the messages of this client itself (MQTT 5)."`
	RetainHandle string   `name:"retain-handling" enum:"always,new,never" default:"always" group:"Subscription" help:"Retained messages: always, only for a new subscription, or never (MQTT 5)."`
	RetainAsPub  bool     `name:"retain-as-published" group:"Subscription" help:"Keep the retain flag of the publisher (MQTT 5)."`
	Count        int      `short:"C" name:"count" placeholder:"N" group:"Selection" help:"Exit after so many messages."`
	ExitAfterSub bool     `short:"E" name:"exit-after-sub" group:"Selection" help:"Exit when the broker has acknowledged the subscriptions."`
	NoRetained   bool     `short:"R" name:"no-retained" group:"Selection" help:"Do not print retained messages."`
	FilterOut    []string `short:"T" name:"filter-out" sep:"none" placeholder:"FILTER" group:"Selection" help:"Topic filter of messages not to print. Can be repeated."`
	Wait         duration `short:"W" name:"wait" placeholder:"SECONDS" group:"Selection" help:"Exit with code 27 after this time."`
	RetainedOnly bool     `name:"retained-only" group:"Selection" help:"Print retained messages, and exit at the first other one."`
	RemoveRetain bool     `name:"remove-retained" group:"Selection" help:"Remove the retained messages that come; -T spares some."`
	RandomFilter float64  `name:"random-filter" default:"100" placeholder:"PERCENT" group:"Selection" help:"Print only so many of a hundred messages, at random."`
	Format       text     `short:"F" name:"format" placeholder:"FORMAT" group:"Output" help:"Output format, as of mosquitto_sub: %t topic, %p payload, %x hexadecimal, %q QoS, %r retain, %l length, %m packet id, %j and %J JSON, %I and %U time, %A %C %D %E %F %P %R %S properties, @X strftime, \\\\n and other escapes."`
	NoEndOfLine  bool     `short:"N" name:"no-newline" group:"Output" help:"No end of line after a message."`
	Verbose      bool     `short:"v" group:"Output" help:"Topic before the payload."`
	Pretty       bool     `name:"pretty" group:"Output" help:"Indent JSON of -F %j and %J."`

	openFlags       `embed:""`
	credentialFlags `embed:""`
	keyringFlags    `embed:""`
	brokerFlags     `embed:""`
}

// Example is the first line of the command's help.
func (*subCommand) Example() string { return "sealmq sub -t plant/+/temp -v" }

// Run subscribes and prints until it has what was asked for.
func (c *subCommand) Run(ctx context.Context, a *app) error {
	cfg, fromURL, err := c.clientConfig(a)
	if err != nil {
		return err
	}
	if fromURL != "" {
		c.Topics = append(c.Topics, fromURL)
	}
	if err := c.check(); err != nil {
		return err
	}
	print, err := c.printer()
	if err != nil {
		return err
	}
	opening, err := c.protect(a, &cfg)
	if err != nil {
		return err
	}
	cfg.ManualAcks = true // a message is acknowledged when it is printed
	if cfg.ReceiveMaximum == 0 {
		cfg.ReceiveMaximum = 65535 // the standard's default; some brokers do not keep to less
	}
	cfg.Hooks.SubscriptionLost = func(e *client.SubscribeError) { a.warn(e.Error()) }
	if c.Wait > 0 {
		timed, cancel := context.WithTimeoutCause(ctx, time.Duration(c.Wait), errTimedOut)
		defer cancel()
		ctx = timed
	}
	conn, err := client.Dial(ctx, cfg)
	if err == nil {
		s := &subscriber{c, a, conn, print, opening, 0}
		err = s.run(ctx)
		err = errors.Join(err, c.goodbye(ctx, conn))
	}
	if opening != nil {
		if closed := opening.Close(); closed != nil {
			return &failure{exitProtection, "cannot keep the replay state", closed.Error(), "what was delivered now may be delivered again", closed}
		}
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return clientFailure(err)
}

// errTimedOut is the end that -W asks for.
var errTimedOut = &failure{exitTimedOut, "timed out", "the time of -W is over", "", nil}

func (c *subCommand) goodbye(ctx context.Context, conn *client.Client) error {
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	props, err := c.Properties.of("disconnect")
	return errors.Join(err, conn.Disconnect(bye, &mqtt.Disconnect{Properties: props}))
}

// check refuses combinations of flags that make no sense, before anything is sent.
func (c *subCommand) check() error {
	v5 := c.NoLocal || c.RetainHandle != "always" || c.RetainAsPub
	switch {
	case len(c.Topics) == 0 && len(c.Unsubscribe) == 0:
		return usageError("no topic given", "", "add -t FILTER, such as -t 'plant/#'")
	case c.NoRetained && c.RetainedOnly:
		return usageError("cannot use -R together with --retained-only", "nothing would be printed", "")
	case c.Count < 0:
		return usageError(fmt.Sprintf("cannot use -C %d", c.Count), "it must be 1 or more", "")
	case c.RandomFilter < 0.1 || c.RandomFilter > 100:
		return usageError(fmt.Sprintf("cannot use --random-filter %v", c.RandomFilter), "it must be 0.1 to 100", "")
	case c.Open == "raw" && (c.Require != "" || c.MaxAge != 0 || c.KeepReplay):
		return usageError("cannot use --open raw with --require, --max-age or --keep-replay-state", "raw checks nothing", "")
	case c.Format != "" && c.Verbose:
		return usageError("cannot use -v together with -F", "both say how to print", "put %t into the format")
	case v5 && c.Protocol != "5" && c.Protocol != "mqttv5":
		return usageError("cannot use --no-local, --retain-handling or --retain-as-published", "they need MQTT 5", "leave out -V")
	}
	for _, list := range [][]string{c.Topics, c.Unsubscribe} {
		for _, f := range list {
			if _, _, err := topic.ParseSubscription(f); err != nil {
				return usageError("cannot use the topic filter", err.Error(), "quote filters that hold # or $ for the shell")
			}
		}
	}
	for _, f := range c.FilterOut {
		if _, err := topic.ParseFilter(f); err != nil {
			return usageError("cannot use -T", err.Error(), "")
		}
	}
	return nil
}

// subscriber is one run of the command.
type subscriber struct {
	*subCommand
	app   *app
	conn  *client.Client
	print printer
	open  *protecting.Opening // nil: payloads are shown as they come
	count int
}

func (s *subscriber) run(ctx context.Context) error {
	if err := s.subscribe(ctx); err != nil {
		return err
	}
	if s.ExitAfterSub || len(s.Topics) == 0 {
		return nil
	}
	for {
		m, err := s.conn.Receive(ctx)
		if err != nil {
			return err
		}
		done, err := s.message(ctx, m)
		m.Ack()
		if done || err != nil {
			return err
		}
	}
}

// subscribe sends the subscriptions and the unsubscriptions. That some are refused is a warning, that all are is the
// end.
func (s *subscriber) subscribe(ctx context.Context) error {
	q, err := parseQoS(s.QoS, "-q")
	if err != nil {
		return err
	}
	if len(s.Topics) > 0 {
		if err := s.request(ctx, q); err != nil {
			return err
		}
	}
	if len(s.Unsubscribe) > 0 {
		props, err := s.Properties.of("unsubscribe")
		if err != nil {
			return err
		}
		if _, err := s.conn.UnsubscribeWith(ctx, props, s.Unsubscribe...); err != nil {
			return err
		}
	}
	return nil
}

func (s *subscriber) request(ctx context.Context, q mqtt.QoS) error {
	props, err := s.Properties.of("subscribe")
	if err != nil {
		return err
	}
	handling := map[string]byte{"always": 0, "new": 1, "never": 2}[s.RetainHandle]
	subs := make([]mqtt.Subscription, len(s.Topics))
	for i, f := range s.Topics {
		subs[i] = mqtt.Subscription{
			Filter: f, QoS: q, NoLocal: s.NoLocal, RetainAsPublished: s.RetainAsPub, RetainHandling: handling,
		}
	}
	codes, err := s.conn.SubscribeWith(ctx, props, subs...)
	var refused *client.SubscribeError
	if err == nil || !errors.As(err, &refused) {
		return err
	}
	granted := 0
	for i, code := range codes {
		if !code.IsError() {
			granted++
			continue
		}
		if len(codes) > 1 {
			s.app.warn(fmt.Sprintf("cannot subscribe to %q: %s", s.Topics[i], withReason(code, refused.ReasonString)))
		}
	}
	if granted > 0 {
		return nil
	}
	return err
}

// message handles one message; done is true when it was the last.
func (s *subscriber) message(ctx context.Context, m *client.Message) (done bool, err error) {
	if s.RetainedOnly && !m.Retain {
		return true, nil
	}
	if s.NoRetained && m.Retain || s.filtered(m.Topic) {
		return false, nil
	}
	if s.RemoveRetain && m.Retain {
		// With QoS 0 nothing here waits for an answer of the broker, which could be behind messages that wait for this loop.
		// The DISCONNECT at the end leaves after it on the same connection.
		if err := s.conn.PublishAsync(ctx, &client.Message{Topic: m.Topic, Retain: true}, nil); err != nil {
			return false, err
		}
	}
	if s.RandomFilter < 100 && rand.Float64()*100 >= s.RandomFilter { //nolint:gosec // not a secret
		return false, nil
	}
	shown, deliver, err := s.unseal(m)
	if err != nil || !deliver {
		return false, err
	}
	out, err := s.printed(m, shown)
	if err != nil {
		s.app.warn(err.Error()) // and on, as mosquitto_sub does: the message counts
	} else if _, err := s.app.stdout.Write(out); err != nil {
		return false, fmt.Errorf("write the message: %w", err)
	}
	s.count++
	return s.count == s.Count, nil
}

func (s *subscriber) filtered(name string) bool {
	for _, f := range s.FilterOut {
		if topic.Filter(f).Matches(topic.Name(name)) {
			return true
		}
	}
	return false
}
