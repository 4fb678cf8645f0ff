// Command paho5scram logs in with Eclipse Paho for Go, MQTT 5, and SCRAM, and sends itself a message:
// paho5scram PORT CAFILE MECHANISM USER PASSWORD. A CAFILE of "-" means a plain connection. A refused login ends with "refused".
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/xdg-go/scram"
)

const patience = 20 * time.Second

// exchange answers the server's questions.
type exchange struct {
	method string
	conv   *scram.ClientConversation
	failed error
}

// Authenticate implements paho.Auther.
func (e *exchange) Authenticate(a *paho.Auth) *paho.Auth {
	answer, err := e.conv.Step(string(a.Properties.AuthData))
	if err != nil {
		e.failed = err
	}
	return &paho.Auth{ReasonCode: 0x18, Properties: &paho.AuthProperties{AuthMethod: e.method, AuthData: []byte(answer)}}
}

// Authenticated implements paho.Auther.
func (e *exchange) Authenticated() {}

func main() {
	switch err := run(os.Args[1:]); {
	case errors.Is(err, errRefused):
		fmt.Println("refused")
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	default:
		fmt.Println("ok")
	}
}

var errRefused = errors.New("refused")

func dial(port, ca string) (net.Conn, *scram.ChannelBinding, error) {
	if ca == "-" {
		conn, err := net.DialTimeout("tcp", "localhost:"+port, patience)
		return conn, nil, err
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	conn, err := tls.Dial("tcp", "localhost:"+port, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13})
	if err != nil {
		return nil, nil, err
	}
	state := conn.ConnectionState()
	exported, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32) // RFC 9266
	return conn, &scram.ChannelBinding{Type: scram.ChannelBindingTLSExporter, Data: exported}, err
}

func run(args []string) error {
	if len(args) != 5 {
		return errors.New("paho5scram PORT CAFILE MECHANISM USER PASSWORD")
	}
	hash := scram.SHA256
	if args[2] == "SCRAM-SHA-512" {
		hash = scram.SHA512
	}
	user, err := hash.NewClient(args[3], args[4], "")
	if err != nil {
		return err
	}
	conn, binding, err := dial(args[0], args[1])
	if err != nil {
		return err
	}
	e := &exchange{method: args[2], conv: user.NewConversation()}
	if binding != nil {
		e.conv = user.NewConversationWithChannelBinding(*binding)
	}
	first, err := e.conv.Step("")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got := make(chan string, 1)
	c := paho.NewClient(paho.ClientConfig{
		ClientID: "scram", Conn: conn, AuthHandler: e,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			got <- string(r.Packet.Payload)
			return true, nil
		}},
	})
	ack, err := c.Connect(ctx, &paho.Connect{
		ClientID: "scram", KeepAlive: 30, CleanStart: true,
		Properties: &paho.ConnectProperties{AuthMethod: e.method, AuthData: []byte(first)},
	})
	if ack != nil && ack.ReasonCode >= 0x80 {
		return errRefused
	}
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	// The server proves that it knows the password, too.
	if _, err := e.conv.Step(string(ack.Properties.AuthData)); err != nil || !e.conv.Valid() {
		return fmt.Errorf("the server's proof: %v, valid %v", err, e.conv.Valid())
	}
	if _, err := c.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "scram/#", QoS: 1}}}); err != nil {
		return err
	}
	if _, err := c.Publish(ctx, &paho.Publish{Topic: "scram/hello", QoS: 1, Payload: []byte("hello")}); err != nil {
		return err
	}
	select {
	case s := <-got:
		if s != "hello" {
			return fmt.Errorf("got %q", s)
		}
	case <-ctx.Done():
		return errors.New("no message")
	}
	return c.Disconnect(&paho.Disconnect{})
}
