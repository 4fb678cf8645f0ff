package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"syscall"
)

// BusyError says that an address cannot be listened on because somebody else does, and who that is as far as the
// system shows it.
type BusyError struct {
	Address netip.AddrPort
	PID     int    // 0 when the system does not show it
	Process string // name of the process, printable; "" when the system does not show it
	Err     error  // what listen returned
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("listen on %v: %s", e.Address, e.Why())
}

// Why is the reason without the address.
func (e *BusyError) Why() string {
	switch {
	case e.PID != 0 && e.Process != "":
		return fmt.Sprintf("the address is in use by %s (process %d)", e.Process, e.PID)
	case e.PID != 0:
		return fmt.Sprintf("the address is in use by process %d", e.PID)
	default:
		return "the address is in use by another process"
	}
}

// Hint is what to do next when addresses are given on the command line.
func (e *BusyError) Hint() string {
	return e.HintOr("choose another port, for example --listen mqtt://" + netip.AddrPortFrom(e.Address.Addr(), e.Address.Port()+1).String())
}

// HintOr is what to do next; other is what can be done besides stopping whoever has the address.
func (e *BusyError) HintOr(other string) string {
	if e.PID != 0 {
		return "stop it (kill " + strconv.Itoa(e.PID) + "), or " + other
	}
	return "find it with: ss -ltnp 'sport = :" + strconv.Itoa(int(e.Address.Port())) + "' (as root), or " + other
}

func (e *BusyError) Unwrap() error { return e.Err }

// Busy turns the error of listening on address into a *BusyError when the address is taken, and returns any other
// error, nil included, as it is.
func Busy(address netip.AddrPort, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	pid, process := holder(address)
	return &BusyError{Address: address, PID: pid, Process: process, Err: err}
}
