package observe

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Notifier tells the service manager how the process is (sd_notify(3)): a datagram to the socket of $NOTIFY_SOCKET.
// Without one every method does nothing. It is safe for concurrent use.
type Notifier struct {
	conn     *net.UnixConn // nil without a service manager
	watchdog time.Duration // 0 without one
}

// NewNotifier reads $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID. An error means that a service manager waits for
// messages that cannot be sent; the Notifier is usable all the same.
func NewNotifier(getenv func(string) string, pid int) (*Notifier, error) {
	n := &Notifier{}
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return n, nil
	}
	if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "@") {
		return n, fmt.Errorf("NOTIFY_SOCKET: %q is neither a path nor an abstract socket", path)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return n, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	n.conn = conn
	if p := getenv("WATCHDOG_PID"); p == "" || p == strconv.Itoa(pid) {
		if usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
			n.watchdog = time.Duration(usec) * time.Microsecond
		}
	}
	return n, nil
}

// WatchdogInterval is how often Alive is wanted: half the time after which the service manager gives the process up. 0
// means never.
func (n *Notifier) WatchdogInterval() time.Duration { return n.watchdog / 2 }

// Ready says that the start, or a reload, is complete; status is a line for people.
func (n *Notifier) Ready(status string) { n.send("READY=1\nSTATUS=" + oneLine(status)) }

// Reloading says that the configuration is read again. Ready ends it.
func (n *Notifier) Reloading() {
	n.send("RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(monotonic().Microseconds(), 10))
}

// Stopping says that the process is about to end.
func (n *Notifier) Stopping() { n.send("STOPPING=1") }

// Alive feeds the watchdog.
func (n *Notifier) Alive() { n.send("WATCHDOG=1") }

// Close gives the socket back.
func (n *Notifier) Close() {
	if n.conn != nil {
		_ = n.conn.Close()
	}
}

// send writes one datagram. A service manager that does not listen is not told, and nothing else can be done about it.
func (n *Notifier) send(state string) {
	if n.conn != nil {
		_, _ = n.conn.Write([]byte(state))
	}
}

func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' }), " ")
}
