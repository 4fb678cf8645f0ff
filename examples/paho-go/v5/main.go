// Command v5 sends one sealed message to itself through any MQTT 5 broker, with the client Eclipse Paho:
//
//	sealmq keys new demo --type encrypt --topics 'demo/#' --keyring keys
//	go run ./v5 127.0.0.1:1883 keys demo
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/eclipse/paho.golang/paho"

	sealed "github.com/sealmq/sealmq/examples/paho-go"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 4 {
		return fmt.Errorf("usage: v5 HOST:PORT KEYRING KEY")
	}
	payloads, err := sealed.New(os.Args[2], os.Args[3], [8]byte{'p', 'a', 'h', 'o', 0, 0, 0, 5})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := net.Dial("tcp", os.Args[1])
	if err != nil {
		return err
	}
	const topic = "demo/v5"
	done := make(chan error, 1)
	c := paho.NewClient(paho.ClientConfig{
		Conn: conn,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			text, label, err := payloads.Open(r.Packet.Topic, r.Packet.Payload, r.Packet.Retain)
			if err == nil {
				fmt.Printf("%s %s (%s)\n", r.Packet.Topic, text, label)
			}
			done <- err
			return true, nil
		}},
	})
	if _, err := c.Connect(ctx, &paho.Connect{ClientID: "sealed-v5", CleanStart: true, KeepAlive: 30}); err != nil {
		return err
	}
	defer c.Disconnect(&paho.Disconnect{}) //nolint:errcheck // the end
	if _, err := c.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: topic, QoS: 1}}}); err != nil {
		return err
	}
	payload, err := payloads.Seal(topic, []byte("hello from paho"))
	if err != nil {
		return err
	}
	if _, err := c.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Payload: payload}); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
