// Command mochi is mochi-mqtt as a broker that lets everybody do everything, to be measured:
//
//	mochi HOST:PORT [CERT KEY]
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mochi:", err)
		os.Exit(1)
	}
}

func run(words []string) error {
	if len(words) != 1 && len(words) != 3 {
		return fmt.Errorf("usage: mochi HOST:PORT [CERT KEY]")
	}
	c := listeners.Config{ID: "bench", Address: words[0]}
	if len(words) == 3 {
		pair, err := tls.LoadX509KeyPair(words[1], words[2])
		if err != nil {
			return err
		}
		c.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	}
	s := mqtt.New(nil)
	if err := s.AddHook(new(auth.AllowHook), nil); err != nil {
		return err
	}
	if err := s.AddListener(listeners.NewTCP(c)); err != nil {
		return err
	}
	if err := s.Serve(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	return s.Close()
}
