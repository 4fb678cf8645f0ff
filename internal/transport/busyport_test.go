package transport

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestBusyNamesTheHolder listens twice: the second attempt must name this very process.
func TestBusyNamesTheHolder(t *testing.T) {
	for _, bind := range []string{"127.0.0.1:0", "[::1]:0"} {
		first, err := net.Listen("tcp", bind)
		if err != nil {
			t.Logf("skipped: no address %s on this machine: %v", bind, err)
			continue
		}
		defer first.Close() //nolint:errcheck // test
		address := first.Addr().(*net.TCPAddr).AddrPort()
		second, err := net.Listen("tcp", address.String())
		if err == nil {
			second.Close() //nolint:errcheck // test
			t.Fatal("two listeners on one address")
		}
		err = Busy(address, err)
		var busy *BusyError
		if !errors.As(err, &busy) || !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatalf("got %v, want a *BusyError that wraps EADDRINUSE", err)
		}
		if !strings.Contains(err.Error(), address.String()) || !strings.Contains(busy.Hint(), "--listen mqtt://") {
			t.Errorf("error %q, hint %q", err, busy.Hint())
		}
		if runtime.GOOS == "linux" && (busy.PID != os.Getpid() || busy.Process == "") {
			t.Errorf("holder is process %d %q, want %d", busy.PID, busy.Process, os.Getpid())
		}
	}
}

func TestBusyLeavesOtherErrors(t *testing.T) {
	if Busy(netip.AddrPort{}, nil) != nil || Busy(netip.AddrPort{}, io.EOF) != io.EOF {
		t.Error("an error that is not about a taken address was changed")
	}
}

func TestBusyWords(t *testing.T) {
	address := netip.MustParseAddrPort("127.0.0.1:1883")
	for _, c := range []struct {
		e          BusyError
		text, hint string
	}{
		{BusyError{Address: address, PID: 7, Process: "mosquitto"}, "in use by mosquitto (process 7)", "kill 7"},
		{BusyError{Address: address, PID: 7}, "in use by process 7", "mqtt://127.0.0.1:1884"},
		{BusyError{Address: address}, "in use by another process", "ss -ltnp 'sport = :1883'"},
	} {
		if !strings.Contains(c.e.Error(), c.text) || !strings.Contains(c.e.Hint(), c.hint) {
			t.Errorf("%v; %v", c.e.Error(), c.e.Hint())
		}
	}
}
