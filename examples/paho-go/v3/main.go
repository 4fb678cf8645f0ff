// Command v3 sends one sealed message to itself through any MQTT 3.1.1 broker, with the client Eclipse Paho:
//
//	sealmq keys new demo --type encrypt --topics 'demo/#' --keyring keys
//	go run ./v3 127.0.0.1:1883 keys demo
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	sealed "github.com/sealmq/sealmq/examples/paho-go"
)

const patience = 10 * time.Second

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 4 {
		return fmt.Errorf("usage: v3 HOST:PORT KEYRING KEY")
	}
	payloads, err := sealed.New(os.Args[2], os.Args[3], [8]byte{'p', 'a', 'h', 'o', 0, 0, 0, 3})
	if err != nil {
		return err
	}
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + os.Args[1]).SetClientID("sealed-v3").SetProtocolVersion(4))
	if err := wait(c.Connect()); err != nil {
		return err
	}
	defer c.Disconnect(250)
	const topic = "demo/v3"
	done := make(chan error, 1)
	received := func(_ mqtt.Client, m mqtt.Message) {
		text, label, err := payloads.Open(m.Topic(), m.Payload(), m.Retained())
		if err == nil {
			fmt.Printf("%s %s (%s)\n", m.Topic(), text, label)
		}
		done <- err
	}
	if err := wait(c.Subscribe(topic, 1, received)); err != nil {
		return err
	}
	payload, err := payloads.Seal(topic, []byte("hello from paho"))
	if err != nil {
		return err
	}
	if err := wait(c.Publish(topic, 1, false, payload)); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		return errors.New("nothing came back")
	}
}

// wait bounds the wait for an answer of the broker.
func wait(t mqtt.Token) error {
	if !t.WaitTimeout(patience) {
		return errors.New("the broker does not answer")
	}
	return t.Error()
}
