package load

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// Options say what is done to which broker.
type Options struct {
	Scenario string
	Addr     string // HOST:PORT
	PID      int    // of the broker; 0: its costs are not known
	Version  mqtt.Version
	QoS      mqtt.QoS
	Payload  int // bytes, at least tagSize

	Publishers, Subscribers int
	Window                  int     // messages of a publisher under way
	Batch                   int     // most messages in one write
	Rate                    float64 // messages of all publishers in a second; 0: as the window allows
	Count                   int     // connections, messages or filters, by scenario
	Concurrency             int     // connections that are opened at a time
	Sources                 int     // loopback addresses that connections come from; 0: the kernel's choice
	Record                  int     // idle: bytes that each client sends once before it rests
	Durable                 bool    // sessions outlive their connections
	Warmup, Duration        time.Duration
	Prefix                  string // of topics and Client Identifiers

	Login    bool // with Password as ROLE and number of the client, such as p7
	Password string
	Signing  string // keyring with a signature key for each publisher, named after its login

	TLS     bool
	CA      string // PEM file; "": the server is not verified
	Hybrid  bool   // offer X25519MLKEM768, too
	Resume  bool
	PSK     string // file of pre-shared keys; the login is the identity
	PSKMode string // 1.3, 1.2, or 1.2-plain without forward secrecy
}

// scenarios by name.
var scenarios = map[string]func(*run) error{
	"fanout":        (*run).traffic,
	"fanin":         (*run).traffic,
	"pairs":         (*run).traffic,
	"offline":       (*run).offline,
	"storm":         (*run).storm,
	"idle":          (*run).idle,
	"retained":      (*run).retained,
	"subscriptions": (*run).subscriptions,
}

// ErrOptions is wrapped when the options cannot be used.
var ErrOptions = errors.New("options cannot be used")

// maxClients bounds publishers and subscribers; their numbers have five digits in topics.
const maxClients = 100_000

// Parse reads options from the words of a command line.
func Parse(words []string, help io.Writer) (*Options, error) {
	o := &Options{}
	set := flag.NewFlagSet("load", flag.ContinueOnError)
	set.SetOutput(help)
	set.StringVar(&o.Scenario, "scenario", "fanout", "fanout, fanin, pairs, offline, storm, idle, retained or subscriptions")
	set.StringVar(&o.Addr, "addr", "127.0.0.1:1883", "`HOST:PORT` of the broker")
	set.IntVar(&o.PID, "pid", 0, "process of the broker, for its costs")
	five := set.Bool("v5", false, "MQTT 5 instead of 3.1.1")
	qos := set.Int("qos", 0, "QoS of messages and subscriptions")
	set.IntVar(&o.Payload, "payload", 64, "`bytes` of a payload")
	set.IntVar(&o.Publishers, "pubs", 1, "publishers")
	set.IntVar(&o.Subscribers, "subs", 1, "subscribers; offline: sessions; idle: subscriptions of each client, 0 or 1")
	set.IntVar(&o.Window, "window", 20, "messages of a publisher that are under way")
	set.IntVar(&o.Batch, "batch", 16, "most messages in one write")
	set.Float64Var(&o.Rate, "rate", 0, "messages in a second, each written for itself; 0: as fast as the window allows")
	set.IntVar(&o.Count, "count", 100_000, "offline, retained: messages; subscriptions: filters; idle: connections")
	set.IntVar(&o.Concurrency, "conc", 32, "connections that are opened at a time")
	set.IntVar(&o.Sources, "sources", 0, "loopback addresses (127.0.1.x) to connect from; 0: the kernel's choice")
	set.IntVar(&o.Record, "record", 0, "idle: `bytes` that each client publishes once before it rests")
	set.BoolVar(&o.Durable, "durable", false, "sessions of subscribers outlive their connections")
	set.DurationVar(&o.Warmup, "warmup", time.Second, "time before the window that is measured")
	set.DurationVar(&o.Duration, "dur", 5*time.Second, "window that is measured; idle: how long connections rest; offline: rounds are repeated until it is over")
	set.StringVar(&o.Prefix, "prefix", "bench", "beginning of topics and Client Identifiers")
	set.StringVar(&o.Password, "password", "", "log in with it, as role and number of the client: p0, s0, c0, i0")
	set.StringVar(&o.Signing, "sign", "", "keyring `folder` with a signature key for each publisher; payloads are signed")
	set.BoolVar(&o.TLS, "tls", false, "TLS 1.3")
	set.StringVar(&o.CA, "ca", "", "PEM `file` of the authority; without it the server is not verified")
	set.BoolVar(&o.Hybrid, "hybrid", false, "offer the key exchange X25519MLKEM768 besides X25519")
	set.BoolVar(&o.Resume, "resume", false, "resume TLS sessions")
	set.StringVar(&o.PSK, "psk", "", "`file` of identity:hexkey; TLS with a pre-shared key, whose identity is the client's login")
	set.StringVar(&o.PSKMode, "psk-mode", "1.3", "1.3, 1.2, or 1.2-plain without forward secrecy")
	if err := set.Parse(words); err != nil {
		return nil, err
	}
	if set.NArg() > 0 {
		return nil, fmt.Errorf("%w: %q: no such option", ErrOptions, set.Arg(0))
	}
	o.Version, o.QoS, o.Login = mqtt.V311, mqtt.QoS(*qos), o.Password != ""
	if *five {
		o.Version = mqtt.V5
	}
	if *qos < 0 || *qos > 2 {
		return nil, fmt.Errorf("%w: -qos %d: there are 0, 1 and 2", ErrOptions, *qos)
	}
	return o, o.check()
}

func (o *Options) check() error {
	bounds := []struct {
		flag         string
		is, low, top int
	}{
		{"payload", o.Payload, tagSize, 1 << 20},
		{"pubs", o.Publishers, 1, maxClients},
		{"subs", o.Subscribers, 0, maxClients},
		{"window", o.Window, 1, 65_535},
		{"batch", o.Batch, 1, 4096},
		{"count", o.Count, 1, 100_000_000},
		{"conc", o.Concurrency, 1, 4096},
		{"sources", o.Sources, 0, 254},
		{"record", o.Record, 0, 1 << 20},
	}
	for _, b := range bounds {
		if b.is < b.low || b.is > b.top {
			return fmt.Errorf("%w: -%s %d: it is %d to %d", ErrOptions, b.flag, b.is, b.low, b.top)
		}
	}
	switch {
	case scenarios[o.Scenario] == nil:
		return fmt.Errorf("%w: -scenario %q: there is no such scenario", ErrOptions, o.Scenario)
	case o.Subscribers == 0 && o.Scenario != "idle":
		return fmt.Errorf("%w: -subs 0: %s needs subscribers", ErrOptions, o.Scenario)
	case o.Scenario == "offline" && o.QoS == 0:
		return fmt.Errorf("%w: -qos 0: nothing is kept for sessions that are offline", ErrOptions)
	case o.Rate < 0 || o.Rate > 1e6:
		return fmt.Errorf("%w: -rate %v: it is up to 1,000,000", ErrOptions, o.Rate)
	case o.Rate > 0 && o.Signing != "":
		return fmt.Errorf("%w: -rate and -sign: signing would not keep the pace", ErrOptions)
	case o.Signing != "" && !strings.Contains(" fanout fanin pairs ", " "+o.Scenario+" "):
		return fmt.Errorf("%w: -sign: publishers of %s change their topics, which signers cannot", ErrOptions, o.Scenario)
	case o.TLS && o.PSK != "":
		return fmt.Errorf("%w: -tls and -psk exclude each other", ErrOptions)
	case !strings.Contains(" 1.3 1.2 1.2-plain ", " "+o.PSKMode+" "):
		return fmt.Errorf("%w: -psk-mode %q: there are 1.3, 1.2 and 1.2-plain", ErrOptions, o.PSKMode)
	case o.Warmup < 0 || o.Duration <= 0:
		return fmt.Errorf("%w: -dur %v: it is longer than nothing", ErrOptions, o.Duration)
	}
	return nil
}

// role is what a client does: its letter begins its login.
type role byte

const (
	publishing  role = 'p'
	subscribing role = 's'
	connecting  role = 'c'
	resting     role = 'i'
)

// login is the name that the n-th client of a role logs in with.
func login(r role, n int) string { return fmt.Sprintf("%c%d", r, n) }

// topic is what the n-th publisher publishes to.
func (o *Options) topic(n int) string { return fmt.Sprintf("%s/t/%05d", o.Prefix, n) }

// everyTopic matches all of them.
func (o *Options) everyTopic() string { return o.Prefix + "/t/+" }
