package broker

import "sync"

// flusher writes to the connections that the store's callbacks have touched. The callbacks run in the store's
// goroutine, which must not wait for a socket; they leave a list, and once per group the flusher writes to each
// connection on it.
type flusher struct {
	mu   sync.Mutex
	list []*conn
	kick chan struct{}

	scratch work // of the store's one callback goroutine
}

func (f *flusher) init() { f.kick = make(chan struct{}, 1) }

// callbackWork is the scratch memory for store callbacks, which all run in one goroutine.
func (b *Broker) callbackWork() *work {
	w := &b.flusher.scratch
	w.b, w.now = b, b.now()
	return w
}

// GroupDone is called by the store after the callbacks of each group, in their goroutine.
func (b *Broker) GroupDone() {
	f := &b.flusher
	f.scratch.count()
	if len(f.scratch.touched) == 0 {
		return
	}
	f.mu.Lock()
	f.list = append(f.list, f.scratch.touched...)
	f.mu.Unlock()
	clear(f.scratch.touched)
	f.scratch.touched = f.scratch.touched[:0]
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

// runFlusher writes until the broker ends.
func (b *Broker) runFlusher() {
	f := &b.flusher
	var list []*conn
	for {
		select {
		case <-f.kick:
		case <-b.ctx.Done():
			return
		}
		f.mu.Lock()
		list, f.list = f.list, list[:0]
		f.mu.Unlock()
		for _, c := range list {
			c.flush()
		}
		clear(list)
	}
}
