package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/mqtt"
)

// text is a flag's value that may begin with a hyphen, as a message or a number below zero does.
type text string

// Decode implements kong.MapperValue.
func (t *text) Decode(ctx *kong.DecodeContext) error {
	s, err := popText(ctx)
	*t = text(s)
	return err
}

// popText takes the next word of the command line, whatever it looks like.
func popText(ctx *kong.DecodeContext) (string, error) {
	token := ctx.Scan.Pop()
	if token.IsEOL() {
		return "", errors.New("it needs a value")
	}
	return fmt.Sprint(token.Value), nil
}

// brokerFlags are the flags that pub and sub share: where the broker is, who we are, and how the connection behaves.
// Letters and meanings are those of mosquitto_pub and mosquitto_sub 2.0.
type brokerFlags struct {
	Host     string   `short:"h" default:"localhost" env:"SEALMQ_HOST" group:"Broker" help:"Host of the broker."`
	Port     int      `short:"p" env:"SEALMQ_PORT" group:"Broker" help:"Port; default 1883, or 8883 with TLS."`
	URL      string   `short:"L" name:"url" placeholder:"URL" group:"Broker" help:"mqtt(s)://[user[:password]@]host[:port]/topic instead of -h, -p, -u, -P and -t."`
	Unix     string   `name:"unix" placeholder:"PATH" group:"Broker" help:"Unix socket of the broker."`
	Bind     string   `short:"A" placeholder:"ADDR" group:"Broker" help:"Local address to connect from."`
	Protocol string   `short:"V" name:"protocol-version" default:"5" placeholder:"VERSION" env:"SEALMQ_PROTOCOL_VERSION" group:"Broker" help:"5, 311 or 31; mqttv5, mqttv311 and mqttv31 mean the same."`
	Timeout  duration `name:"timeout" default:"30" placeholder:"SECONDS" group:"Broker" help:"Time for one attempt to connect."`
	NoDelay  bool     `name:"nodelay" hidden:"" help:"Always on; taken so that scripts for mosquitto work."`

	ID       string `short:"i" name:"id" env:"SEALMQ_ID" group:"Session" help:"Client Identifier; without one the broker chooses."`
	IDPrefix string `short:"I" name:"id-prefix" placeholder:"PREFIX" group:"Session" help:"Client Identifier made of this and the process id."`
	Keep     bool   `short:"c" name:"disable-clean-session" group:"Session" help:"Keep the session; needs -i."`
	Expiry   text   `short:"x" name:"session-expiry-interval" placeholder:"SECONDS" group:"Session" help:"How long the broker keeps the session (MQTT 5); -1 for ever. Default 0, with -c -1."`
	KeepA    int    `short:"k" name:"keepalive" default:"60" placeholder:"SECONDS" group:"Session" help:"Keep alive; 0 turns it off."`
	Inflight uint16 `short:"M" name:"max-inflight" placeholder:"N" group:"Session" help:"QoS 1 and 2 messages in flight at once."`

	Username     string `short:"u" env:"SEALMQ_USERNAME" group:"Login" help:"User name."`
	Password     text   `short:"P" name:"pw" placeholder:"PASSWORD" group:"Login" help:"Password. The process list shows it: prefer --password-file."`
	PasswordFile string `name:"password-file" placeholder:"FILE" env:"SEALMQ_PASSWORD_FILE" group:"Login" help:"File with the password in its first line; - reads standard input."`
	AskPassword  bool   `name:"ask-password" group:"Login" help:"Ask for the password on the terminal."`
	SendClear    bool   `name:"yes-send-password-in-clear" group:"Login" help:"Send the password although the connection is not encrypted."`

	WillTopic   string `name:"will-topic" placeholder:"TOPIC" group:"Will" help:"Topic of the will, which the broker publishes if the connection breaks."`
	WillPayload text   `name:"will-payload" placeholder:"TEXT" group:"Will" help:"Payload of the will; default empty."`
	WillQoS     int    `name:"will-qos" placeholder:"QOS" group:"Will" help:"QoS of the will."`
	WillRetain  bool   `name:"will-retain" group:"Will" help:"Retain the will."`

	tlsFlags `embed:""`

	Properties propertyArgs `short:"D" name:"property" placeholder:"COMMAND NAME VALUE" group:"MQTT 5" help:"Property, such as -D publish content-type text/plain; user-property takes a key and a value. Can be repeated."`
	Debug      bool         `short:"d" group:"Output" help:"Show each packet on stderr."`
	Quiet      bool         `group:"Output" help:"No notes and warnings on stderr; errors still show."`
	JSON       bool         `name:"json" group:"Output" help:"One JSON object per line."`
}

// duration is in seconds on the command line, with an optional unit as in 1m30s.
type duration time.Duration

// Decode implements kong.MapperValue.
func (d *duration) Decode(ctx *kong.DecodeContext) error {
	s, err := popText(ctx)
	if err != nil {
		return err
	}
	v, err := time.ParseDuration(s)
	if seconds, e := strconv.ParseFloat(s, 64); e == nil {
		v, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a number of seconds", s)
	}
	*d = duration(v)
	return nil
}

const maxSessionExpiry = 0xFFFFFFFF // never ends

// usageError is a wrong command line, found after parsing.
func usageError(what, why, hint string) error { return &failure{exitUsage, what, why, hint, nil} }

// clientConfig turns the flags into a client's configuration, and returns the topic of -L, if there is one.
func (f *brokerFlags) clientConfig(a *app) (cfg client.Config, urlTopic string, err error) {
	if f.URL != "" {
		if urlTopic, err = f.splitURL(); err != nil {
			return cfg, "", err
		}
	}
	for _, step := range []func(*client.Config, *app) error{f.version, f.session, f.will, f.login, f.server} {
		if err := step(&cfg, a); err != nil {
			return cfg, "", err
		}
	}
	cfg.ConnectTimeout = time.Duration(f.Timeout)
	cfg.MaxInflight = f.Inflight
	cfg.MaximumPacketSize = mqtt.MaxPacketSize
	if err := f.Properties.connect(&cfg); err != nil {
		return cfg, "", err
	}
	if f.Debug {
		cfg.Hooks.Trace = func(sent bool, t mqtt.PacketType, size int) {
			what := "received"
			if sent {
				what = "sent"
			}
			writef(a.stderr, "sealmq: debug: %s %s, %d bytes\n", what, t, size)
		}
	}
	if !f.Quiet {
		cfg.Hooks.Disconnected = func(err error, retryIn time.Duration) {
			a.note(fmt.Sprintf("%v; next attempt in %v", err, retryIn.Round(100*time.Millisecond)))
		}
	}
	return cfg, urlTopic, nil
}

// splitURL takes -L apart into the flags it stands for.
func (f *brokerFlags) splitURL() (topic string, err error) {
	u, err := url.Parse(f.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "mqtt" && u.Scheme != "mqtts" {
		return "", usageError("cannot use --url", "it is not mqtt(s)://[user[:password]@]host[:port]/topic", "sealmq sub -L mqtt://localhost/plant/#")
	}
	f.Host = u.Hostname()
	if u.Scheme == "mqtts" {
		f.UseOSCerts = f.UseOSCerts || !f.wantsTLS()
	}
	if u.Port() != "" {
		if f.Port, err = strconv.Atoi(u.Port()); err != nil {
			return "", usageError("cannot use --url", "the port is not a number", "")
		}
	}
	if u.User != nil {
		f.Username = u.User.Username()
		if p, ok := u.User.Password(); ok {
			f.Password = text(p)
		}
	}
	rest := u.EscapedPath()
	if u.RawQuery != "" {
		rest += "?" + u.RawQuery
	}
	if strings.Contains(f.URL, "#") { // a topic filter, not a fragment
		rest += "#" + u.EscapedFragment()
	}
	if rest, err = url.PathUnescape(rest); err != nil {
		return "", usageError("cannot use --url", "the topic is not escaped rightly", "")
	}
	return strings.TrimPrefix(rest, "/"), nil
}

func (f *brokerFlags) version(cfg *client.Config, _ *app) error {
	switch strings.TrimPrefix(f.Protocol, "mqttv") {
	case "5":
		cfg.Version = mqtt.V5
	case "311":
		cfg.Version = mqtt.V311
	case "31":
		cfg.Version = mqtt.V31
	default:
		return usageError("cannot use -V "+f.Protocol, "there are 5, 311 and 31", "")
	}
	if cfg.Version != mqtt.V5 && len(f.Properties) > 0 {
		return usageError("cannot use -D", "properties need MQTT 5", "leave out -V, or -D")
	}
	return nil
}

func (f *brokerFlags) session(cfg *client.Config, _ *app) error {
	cfg.ClientID, cfg.CleanStart = f.ID, !f.Keep
	if f.IDPrefix != "" {
		if f.ID != "" {
			return usageError("cannot use -i together with -I", "both make the client identifier", "")
		}
		cfg.ClientID = f.IDPrefix + strconv.Itoa(os.Getpid())
	}
	if f.Keep && f.ID == "" {
		return usageError("cannot use -c", "a session that is kept needs a name to come back to", "add -i NAME")
	}
	expiry := uint32(0)
	if f.Keep {
		expiry = maxSessionExpiry
	}
	switch f.Expiry {
	case "":
	case "-1", "∞":
		expiry = maxSessionExpiry
	default:
		n, err := strconv.ParseUint(string(f.Expiry), 10, 32)
		if err != nil {
			return usageError("cannot use -x "+string(f.Expiry), "it must be 0 to 4294967294, or -1 for never", "")
		}
		expiry = uint32(n)
	}
	if f.Expiry != "" && cfg.Version != mqtt.V5 {
		return usageError("cannot use -x", "a session expiry interval needs MQTT 5", "use -c")
	}
	if expiry != 0 && cfg.Version == mqtt.V5 {
		cfg.Properties.SetSessionExpiry(expiry)
	}
	if f.KeepA < 0 || f.KeepA > 65535 {
		return usageError("cannot use -k "+strconv.Itoa(f.KeepA), "it must be 0 to 65535 seconds", "")
	}
	cfg.KeepAlive = time.Duration(f.KeepA) * time.Second
	if f.KeepA == 0 {
		cfg.KeepAlive = -1
	}
	return nil
}

func (f *brokerFlags) will(cfg *client.Config, _ *app) error {
	if f.WillTopic == "" {
		if f.WillPayload != "" || f.WillQoS != 0 || f.WillRetain {
			return usageError("cannot make a will", "it has no topic", "add --will-topic TOPIC")
		}
		return nil
	}
	q, err := parseQoS(f.WillQoS, "--will-qos")
	if err != nil {
		return err
	}
	cfg.Will = &client.Message{Topic: f.WillTopic, Payload: []byte(f.WillPayload), QoS: q, Retain: f.WillRetain}
	props, err := f.Properties.of("will")
	if props.Present != 0 {
		cfg.Will.Properties = &props
	}
	return err
}

func parseQoS(n int, flag string) (mqtt.QoS, error) {
	if n < 0 || n > 2 {
		return 0, usageError("cannot use "+flag+" "+strconv.Itoa(n), "there are 0, 1 and 2", "")
	}
	return mqtt.QoS(n), nil
}

// server finds the broker's address and the way to it.
func (f *brokerFlags) server(cfg *client.Config, a *app) error {
	secure, err := f.tls(cfg.Password != nil, f.Host, a)
	if err != nil {
		return err
	}
	if f.Unix != "" {
		if secure.enabled() {
			return usageError("cannot use TLS on a Unix socket", "it does not leave this machine", "leave out the TLS flags")
		}
		cfg.Server = (&url.URL{Scheme: "unix", Path: f.Unix}).String()
		return nil
	}
	port := f.Port
	switch {
	case port < 0 || port > 65535:
		return usageError("cannot use -p "+strconv.Itoa(port), "it is not a port", "")
	case port == 0 && secure.psk != nil:
		port = 8886
	case port == 0 && secure.enabled():
		port = 8883
	case port == 0:
		port = 1883
	}
	u := url.URL{Scheme: "mqtt", Host: net.JoinHostPort(f.Host, strconv.Itoa(port))}
	if secure.enabled() {
		u.Scheme = secure.scheme()
	}
	cfg.Server, cfg.TLS = u.String(), secure.tls
	cfg.AllowPlaintextPassword = f.SendClear
	if secure.psk != nil || f.Bind != "" {
		cfg.Dial, err = secure.dialer(f.Bind, f.Host)
	}
	return err
}
