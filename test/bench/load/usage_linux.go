package load

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what a process has taken so far.
type usage struct {
	cpu      time.Duration // of all its threads, also of those that have ended
	resident int64         // bytes
}

// schedulerClock is the clock of a whole process in clock_gettime(2): the complement of the process, and CPUCLOCK_SCHED. It
// counts nanoseconds, where /proc/PID/stat has ticks of 10 ms.
func schedulerClock(pid int) int32 { return int32(^pid)<<3 | 2 }

func processUsage(pid int) (usage, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(schedulerClock(pid), &t); err != nil {
		return usage{}, err
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return usage{}, err
	}
	f := strings.Fields(string(text))
	if len(f) < 2 {
		return usage{}, errors.New("statm has no resident pages")
	}
	pages, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return usage{}, fmt.Errorf("statm: %w", err)
	}
	return usage{time.Duration(t.Nano()), pages * int64(os.Getpagesize())}, nil
}

func ownCPU() time.Duration {
	u, err := processUsage(os.Getpid())
	if err != nil {
		return 0
	}
	return u.cpu
}

// sleepUntil waits with the precision of the kernel, where the timers of the runtime wait a millisecond at least.
func sleepUntil(at time.Time) {
	if d := time.Until(at); d > 0 {
		t := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&t, nil) // early after a signal: the caller looks at the clock
	}
}

// from makes a dialer use one address of this machine for more connections than it has ports, as long as their targets
// differ: the kernel chooses the port when it knows the target.
func from(d *net.Dialer, ip net.IP) {
	d.LocalAddr = &net.TCPAddr{IP: ip}
	d.Control = func(_, _ string, c syscall.RawConn) error {
		var inner error
		err := c.Control(func(fd uintptr) {
			inner = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		})
		return errors.Join(err, inner)
	}
}
