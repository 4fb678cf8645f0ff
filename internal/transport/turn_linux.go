package transport

import (
	"encoding/binary"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// longestRun is how long a reader whose socket always has more goes on before others get a turn.
const longestRun = time.Millisecond

// turn makes a goroutine wait until the runtime has asked the kernel which sockets are readable. A goroutine that only
// yields does not have that effect: as long as one is ready to run, the runtime asks every 10 ms, and a client that sends
// without end would delay the others by as much. It is an eventfd, which becomes readable together with the sockets.
type turn struct {
	raw   syscall.RawConn
	asked bool
	step  func(fd uintptr) (done bool)
}

// turns has those that nobody uses. As many as fit in there exist, each from its first use until the process ends.
var (
	turns     = make(chan *turn, 8)
	turnsMade = make(chan struct{}, cap(turns)) // a token for each that exists
)

// takeTurn lets others go first, if few goroutines are doing so now.
func takeTurn() {
	var t *turn
	select {
	case t = <-turns:
	default:
		if t = newTurn(); t == nil {
			return
		}
	}
	t.asked = false
	_ = t.raw.Read(t.step)
	turns <- t
	runtime.Gosched() // those that were found readable are ready to run now
}

// newTurn is nil when there are enough, or no file descriptor is left.
func newTurn() *turn {
	select {
	case turnsMade <- struct{}{}:
	default:
		return nil
	}
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err == nil {
		t := new(turn)
		t.step = t.ask
		if t.raw, err = os.NewFile(uintptr(fd), "turn").SyscallConn(); err == nil {
			return t
		}
	}
	<-turnsMade
	return nil
}

// ask makes the eventfd readable once, and is done when the runtime has seen that.
func (t *turn) ask(fd uintptr) (done bool) {
	if t.asked {
		return true
	}
	t.asked = true
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, err := transfer(syscall.SYS_WRITE, fd, one[:])
	return err != nil
}
