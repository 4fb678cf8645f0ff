package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/node"
)

// nodeKey holds a script's running node.
type nodeKey struct{}

// scriptNode is the script command node. "node DIR" starts a broker with its state in DIR and puts its port into $PORT;
// "node" one that keeps nothing, whose control folder goes into $CONTROL. "node stop" stops it, "node await CLIENT"
// waits until a client is connected, "node damage DIR" tears the tables of a stopped broker, "node config FILE" starts one
// as the file says, on a free port of loopback in place of its listeners.
func scriptNode(ts *testscript.TestScript, neg bool, args []string) {
	running, _ := ts.Value(nodeKey{}).(*scripted)
	switch {
	case neg || running == nil:
		ts.Fatalf("usage: node [DIR | stop | await CLIENT | damage DIR]")
	case len(args) == 1 && args[0] == "stop":
		running.stop(ts)
	case len(args) == 2 && args[0] == "damage":
		tables, err := filepath.Glob(filepath.Join(ts.MkAbs(args[1]), "store", "*.sst"))
		ts.Check(err)
		if len(tables) == 0 {
			ts.Fatalf("no tables in %s", args[1])
		}
		for _, t := range tables {
			ts.Check(os.Truncate(t, 100))
		}
	case len(args) == 2 && args[0] == "config":
		running.start(ts, config.Flags{Config: ts.MkAbs(args[1]), Listen: []string{"mqtt://127.0.0.1:0"}})
	case len(args) == 2 && args[0] == "await":
		running.await(ts, args[1])
	default:
		f := config.Flags{Dev: true, Listen: []string{"mqtt://127.0.0.1:0"}}
		if len(args) == 1 {
			f.Data = ts.MkAbs(args[0])
		}
		running.start(ts, f)
	}
}

func (s *scripted) start(ts *testscript.TestScript, f config.Flags) {
	plan, err := config.FromFlags(f)
	ts.Check(err)
	s.node, err = node.Start(context.Background(), plan, slog.New(slog.DiscardHandler), "test")
	ts.Check(err)
	ts.Defer(func() { s.stop(ts) })
	ts.Setenv("PORT", strconv.Itoa(s.node.Addrs()[0].(*net.TCPAddr).Port))
	ts.Setenv("CONTROL", s.node.ControlDir())
}

// scripted is the node of one script; nil inside when none runs.
type scripted struct{ node *node.Node }

func (s *scripted) stop(ts *testscript.TestScript) {
	if s.node == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ts.Check(s.node.Stop(ctx))
	s.node = nil
}

func (s *scripted) await(ts *testscript.TestScript, client string) {
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if i, err := s.node.Broker().Session(client); err == nil && i.Online && i.Subscriptions > 0 {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s does not connect", client)
		}
	}
}
