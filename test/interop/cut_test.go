//go:build interop

package interop_test

import (
	"context"
	"net"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/sealmq/sealmq/client"
)

// cutter dials connections that are cut, without a word, as soon as something was received on them.
func cutter(t *testing.T) client.DialFunc {
	t.Helper()
	return func(ctx context.Context, server *url.URL) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", server.Host)
		if err != nil {
			return nil, err
		}
		return &cutConn{Conn: conn}, nil
	}
}

// cutConn lets one Read through, which is the CONNACK, and then closes.
type cutConn struct {
	net.Conn
	reads atomic.Int32
}

func (c *cutConn) Read(b []byte) (int, error) {
	if c.reads.Add(1) > 1 {
		_ = c.Close()
	}
	return c.Conn.Read(b)
}
