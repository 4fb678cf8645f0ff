package audit

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Options say where and how a Log writes.
type Options struct {
	File       string        // current file; rotated ones are beside it
	Key        string        // file of the signing key; made when it is missing
	Rotate     int64         // bytes above which a new file begins
	Keep       int           // rotated files that are kept
	Checkpoint time.Duration // longest time that lines wait for a signature
	// Continue lets the broker go on when lines cannot be written, and counts them. Without it Admit refuses.
	Continue bool
	Log      *slog.Logger
	// Open opens the current file for appending; nil is the operating system's. For tests of full disks.
	Open func(name string) (File, error)
}

// File is what a Log needs of its file.
type File interface {
	Write(b []byte) (int, error)
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
	Close() error
}

const (
	queueLength     = 2048             // entries that wait for the writer
	batchLength     = 256              // entries written at once
	checkpointAfter = 1000             // entries
	syncEvery       = time.Second      // longest time that a line waits for the disk
	retryEvery      = time.Second      // after a failed write
	closeTimeout    = 10 * time.Second // for what waits at the end
	refusalRate     = 100.0            // refusals per second and layer with a line of their own, averaged
	refusalBurst    = 1000.0           // at once
)

// Log appends entries. Its methods are safe for concurrent use and never wait for the disk, except Open and Close.
type Log struct {
	options Options
	queue   chan Entry
	closing chan struct{}
	done    chan struct{}
	once    sync.Once

	failed atomic.Pointer[error] // why nothing can be written now
	lost   atomic.Int64          // entries, since the start
	unsaid atomic.Int64          // of them, not yet said in a line

	mu     sync.Mutex
	budget map[string]*budget // by layer

	w writer // of the goroutine
}

// budget is how many refusals of a layer may have a line.
type budget struct {
	left       float64
	refilled   time.Time
	suppressed int64
	said       time.Time // when that was last accounted for
}

// ErrFull means that entries come faster than they can be written.
var ErrFull = errors.New("more entries wait for the audit file than fit into memory")

// Open opens or creates the log, checks the current file, goes on with its chain and starts writing. What a crash left
// behind the last checkpoint is set aside and noted. A file that was changed is a *Bad: then nothing is written, so that
// nothing covers it up.
func Open(o Options) (*Log, error) {
	if o.Open == nil {
		o.Open = openFile
	}
	key, err := loadKey(o.Key)
	if err != nil {
		return nil, err
	}
	l := &Log{
		options: o, queue: make(chan Entry, queueLength), closing: make(chan struct{}), done: make(chan struct{}),
		budget: map[string]*budget{},
	}
	l.w = writer{o: &l.options, key: key}
	if err := l.w.open(); err != nil {
		return nil, err
	}
	go l.run()
	return l, nil
}

// Add appends an entry, or counts it as lost when there is no room.
func (l *Log) Add(e *Entry) { _ = l.add(e) }

func (l *Log) add(e *Entry) error {
	entry := *e
	entry.cut()
	if entry.Time.IsZero() {
		entry.Time = time.Now()
	}
	entry.Time = entry.Time.UTC()
	select {
	case <-l.closing:
		return errClosed
	default:
	}
	select {
	case l.queue <- entry:
		return nil
	default:
		l.lose(1)
		return ErrFull
	}
}

var errClosed = errors.New("the audit file is closed")

func (l *Log) lose(n int64) {
	l.lost.Add(n)
	l.unsaid.Add(n)
}

// AddRefusal appends the entry of a refusal, within what its layer may write: a flood of refusals must not push what else
// happened out of the files that are kept. What was left out is counted in a line of its own.
func (l *Log) AddRefusal(e *Entry) {
	l.mu.Lock()
	b := l.budget[e.Layer]
	now := time.Now()
	if b == nil {
		b = &budget{left: refusalBurst, refilled: now}
		l.budget[e.Layer] = b
	}
	b.left = min(refusalBurst, b.left+now.Sub(b.refilled).Seconds()*refusalRate)
	b.refilled = now
	if b.left < 1 {
		b.suppressed++
		l.mu.Unlock()
		return
	}
	b.left--
	l.mu.Unlock()
	l.Add(e)
}

// Admit appends the entry of a login. Unless the log may go on without, an error says that it is not recorded, because the
// disk is full or too much waits, and that the login must be refused.
func (l *Log) Admit(e *Entry) error {
	if l.options.Continue {
		l.Add(e)
		return nil
	}
	if err := l.Failed(); err != nil {
		return err
	}
	return l.add(e)
}

// Failed says why nothing can be written at present; nil when it can.
func (l *Log) Failed() error {
	if p := l.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// Lost is how many entries could not be written since the start.
func (l *Log) Lost() int64 { return l.lost.Load() }

// Close writes what waits, signs it and closes the file. What cannot be written within ten seconds is lost, and said in the
// error.
func (l *Log) Close() error {
	l.once.Do(func() { close(l.closing) })
	select {
	case <-l.done:
	case <-time.After(closeTimeout + 2*retryEvery):
		return errors.New("the audit file does not take what waits")
	}
	return l.w.closed
}

// run is the writer goroutine.
func (l *Log) run() {
	defer close(l.done)
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		var batch []Entry
		select {
		case e := <-l.queue:
			batch = l.take(append(batch, e))
		case <-tick.C:
		case <-l.closing:
			l.finish()
			return
		}
		batch = l.accounts(batch, false)
		for {
			err := l.w.write(batch)
			l.tell(err)
			if err == nil {
				break
			}
			select { // the queue fills meanwhile, and what does not fit is counted
			case <-time.After(retryEvery):
			case <-l.closing:
				l.lose(int64(len(batch)))
				l.finish()
				return
			}
		}
	}
}

// take adds what else waits, up to the length of a batch.
func (l *Log) take(batch []Entry) []Entry {
	for len(batch) < batchLength {
		select {
		case e := <-l.queue:
			batch = append(batch, e)
		default:
			return batch
		}
	}
	return batch
}

// accounts adds the lines about what has no line. A flood that goes on is accounted for about once a second, all of it at
// the end.
func (l *Log) accounts(batch []Entry, all bool) []Entry {
	now := time.Now().UTC()
	if n := l.unsaid.Swap(0); n > 0 {
		batch = append(batch, Entry{Time: now, Kind: Lost, Times: n})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for layer, b := range l.budget {
		if b.suppressed > 0 && (all || now.Sub(b.said) >= syncEvery) {
			batch = append(batch, Entry{Time: now, Kind: Suppressed, Layer: layer, Times: b.suppressed})
			b.suppressed, b.said = 0, now
		}
	}
	return batch
}

// tell keeps whether writing works, and says when that changes.
func (l *Log) tell(err error) {
	before := l.Failed()
	switch {
	case err != nil:
		l.failed.Store(&err)
	default:
		l.failed.Store(nil)
	}
	consequence := "logins are refused until it works again"
	if l.options.Continue {
		consequence = "the broker goes on without a record"
	}
	switch {
	case err != nil && before == nil:
		l.options.Log.Error("the audit file cannot be written: "+consequence, "file", l.options.File, "err", err)
	case err == nil && before != nil:
		l.options.Log.Info("the audit file is written again", "file", l.options.File, "lost", l.lost.Load())
	}
}

// finish writes the rest and signs it.
func (l *Log) finish() {
	deadline := time.Now().Add(closeTimeout)
	for {
		batch := l.accounts(l.take(nil), true)
		if len(batch) == 0 {
			break
		}
		err := l.w.write(batch)
		for err != nil && time.Now().Before(deadline) {
			time.Sleep(retryEvery / 10)
			err = l.w.write(batch)
		}
		if err != nil {
			l.lose(int64(len(batch)))
			l.w.closed = fmt.Errorf("%d audit entries are lost: %w", l.lost.Load(), err)
			break
		}
	}
	l.w.closed = errors.Join(l.w.closed, l.w.close())
}

// PublicKey is what Verify takes.
func (l *Log) PublicKey() ed25519.PublicKey { return l.w.key.Public().(ed25519.PublicKey) }
