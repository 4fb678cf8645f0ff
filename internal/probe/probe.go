// Package probe looks at a broker as an ordinary client that knows nothing: which protocol versions and TLS versions it
// speaks, whether it lets anyone in, what it allows and which limits it tells. It makes a bounded number of short
// connections, one after the other, publishes nothing, guesses no passwords, and ends every subscription at once.
package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Options say what is looked at.
type Options struct {
	Target   string         // HOST, HOST:PORT, or mqtt://HOST[:PORT], mqtts://HOST[:PORT]
	Roots    *x509.CertPool // nil: those of the system
	Username string         // with Password: log in with it, over TLS or on loopback only
	Password []byte
	Timeout  time.Duration // of one connection; 0 is DefaultTimeout
}

// DefaultTimeout is for one connection from dialling to the last answer.
const DefaultTimeout = 5 * time.Second

// mostConnections bounds what one endpoint has to bear.
const mostConnections = 12

// Report is what was seen.
type Report struct {
	Target    string     `json:"target"`
	Endpoints []Endpoint `json:"endpoints"`
}

// Endpoint is one address and what spoke there.
type Endpoint struct {
	URL         string    `json:"url"`
	Reachable   bool      `json:"reachable"`
	Loopback    bool      `json:"loopback"`
	Error       string    `json:"error,omitempty"` // why nothing can be said
	TLS         *TLS      `json:"tls,omitempty"`
	Versions    []Version `json:"versions,omitempty"`
	Anonymous   bool      `json:"anonymous"`     // a client without login is let in
	AsksLogin   bool      `json:"asks_login"`    // and is refused for want of one
	LoggedIn    bool      `json:"logged_in"`     // what follows was seen with the given login
	LoginClear  bool      `json:"login_skipped"` // the given login was not sent, because the connection is not encrypted
	Limits      *Limits   `json:"limits,omitempty"`
	Granted     []Grant   `json:"subscriptions,omitempty"`
	Connections int       `json:"connections"` // how many were made
}

// Version is a protocol version.
type Version struct {
	Name     string `json:"name"` // "3.1", "3.1.1" or "5.0"
	Accepted bool   `json:"accepted"`
	Answer   string `json:"answer"`
}

// Limits are what CONNACK of MQTT 5 tells, with the standard's defaults filled in.
type Limits struct {
	ReceiveMaximum    int    `json:"receive_maximum"`
	MaximumQoS        int    `json:"maximum_qos"`
	MaximumPacketSize int64  `json:"maximum_packet_size"` // 0: none told
	TopicAliasMaximum int    `json:"topic_alias_maximum"`
	ServerKeepAlive   int    `json:"server_keep_alive"` // 0: the client's holds
	Retain            bool   `json:"retain"`
	Wildcards         bool   `json:"wildcard_subscriptions"`
	Shared            bool   `json:"shared_subscriptions"`
	SubscriptionIDs   bool   `json:"subscription_identifiers"`
	AuthMethod        string `json:"authentication_method,omitempty"`
}

// Grant is the answer to one subscription.
type Grant struct {
	Filter  string `json:"filter"`
	Granted bool   `json:"granted"`
	Answer  string `json:"answer"`
}

// ErrTarget is the error of a target that cannot be understood.
var ErrTarget = errors.New("not HOST, HOST:PORT, mqtt://HOST[:PORT] or mqtts://HOST[:PORT]")

// endpoint is where to look.
type endpoint struct {
	host, port string
	secure     bool
}

func (e endpoint) url() string {
	scheme := "mqtt"
	if e.secure {
		scheme = "mqtts"
	}
	return scheme + "://" + e.address()
}

func (e endpoint) address() string { return net.JoinHostPort(e.host, e.port) }

// endpoints of a target: both usual ports of a bare host; both ways to speak of a port.
func endpoints(target string) ([]endpoint, error) {
	if scheme, _, ok := strings.Cut(target, "://"); ok {
		u, err := url.Parse(target)
		if err != nil || u.Hostname() == "" || u.User != nil || scheme != "mqtt" && scheme != "mqtts" {
			return nil, ErrTarget
		}
		e := endpoint{u.Hostname(), u.Port(), scheme == "mqtts"}
		if e.port == "" {
			e.port = map[bool]string{true: "8883", false: "1883"}[e.secure]
		}
		return []endpoint{e}, nil
	}
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		host = strings.Trim(target, "[]")
		if host == "" || strings.ContainsAny(host, "/ @?#") {
			return nil, ErrTarget
		}
		return []endpoint{{host, "1883", false}, {host, "8883", true}}, nil
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || host == "" {
		return nil, ErrTarget
	}
	return []endpoint{{host, port, false}, {host, port, true}}, nil
}

// Run looks. The error is ErrTarget, or that of ctx; a broker that does not answer is part of the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	list, err := endpoints(o.Target)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", o.Target, err)
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	r := &Report{Target: o.Target}
	for _, e := range list {
		l := look{o: &o, e: e}
		r.Endpoints = append(r.Endpoints, l.run(ctx))
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	// A port speaks one of the two; the other attempt says nothing worth reading.
	if len(r.Endpoints) == 2 && list[0].port == list[1].port {
		switch {
		case r.Endpoints[0].Reachable:
			r.Endpoints = r.Endpoints[:1]
		case r.Endpoints[1].Reachable:
			r.Endpoints = r.Endpoints[1:]
		}
	}
	return r, nil
}

// look is one endpoint under way.
type look struct {
	o      *Options
	e      endpoint
	result Endpoint
}

func (l *look) run(ctx context.Context) Endpoint {
	l.result = Endpoint{URL: l.e.url()}
	if l.e.secure {
		l.tls(ctx)
		if l.result.TLS == nil {
			return l.result
		}
	}
	l.versions(ctx)
	l.session(ctx)
	return l.result
}

// dial opens a connection, of TLS where the endpoint has it. Certificates are looked at and not believed: what is sent is
// nothing secret, unless it was verified before.
func (l *look) dial(ctx context.Context, config *tls.Config) (net.Conn, error) {
	if l.result.Connections >= mostConnections {
		return nil, errors.New("enough connections for one look")
	}
	l.result.Connections++
	d := net.Dialer{Timeout: l.o.Timeout}
	c, err := d.DialContext(ctx, "tcp", l.e.address())
	if err != nil {
		return nil, err
	}
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		l.result.Loopback = a.IP.IsLoopback()
	}
	if err := c.SetDeadline(time.Now().Add(l.o.Timeout)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if !l.e.secure {
		return c, nil
	}
	if config == nil {
		config = l.config(tls.VersionTLS12, tls.VersionTLS13)
	}
	t := tls.Client(c, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return t, nil
}
