// Package node wires one broker: configuration, store, login, rules and listeners. It is the only place that sees all
// of them, used by the serve command, the tests and whoever embeds a broker.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealmq/sealmq/internal/audit"
	"github.com/sealmq/sealmq/internal/authn"
	"github.com/sealmq/sealmq/internal/broker"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/control"
	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/ops"
	"github.com/sealmq/sealmq/internal/store/memstore"
	"github.com/sealmq/sealmq/internal/store/pebblestore"
	"github.com/sealmq/sealmq/internal/transport"
)

// Node is a running broker with its listeners.
type Node struct {
	broker    *broker.Broker
	listeners []listener
	log       *slog.Logger
	rules     rules
	oracle    atomic.Pointer[oracle]
	login     *authn.Login
	secret    []byte // of the login
	used      usedCredentials
	record    *recorder                     // nil without audit file
	config    atomic.Pointer[config.Config] // in force
	serving   sync.WaitGroup
	failed    chan error
	store     engine
	payload   payloads
	watch     watch // of whoever calls Reload and Poll
	version   string
	stopTidy  context.CancelFunc

	started        atomic.Bool
	down           atomic.Pointer[string]         // why a listener stopped by itself; nil while all run
	findings       atomic.Pointer[map[string]int] // of the doctor; nil when it was not asked
	metered        *meteredLogin
	ops            *ops.Server // nil without
	mosquittoNames bool

	control     *control.Server
	controlDir  string
	controlTemp string // removed with the broker; "" when the socket is in the data folder
}

type listener struct {
	name string
	*transport.Listener
}

// Start opens the store and the listeners of the plan and begins to serve. When it fails, nothing is left open.
func Start(ctx context.Context, plan *config.Plan, log *slog.Logger, version string) (_ *Node, err error) {
	n := &Node{log: log, failed: make(chan error, 1), version: version}
	n.watch.begin(plan.Config.Files())
	if err := n.openOps(ctx, &plan.Config.Ops); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.used.close(), n.closeAudit(), n.closeOps())
		}
	}()
	rules, err := n.rules.prepare(plan.Config)
	if err != nil {
		return nil, err
	}
	rules()
	if n.secret, err = loginSecret(plan.Config); err != nil {
		return nil, err
	}
	store, err := n.openStore(plan.Config)
	if err != nil {
		return nil, err
	}
	n.store = store
	if err := n.openPayload(plan.Config, store); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.payload.close())
		}
	}()
	if err := errors.Join(n.openLogin(plan.Config), n.openAudit(plan.Config)); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	n.config.Store(plan.Config)
	n.broker = broker.New(broker.Options{
		Settings: settings(plan), Store: store, Reader: store, Authenticator: n.metered,
		Authorizer: &n.rules, Payload: n.payload.policy, Log: log, Clock: systemClock{}, Version: version, Recorder: n.recorderOf(),
	})
	socket, err := n.openControl(plan, version)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	if err := n.listen(ctx, plan.Config.Listeners); err != nil {
		return nil, errors.Join(err, n.closeControl(socket), store.Close())
	}
	if err := n.broker.Start(); err != nil {
		n.closeListeners()
		return nil, errors.Join(err, n.closeControl(socket), store.Close())
	}
	n.renew()
	tidying, stopTidy := context.WithCancel(context.WithoutCancel(ctx))
	n.stopTidy = stopTidy
	n.serving.Go(func() { n.tidy(tidying) })
	n.serving.Go(func() {
		if err := n.control.Serve(socket); err != nil {
			n.fail(fmt.Errorf("control socket: %w", err))
		}
	})
	for i := range n.listeners {
		l := &n.listeners[i]
		n.serving.Go(func() {
			if err := n.broker.Serve(l.Listener, l.name); err != nil {
				n.fail(fmt.Errorf("listener %s: %w", l.name, err))
			}
		})
	}
	n.lifecycle(audit.Start)
	n.started.Store(true)
	return n, nil
}

// openLogin makes the authenticator, after the store: its lock has told whether another broker uses the data folder.
func (n *Node) openLogin(c *config.Config) error {
	marks, err := n.used.open(c)
	if err != nil {
		return err
	}
	if n.login, err = authn.New(loginOptions(c, n.secret, marks, n.log)); err != nil {
		return err
	}
	n.metered = meter(n.login)
	n.answerBy(c)
	return nil
}

// fail tells whoever watches Failed, unless somebody has already.
func (n *Node) fail(err error) {
	why := err.Error()
	n.down.CompareAndSwap(nil, &why)
	select {
	case n.failed <- err:
	default:
	}
}

// engine is a store with both of its sides.
type engine interface {
	broker.Store
	broker.StoreReader
	MetaRows(prefix string, yield func(key string, value []byte) error) error
	Close() error
}

// storeFolder is where the disk store lives within node.data_dir.
const storeFolder = "store"

func (n *Node) openStore(c *config.Config) (engine, error) {
	groupDone := func() { n.broker.GroupDone() }
	if c.Storage.Engine == config.EngineMemory {
		return memstore.New(memstore.Options{OnGroup: groupDone}), nil
	}
	if err := os.MkdirAll(c.Node.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if c.Storage.AckBeforeSync {
		n.log.Warn("storage.ack_before_sync: a power failure loses what was acknowledged in the last second")
	}
	return pebblestore.Open(filepath.Join(c.Node.DataDir, storeFolder), pebblestore.Options{
		Logger: n.log, OnGroup: groupDone, AckBeforeSync: c.Storage.AckBeforeSync, Fatal: n.storeFatal,
	})
}

// storeFatal ends the process: what was written may not be on the disk, and going on would acknowledge more of it.
func (n *Node) storeFatal(err error) {
	n.log.Error("the disk can no longer be trusted, the broker stops; nothing that was not on disk was acknowledged", "err", err)
	os.Exit(exitStoreFailed)
}

// exitStoreFailed is the process's exit code after storeFatal.
const exitStoreFailed = 1

func (n *Node) listen(ctx context.Context, list []config.Listener) error {
	for i := range list {
		l, err := transport.Listen(ctx, listenOptions(&list[i]))
		if err != nil {
			n.closeListeners()
			return fmt.Errorf("listener %s: %w", list[i].Name, err)
		}
		n.listeners = append(n.listeners, listener{list[i].Name, l})
	}
	return nil
}

func (n *Node) closeListeners() {
	for i := range n.listeners {
		_ = n.listeners[i].Close()
	}
}

// Broker gives access to counters and administration.
func (n *Node) Broker() *broker.Broker { return n.broker }

// Addrs returns the bound addresses, in the order of the configuration.
func (n *Node) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(n.listeners))
	for i := range n.listeners {
		addrs[i] = n.listeners[i].Addr()
	}
	return addrs
}

// URLs returns how clients name the listeners, in the order of the configuration.
func (n *Node) URLs() []string {
	urls := make([]string, len(n.listeners))
	for i := range n.listeners {
		urls[i] = n.listeners[i].URL()
	}
	return urls
}

// Failed yields an error when a listener stops by itself.
func (n *Node) Failed() <-chan error { return n.failed }

// Reload applies a new plan whose restart-only keys are unchanged, and reads the files of the login and of all listeners
// again. All of it is checked first: after an error nothing has changed. When it returns, connections whose certificate
// or key is no longer good are ended, and subscriptions that the new rules do not allow are gone.
//
// Reload and Poll are called by one goroutine at a time.
func (n *Node) Reload(plan *config.Plan) error {
	changes := config.Diff(n.config.Load(), plan.Config)
	err := n.reload(plan)
	if err == nil {
		n.config.Store(plan.Config)
	}
	n.reloaded(changes, err)
	return err
}

func (n *Node) reload(plan *config.Plan) error {
	var seen watch
	seen.begin(plan.Config.Files())
	rules, err := n.rules.prepare(plan.Config)
	if err != nil {
		return err
	}
	marks, err := n.used.open(plan.Config)
	if err != nil {
		return err
	}
	login, err := n.login.Prepare(loginOptions(plan.Config, n.secret, marks, n.log))
	if err != nil {
		return err
	}
	payloads, err := n.payload.prepare(plan.Config)
	if err != nil {
		return err
	}
	commits := []func(){rules, login, payloads}
	for i := range n.listeners {
		commit, err := n.listeners[i].Prepare()
		if err != nil {
			return fmt.Errorf("listener %s: %w", n.listeners[i].name, err)
		}
		commits = append(commits, commit)
	}
	for _, commit := range commits {
		commit()
	}
	n.watch = seen
	n.broker.Reload(settings(plan))
	n.answerBy(plan.Config)
	if ended := n.broker.Recheck(n.entitled); ended > 0 {
		n.log.Info("connections ended: what they proved is no longer good", "connections", ended)
	}
	if removed := n.broker.RecheckSubscriptions(); removed > 0 {
		n.log.Warn("subscriptions removed, because the rules no longer allow them", "count", removed)
	}
	n.renew()
	return nil
}

var errNoListener = errors.New("the connection's listener is gone")

// entitled asks a connection's listener and, once it has logged in, the login whether they would still let it in.
func (n *Node) entitled(ev *identity.Evidence, p *identity.Principal) error {
	if p != nil {
		if err := n.login.Entitled(*p); err != nil {
			return err
		}
	}
	for i := range n.listeners {
		if n.listeners[i].name == ev.Listener {
			return n.listeners[i].Entitled(ev)
		}
	}
	return errNoListener
}

// Stop ends the broker in order: no new connections, clients are told, what was acknowledged is in the store.
func (n *Node) Stop(ctx context.Context) error {
	n.stopTidy()
	err := errors.Join(n.control.Close(), n.removeControlTemp(), n.broker.Shutdown(ctx), n.closeOps())
	n.serving.Wait()
	n.lifecycle(audit.Stop)
	return errors.Join(err, n.payload.close(), n.used.close(), n.closeAudit(), n.store.Close())
}

type systemClock struct{}

// Now implements broker.Clock.
func (systemClock) Now() time.Time { return time.Now() }
