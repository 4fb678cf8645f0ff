package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/sealmq/sealmq/internal/broker"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/payload"
	"github.com/sealmq/sealmq/internal/privfile"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

const (
	// coverageFile holds, within node.data_dir, who complies with the payload rules.
	coverageFile  = "coverage.json"
	maxCoverage   = 64 << 20 // bytes
	coverageEvery = time.Minute
	maxPassphrase = 4 << 10 // bytes of its file
	// sessionSpent is how many messages a session of the broker seals before the next one takes its place: half of what
	// there is, so that a look each minute is often enough.
	sessionSpent = 1 << 31
)

// payloads is the broker's payload policy with its keys.
type payloads struct {
	policy *payload.Policy
	file   string // of the coverage; "" when nothing is kept

	mu       sync.Mutex // guards sessions and config
	sessions map[string]*protect.Session
	config   *config.Config // in force
	spent    uint32         // sessionSpent, less in tests
	stop     chan struct{}
	done     sync.WaitGroup
}

// openPayload makes the policy on top of the store that keeps its replay rows. A policy without rules costs nothing, and a
// reload may bring some.
func (n *Node) openPayload(c *config.Config, s engine) error {
	replay, err := payload.NewReplay(replayRows{n, s})
	if err != nil {
		return fmt.Errorf("replay state: %w", err)
	}
	p := &n.payload
	p.sessions, p.stop, p.spent = map[string]*protect.Session{}, make(chan struct{}), sessionSpent
	p.policy = payload.New(payload.Options{Replay: replay, Clock: time.Now, Log: n.log})
	if c.Storage.Engine != config.EngineMemory {
		p.file = filepath.Join(c.Node.DataDir, coverageFile)
		b, err := privfile.Read(p.file, maxCoverage)
		if err == nil {
			err = p.policy.LoadCoverage(b)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			n.log.Warn("who complies with the payload rules is counted anew", "file", p.file, "err", err)
		}
	}
	commit, err := p.prepare(c)
	if err != nil {
		return err
	}
	commit()
	p.done.Go(func() { p.keepCoverage(n) })
	return nil
}

// prepare reads the keys again and checks the rules against them.
func (p *payloads) prepare(c *config.Config) (commit func(), err error) {
	var keys payload.Keys
	if c.Keys.Dir != "" {
		dir, err := openKeys(&c.Keys)
		if err != nil {
			return nil, err
		}
		keys = payload.Keys{
			Ring: dir.Ring(), Described: dir.Described,
			Session: func(rec *keyring.Record) (*protect.Session, error) { return p.session(dir, rec) },
			Budget:  func(rec *keyring.Record) protect.Limiter { return dir.Budget(rec) },
		}
	}
	inForce, err := p.policy.Prepare(c.PayloadSettings(), c.ACL.Groups, keys)
	if err != nil {
		return nil, fmt.Errorf("payload policy: %w", err)
	}
	return func() {
		p.mu.Lock()
		p.config = c
		p.mu.Unlock()
		inForce()
	}, nil
}

// openKeys reads the broker's keyring.
func openKeys(k *config.Keyring) (*keyring.Dir, error) {
	var secret keyring.Secret
	if k.Passphrase != "" {
		b, err := privfile.Read(k.Passphrase, maxPassphrase)
		if err != nil {
			return nil, fmt.Errorf("keys.passphrase_file: %w", err)
		}
		line, _, _ := bytes.Cut(b, []byte("\n"))
		secret = keyring.NewSecret(bytes.TrimSuffix(line, []byte("\r")))
		clear(b)
		defer secret.Destroy()
	}
	dir, err := keyring.Open(k.Dir, secret)
	if err != nil {
		return nil, fmt.Errorf("keys.dir: %w", err)
	}
	return dir, nil
}

// session returns the one session of this process under a key; its boot number is on disk before.
func (p *payloads) session(dir *keyring.Dir, rec *keyring.Record) (*protect.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.sessions[string(rec.KID)]; s != nil && s.Used() < p.spent {
		return s, nil
	}
	s, err := protect.OpenSession(dir.Boot(rec.KID))
	if err == nil {
		p.sessions[string(rec.KID)] = s
	}
	return s, err
}

// keepCoverage writes the counters down now and then.
func (p *payloads) keepCoverage(n *Node) {
	tick := time.NewTicker(coverageEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := p.saveCoverage(); err != nil {
				n.log.Warn("who complies with the payload rules is not written down", "err", err)
			}
			if err := p.renewSessions(); err != nil {
				n.log.Error("the broker seals under a session that comes to its end", "err", err)
			}
		case <-p.stop:
			return
		}
	}
}

// renewSessions replaces the sessions that have sealed half of what they can.
func (p *payloads) renewSessions() error {
	p.mu.Lock()
	c, spent := p.config, false
	for _, s := range p.sessions {
		spent = spent || s.Used() >= p.spent
	}
	p.mu.Unlock()
	if !spent {
		return nil
	}
	commit, err := p.prepare(c)
	if err == nil {
		commit()
	}
	return err
}

func (p *payloads) saveCoverage() error {
	if p.file == "" {
		return nil
	}
	b, err := p.policy.SaveCoverage()
	if err != nil || b == nil {
		return err
	}
	return privfile.Write(p.file, b)
}

// close ends what openPayload began.
func (p *payloads) close() error {
	if p.policy == nil {
		return nil
	}
	close(p.stop)
	p.done.Wait()
	return p.saveCoverage()
}

// replayRows keeps replay rows among the metadata of the store.
type replayRows struct {
	n *Node
	s engine
}

// Each implements payload.Rows.
func (r replayRows) Each(prefix string, yield func(key string, value []byte) error) error {
	return r.s.MetaRows(prefix, yield)
}

// Put implements payload.Rows.
func (r replayRows) Put(key string, value []byte) {
	r.commit(store.Op{Kind: store.PutMeta, Key: key, Value: value})
}

// Delete implements payload.Rows.
func (r replayRows) Delete(key string) { r.commit(store.Op{Kind: store.DeleteMeta, Key: key}) }

func (r replayRows) commit(op store.Op) {
	r.s.Commit(&store.Batch{Ops: []store.Op{op}}, func(err error) {
		if err != nil && !errors.Is(err, store.ErrClosed) {
			r.n.log.Error("replay state not written", "err", err)
		}
	})
}

var _ broker.PayloadPolicy = (*payload.Policy)(nil)

// renew seals retained messages again whose keys were rotated.
func (n *Node) renew() {
	if renewed := n.broker.Renew(); renewed > 0 {
		n.log.Info("retained messages sealed again under the present key", "count", renewed)
	}
	if count, name := n.payload.policy.Unprotected(); count > 0 {
		n.log.Warn("retained messages are older than the payload rules of their topics and less than they require: they are still delivered; "+
			"see sealmq admin retained", "count", count, "such_as", name)
	}
}
