package psktls

import "net"

// listener wraps a net.Listener. It has no state of its own.
type listener struct {
	net.Listener

	settings  *settings
	configErr error
}

// NewListener makes a listener whose Accept gives *Conn as net.Conn. Accept
// never runs a handshake, so that a slow client does not hold up the others;
// call HandshakeContext on the connection, on a goroutine of its own. If config
// is not valid for a server, Accept gives that error and accepts nothing;
// Config.ValidateServer tells beforehand.
func NewListener(inner net.Listener, config *Config) net.Listener {
	s, err := config.compile(false)
	return &listener{Listener: inner, settings: s, configErr: err}
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	if l.configErr != nil {
		return nil, l.configErr
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &Conn{transport: conn, settings: l.settings}, nil
}
