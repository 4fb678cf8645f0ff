package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/mqtt"
)

// pubCommand publishes messages; letters as in mosquitto_pub.
type pubCommand struct {
	Topic       string   `short:"t" group:"Message" help:"Topic to publish to."`
	Message     *text    `short:"m" placeholder:"TEXT" group:"Message" help:"Payload."`
	File        string   `short:"f" placeholder:"FILE" group:"Message" help:"Payload from a file."`
	Lines       bool     `short:"l" name:"stdin-line" group:"Message" help:"One message for each line of standard input."`
	Null        bool     `short:"n" name:"null-message" group:"Message" help:"Empty payload; with -r it removes the retained message."`
	Stdin       bool     `short:"s" name:"stdin-file" group:"Message" help:"All of standard input as one payload."`
	QoS         int      `short:"q" name:"qos" default:"0" env:"SEALMQ_QOS" group:"Message" help:"Quality of service: 0, 1 or 2."`
	Retain      bool     `short:"r" group:"Message" help:"The broker keeps the message for later subscribers."`
	Repeat      int      `name:"repeat" default:"1" placeholder:"N" group:"Message" help:"Publish so many times; not with -l."`
	RepeatDelay duration `name:"repeat-delay" placeholder:"SECONDS" group:"Message" help:"Pause between repetitions."`

	Checksum string `name:"checksum" enum:"prefix,raw" default:"prefix" group:"Protection" help:"Form of --protect checksum: prefix or raw."`

	protectFlags    `embed:""`
	credentialFlags `embed:""`
	keyringFlags    `embed:""`
	brokerFlags     `embed:""`
}

// Example is the first line of the command's help.
func (*pubCommand) Example() string { return "sealmq pub -t plant/2/temp -m 21.5 -q 1" }

const maxPayload = mqtt.MaxRemainingLength // what is left for the payload is less; the encoder says when it is too much

// Run publishes and waits until the broker has acknowledged.
func (c *pubCommand) Run(ctx context.Context, a *app) error {
	if c.Key != "" && c.Cert == "" && (c.Protect != string(protecting.LevelNone) || c.WillProtect != "") {
		c.KeyNames, c.Key = append([]string{c.Key}, c.KeyNames...), "" // not the key of a certificate
	}
	cfg, fromURL, err := c.clientConfig(a)
	if err != nil {
		return err
	}
	if c.Topic == "" {
		c.Topic = fromURL
	}
	m, err := c.message(a)
	if err != nil {
		return err
	}
	if err := c.protect(a, &cfg, m); err != nil {
		return err
	}
	cfg.NoReconnect = !c.Lines // a line that waits may go out later; a single message is tried once
	conn, err := client.Dial(ctx, cfg)
	if err != nil {
		return clientFailure(interrupted(ctx, protectionFailure(err)))
	}
	if c.Lines {
		err = c.publishLines(ctx, a, conn, m)
	} else {
		err = c.publishRepeated(ctx, a, conn, m)
	}
	bye, bound := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer bound()
	goodbye, propErr := c.Properties.of("disconnect")
	closed := conn.Disconnect(bye, &mqtt.Disconnect{Properties: goodbye})
	return clientFailure(interrupted(ctx, protectionFailure(errors.Join(err, propErr, closed))))
}

// protect sets up sealing and the credential. Everything that can be refused is refused here, before anything is
// connected: the message is sealed once to see that its key may be used on its topic.
func (c *pubCommand) protect(a *app, cfg *client.Config, m *client.Message) error {
	unused := c.Protect == string(protecting.LevelNone) && c.WillProtect == "" && len(c.KeyNames)+len(c.To) == 0 && c.TTL == 0
	if unused && c.Credential == "" && c.CredentialKey == "" && c.ServerName == "" {
		return nil
	}
	var keys *protecting.Keys
	if len(c.KeyNames)+len(c.To) > 0 || c.Credential != "" {
		var err error
		if keys, err = c.open(a); err != nil {
			return err
		}
	}
	if err := c.credentialFlags.apply(keys, cfg); err != nil || unused {
		return err
	}
	p, err := c.sealing(a, keys, cfg, checksumForm(c.Checksum))
	if err != nil {
		return err
	}
	if p.Publish != nil {
		if _, err := p.Publish.Seal(m.Topic, nil, false); err != nil {
			return keyFailure(err)
		}
	}
	cfg.Protector = p
	return nil
}

// interrupted puts an interrupt in front of the errors that it caused.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// message checks the flags and builds the message, without the payload in the case of -l.
func (c *pubCommand) message(a *app) (*client.Message, error) {
	sources := 0
	for _, given := range []bool{c.Message != nil, c.File != "", c.Lines, c.Null, c.Stdin} {
		if given {
			sources++
		}
	}
	switch {
	case c.Topic == "":
		return nil, usageError("no topic given", "", "add -t TOPIC")
	case sources == 0:
		return nil, usageError("no message given", "", "add one of -m TEXT, -f FILE, -l, -n, -s")
	case sources > 1:
		return nil, usageError("more than one message given", "-m, -f, -l, -n and -s exclude each other", "")
	case c.Repeat < 1 || c.Lines && c.Repeat > 1:
		return nil, usageError(fmt.Sprintf("cannot use --repeat %d", c.Repeat), "it must be 1 or more, and 1 with -l", "")
	case c.Stdin && c.PasswordFile == "-", c.Lines && c.PasswordFile == "-":
		return nil, usageError("cannot read password and message from standard input", "", "put one of them into a file")
	}
	q, err := parseQoS(c.QoS, "-q")
	if err != nil {
		return nil, err
	}
	m := &client.Message{Topic: c.Topic, QoS: q, Retain: c.Retain}
	props, err := c.Properties.of("publish")
	if err != nil {
		return nil, err
	}
	if props.Present != 0 {
		m.Properties = &props
	}
	switch {
	case c.Message != nil:
		m.Payload = []byte(*c.Message)
	case c.File != "":
		m.Payload, err = readPayloadFile(c.File)
	case c.Stdin:
		m.Payload, err = readPayload(a.stdin, "standard input")
	}
	return m, err
}

func readPayloadFile(name string) ([]byte, error) {
	f, err := os.Open(name) //nolint:gosec // named by the user
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return readPayload(f, name)
}

func readPayload(r io.Reader, name string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxPayload+1))
	if err == nil && len(b) > maxPayload {
		err = &failure{exitFailed, "cannot publish " + name, "it is larger than any MQTT message (256 MB)", "", nil}
	}
	return b, err
}

// publishRepeated publishes one message, once or more.
func (c *pubCommand) publishRepeated(ctx context.Context, a *app, conn *client.Client, m *client.Message) error {
	for i := range c.Repeat {
		if i > 0 && c.RepeatDelay > 0 {
			select {
			case <-time.After(time.Duration(c.RepeatDelay)):
			case <-conn.Done():
				return conn.Err()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := conn.Publish(ctx, m); err != nil {
			return err
		}
		c.published(a, m)
	}
	return nil
}

// publishLines publishes each line of standard input, with as many in flight as the broker allows.
func (c *pubCommand) publishLines(ctx context.Context, a *app, conn *client.Client, m *client.Message) error {
	var mu sync.Mutex // guards refused
	var refused error
	in := bufio.NewReaderSize(a.stdin, 64<<10)
	for {
		line, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(line) > 0 || err == nil {
			m.Payload = bytes.TrimSuffix(line, []byte("\n"))
			sent := conn.PublishAsync(ctx, m, func(_ client.Ack, err error) {
				if err != nil {
					mu.Lock()
					refused = errors.Join(refused, err)
					mu.Unlock()
				}
			})
			if sent != nil {
				return sent
			}
			c.published(a, m)
		}
		mu.Lock()
		failed := refused
		mu.Unlock()
		if failed != nil {
			return failed
		}
		if err != nil {
			break
		}
	}
	err := conn.Flush(ctx)
	mu.Lock()
	defer mu.Unlock()
	return errors.Join(refused, err)
}

// readLine reads up to and including a newline, within the size of a message.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxPayload {
			return nil, &failure{exitFailed, "cannot publish a line", "it is longer than any MQTT message (256 MB)", "", nil}
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// publishedLine is one line of pub --json.
type publishedLine struct {
	Schema string `json:"schema"`
	Time   string `json:"time"`
	Topic  string `json:"topic"`
	QoS    int    `json:"qos"`
	Retain bool   `json:"retain"`
	Bytes  int    `json:"bytes"`
}

// published tells scripts what was done.
func (c *pubCommand) published(a *app, m *client.Message) {
	if !c.JSON {
		return
	}
	line, _ := json.Marshal(publishedLine{ // cannot fail: strings and numbers
		"sealmq.published/1", time.Now().UTC().Format(time.RFC3339Nano), m.Topic, int(m.QoS), m.Retain, len(m.Payload),
	})
	writef(a.stdout, "%s\n", line)
}
