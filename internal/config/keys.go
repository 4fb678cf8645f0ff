package config

import (
	"net/netip"
	"slices"
	"time"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/topic"
)

const (
	maxRules     = 1000      // filters in one acl list
	maxListeners = 64        // elements of listeners
	maxPacket    = 256 * MiB // just above what a Remaining Length can say [MQTT 5 §1.5.5]
	maxQuantity  = 10_000_000
)

// topKeys describes every key outside lists, in the order of the reference.
var topKeys = slices.Concat(nodeKeys, authKeys, aclKeys, protectionKeys, connectionLimits, messageLimits, sessionLimits, serviceKeys, auditKeys, opsKeys)

var nodeKeys = []field[Config]{
	bounded(counts, "version", func(c *Config) *int { return &c.Version }, 1, 1, 1,
		"Version of the file format.", restart, required),
	name("node.name", func(c *Config) *string { return &c.Node.Name }, "sealmq",
		"Name of this broker in logs, metrics and the console.", restart),
	path("node.data_dir", func(c *Config) *string { return &c.Node.DataDir }, Folder,
		"Folder for durable state; it is created with access for the owner only.", restart),
}

var aclKeys = []field[Config]{
	groups("groups", func(c *Config) *map[string][]acl.Selector { return &c.ACL.Groups },
		"Names for several clients, for the who of rules, as group:NAME. A member is user:NAME (a local account; a bare NAME "+
			"means the same), METHOD:NAME (certificate:pump-7, psk:pump-7, jwt:alice), name:NAME or client:ID."),
	ruleList(aclPath, func(c *Config) *[]acl.Rule { return &c.ACL.Rules },
		"Rules {who, allow or deny, topic} in order: the first that matches decides, and what none matches is denied; see acl.md. "+
			"Without rules there are the lists acl.publish and acl.subscribe, which hold for everybody."),
	optionalPath("acl.mosquitto", func(c *Config) *string { return &c.ACL.Mosquitto },
		"A Mosquitto access file (acl_file) in place of rules, read with Mosquitto's own table of who may what and never wider; see "+
			"acl.md. It is read again at a reload. Only its owner may be able to write it."),
	filters("acl.publish.allow", func(c *Config) *[]Rule { return &c.ACL.Publish.Allow }, []string{"#"},
		"Topics that may be published to, also by a Will and with RETAIN. Once acl is given, the default is []."),
	filters("acl.publish.deny", func(c *Config) *[]Rule { return &c.ACL.Publish.Deny }, nil,
		"Topics that may not be published to; wins over allow."),
	filters("acl.subscribe.allow", func(c *Config) *[]Rule { return &c.ACL.Subscribe.Allow }, []string{"#"},
		"Topics that may be subscribed to and received; a subscription must lie within one of the filters. A # does not "+
			"cover $SYS. Once acl is given, the default is []."),
	filters("acl.subscribe.deny", func(c *Config) *[]Rule { return &c.ACL.Subscribe.Deny }, nil,
		"Topics that may not be subscribed to or received; wins over allow."),
}

var connectionLimits = []field[Config]{
	bounded(counts, "limits.clients", func(c *Config) *int { return &c.Limits.Clients }, 20_000, 1, maxQuantity,
		"Network Connections at one time."),
	bounded(counts, "limits.connections_per_address", func(c *Config) *int { return &c.Limits.ConnectionsPerAddress },
		1000, 1, maxQuantity,
		"Network Connections at one time from one IPv4 address or one IPv6 /64. Loopback addresses are not counted."),
	bounded(durations, "limits.connect_timeout", func(c *Config) *time.Duration { return &c.Limits.ConnectTimeout },
		10*time.Second, 100*time.Millisecond, 5*time.Minute,
		"Time from the accepted connection to the end of the login."),
	bounded(sizes, "limits.connect_packet", func(c *Config) *Size { return &c.Limits.ConnectPacket },
		64*KiB, 256, MiB, "Largest packet before the login is complete."),
	bounded(durations, "limits.packet_timeout", func(c *Config) *time.Duration { return &c.Limits.PacketTimeout },
		30*time.Second, time.Second, 10*time.Minute,
		"Time from the first to the last byte of one packet; ends connections that trickle."),
	bounded(sizes, "limits.packet", func(c *Config) *Size { return &c.Limits.Packet }, 256*KiB, 256, maxPacket,
		"Largest packet; MQTT 5 clients are told it as Maximum Packet Size."),
	bounded(durations, "limits.keep_alive_max", func(c *Config) *time.Duration { return &c.Limits.KeepAliveMax },
		time.Hour, time.Second, Unlimited,
		"MQTT 5 clients with a longer Keep Alive, or with none, are given this Server Keep Alive. MQTT 3 has no such "+
			"answer, so its clients keep what they ask for."),
}

var messageLimits = []field[Config]{
	bounded(counts, "limits.topic_levels", func(c *Config) *int { return &c.Limits.TopicLevels },
		topic.MaxLevels, 1, topic.MaxLevels,
		"Levels of a Topic Name or Topic Filter."),
	bounded(counts, "limits.topic_alias_maximum", func(c *Config) *int { return &c.Limits.TopicAliasMaximum },
		64, 0, 65535, "Topic Aliases that an MQTT 5 client may use; 0 forbids them."),
	bounded(counts, "limits.receive_maximum", func(c *Config) *int { return &c.Limits.ReceiveMaximum },
		1000, 1, 65535,
		"QoS 1 and 2 messages that an MQTT 5 client may have open towards the broker; told as Receive Maximum."),
	bounded(counts, "limits.inflight", func(c *Config) *int { return &c.Limits.Inflight }, 1000, 1, 65535,
		"QoS 1 and 2 messages that the broker has open towards one client, if the client allows as many."),
	bounded(counts, "limits.unacked_v3.messages", func(c *Config) *int { return &c.Limits.UnackedV3.Messages },
		1000, 1, 65535,
		"QoS 1 and 2 messages that an MQTT 3 client may have open towards the broker; one more closes the connection."),
	bounded(sizes, "limits.unacked_v3.bytes", func(c *Config) *Size { return &c.Limits.UnackedV3.Bytes },
		16*MiB, 256, 64*GiB, "Bytes of those messages."),
	bounded(rates, "limits.publish_rate.per_client", func(c *Config) *Rate { return &c.Limits.PublishRate.PerClient },
		10_000, 1, UnlimitedRate, "Messages that one client may publish per time, averaged."),
	bounded(counts, "limits.publish_rate.burst", func(c *Config) *int { return &c.Limits.PublishRate.Burst },
		20_000, 1, maxQuantity, "Messages that one client may publish at once."),
	bounded(byteRates, "limits.publish_bytes.per_client",
		func(c *Config) *ByteRate { return &c.Limits.PublishBytes.PerClient },
		ByteRate(64*MiB), ByteRate(KiB), UnlimitedByteRate, "Bytes that one client may publish per time, averaged."),
	bounded(sizes, "limits.publish_bytes.burst", func(c *Config) *Size { return &c.Limits.PublishBytes.Burst },
		128*MiB, 256, 64*GiB, "Bytes that one client may publish at once; at least one packet."),
	bounded(durations, "limits.message_expiry_max",
		func(c *Config) *time.Duration { return &c.Limits.MessageExpiryMax }, Unlimited, time.Second, Unlimited,
		"Longest time a message is kept; a longer or missing Message Expiry Interval is shortened to it."),
	bounded(durations, "limits.ack_wait", func(c *Config) *time.Duration { return &c.Limits.AckWait },
		5*time.Second, 0, time.Minute,
		"How long a connected subscriber that is behind may delay the acknowledgement to the publisher."),
}

var sessionLimits = []field[Config]{
	bounded(counts, "limits.subscriptions_per_client",
		func(c *Config) *int { return &c.Limits.SubscriptionsPerClient }, 1000, 1, maxQuantity,
		"Subscriptions of one session."),
	bounded(counts, "limits.filters_per_subscribe", func(c *Config) *int { return &c.Limits.FiltersPerSubscribe },
		256, 1, 65535, "Topic Filters in one SUBSCRIBE or UNSUBSCRIBE."),
	bounded(counts, "limits.queue.messages", func(c *Config) *int { return &c.Limits.Queue.Messages },
		1000, 1, maxQuantity, "Messages that one session holds while its client is away or slow."),
	bounded(sizes, "limits.queue.bytes", func(c *Config) *Size { return &c.Limits.Queue.Bytes },
		8*MiB, 256, 64*GiB, "Bytes of those messages."),
	choice("limits.queue.on_full", func(c *Config) *OnFull { return &c.Limits.Queue.OnFull },
		"What a full queue does: stop_accepting keeps what is queued and takes nothing new for this session, "+
			"refuse_publish answers the publisher with Quota exceeded, end_session deletes the session.",
		[]OnFull{StopAccepting, RefusePublish, EndSession}),
	yesNo("limits.queue.qos0_offline", func(c *Config) *bool { return &c.Limits.Queue.QoS0Offline }, false,
		"Queue QoS 0 messages too while the client is away."),
	bounded(sizes, "limits.queue_total", func(c *Config) *Size { return &c.Limits.QueueTotal }, GiB, 256, 64*TiB,
		"Bytes that the queues of all sessions hold together."),
	bounded(counts, "limits.retained.messages", func(c *Config) *int { return &c.Limits.Retained.Messages },
		100_000, 0, 100*maxQuantity, "Retained messages; 0 turns them off."),
	bounded(sizes, "limits.retained.bytes", func(c *Config) *Size { return &c.Limits.Retained.Bytes },
		256*MiB, 256, 64*TiB, "Bytes of all retained messages."),
	bounded(counts, "limits.retained.messages_per_principal", func(c *Config) *int { return &c.Limits.Retained.MessagesPerPrincipal },
		25_000, 1, 100*maxQuantity, "Retained messages of one login, so that none takes the room of all."),
	bounded(sizes, "limits.retained.bytes_per_principal", func(c *Config) *Size { return &c.Limits.Retained.BytesPerPrincipal },
		64*MiB, 256, 64*TiB, "Bytes of those messages."),
	bounded(counts, "limits.sessions_per_principal", func(c *Config) *int { return &c.Limits.SessionsPerPrincipal },
		1000, 1, maxQuantity, "Durable sessions of one login."),
	bounded(durations, "limits.session_expiry_max",
		func(c *Config) *time.Duration { return &c.Limits.SessionExpiryMax }, 30*day, time.Second, Unlimited,
		"Longest Session Expiry Interval; a longer one is shortened, and MQTT 5 clients are told."),
	bounded(durations, "limits.session_expiry_v3",
		func(c *Config) *time.Duration { return &c.Limits.SessionExpiryV3 }, 7*day, time.Second, Unlimited,
		"How long a durable session of an MQTT 3 client outlives its connection; MQTT 3 cannot say it."),
	bounded(durations, "limits.will_delay_max", func(c *Config) *time.Duration { return &c.Limits.WillDelayMax },
		Unlimited, 0, Unlimited,
		"Longest Will Delay Interval; a longer one is shortened. The end of the session bounds it in any case."),
}

var serviceKeys = []field[Config]{
	bounded(durations, "sys_interval", func(c *Config) *time.Duration { return &c.SysInterval },
		10*time.Second, time.Second, time.Hour, "Time between two publications of the $SYS topics."),
	choice("log.level", func(c *Config) *LogLevel { return &c.Log.Level },
		"Least severity that is logged.", []LogLevel{LevelInfo, LevelDebug, LevelWarn, LevelError}),
	choice("log.format", func(c *Config) *LogFormat { return &c.Log.Format },
		"Form of the log lines; auto is text on a terminal and JSON otherwise.",
		[]LogFormat{FormatAuto, FormatText, FormatJSON}, restart),
	choice("storage.engine", func(c *Config) *Engine { return &c.Storage.Engine },
		"Where durable state is kept. memory forgets everything when the broker stops.",
		[]Engine{EngineDisk, EngineMemory}, restart),
	choice("storage.sync", func(c *Config) *Sync { return &c.Storage.Sync },
		"How writes reach the disk: what is waiting is written as one group and synced once.",
		[]Sync{SyncBatch}, restart),
	yesNo("storage.ack_before_sync", func(c *Config) *bool { return &c.Storage.AckBeforeSync }, false,
		"Acknowledge before the sync. Faster, but a power failure loses messages that were acknowledged.", restart),
}

// listenerKeys describes the elements of listeners.
var listenerKeys = []field[Listener]{
	name("listeners[].name", func(l *Listener) *string { return &l.Name }, "",
		"Name of the listener in logs, metrics and rules. Required and unique.", restart),
	address("listeners[].bind", func(l *Listener) (*netip.AddrPort, *string) { return &l.Bind, &l.Unix },
		"Address to listen on. Required. Port 0 picks a free port. A Unix socket is for the owner and the group of the "+
			"broker's process.", restart),
	yesNo("listeners[].allow_plaintext", func(l *Listener) *bool { return &l.AllowPlaintext }, false,
		"Accept unencrypted connections from other machines: anyone on the way reads and changes everything. "+
			"It also takes a login: anonymous clients stay on loopback. Loopback needs no permission.", restart),
	yesNo("listeners[].allow_clear_password", func(l *Listener) *bool { return &l.AllowClearPassword }, false,
		"With allow_plaintext: also take passwords and tokens from other machines unencrypted. Anyone on the way can log in with them "+
			"afterwards. SCRAM does without.", restart),
	path("listeners[].tls.cert", func(l *Listener) *string { return &l.TLS.Cert }, "",
		"Certificate of the listener, PEM, with its chain. It makes the listener speak TLS. Files are read again at a reload.", restart),
	path("listeners[].tls.key", func(l *Listener) *string { return &l.TLS.Key }, "",
		"Private key of the certificate, PEM; a file that others can read is refused.", restart),
	optional("listeners[].tls.min_version", func(l *Listener) *TLSVersion { return &l.TLS.MinVersion },
		"Oldest version that is accepted; 1.2 is for devices that cannot do better.", []TLSVersion{TLS13, TLS12}, restart),
	optional("listeners[].client_cert.mode", func(l *Listener) *ClientCertMode { return &l.ClientCert.Mode },
		"Whether clients must show a certificate, or may. One that is shown must be valid in either case.",
		[]ClientCertMode{RequireCert, RequestCert}, restart),
	path("listeners[].client_cert.ca", func(l *Listener) *string { return &l.ClientCert.CA }, "",
		"Authorities that may sign client certificates, PEM. Needs tls.", restart),
	path("listeners[].client_cert.crl", func(l *Listener) *string { return &l.ClientCert.CRL }, "",
		"Revocation lists of those authorities, PEM or DER. With it, a certificate without a list of its issuer that is in "+
			"force is refused. A reload ends the connections of revoked certificates.", restart),
	path("listeners[].tls_psk.file", func(l *Listener) *string { return &l.PSK.File }, "",
		"Pre-shared keys, lines of identity:hexkey; a file that others can read is refused. It makes the listener speak "+
			"TLS-PSK. A reload ends the connections of removed and replaced keys.", restart),
	yesNo("listeners[].tls_psk.allow_no_forward_secrecy", func(l *Listener) *bool { return &l.PSK.AllowNoForwardSecrecy }, false,
		"Accept devices that cannot do a key exchange: whoever steals their key can read everything that was recorded.", restart),
	urlPath("listeners[].websocket.path", func(l *Listener) *string { return &l.WebSocket.Path },
		"Path of MQTT over WebSocket. A section websocket, be it {}, makes the listener speak it.", restart),
	origins("listeners[].websocket.origins", func(l *Listener) *[]string { return &l.WebSocket.Origins },
		"Pages that may connect, such as https://plant.example. Browsers on other pages are refused; programs send no origin.", restart),
	bounded(counts, "listeners[].max_clients", func(l *Listener) *int { return &l.MaxClients }, 0, 1, maxQuantity,
		"Network Connections of this listener at one time; at most limits.clients.", inherits("limits.clients")),
	bounded(sizes, "listeners[].max_packet", func(l *Listener) *Size { return &l.MaxPacket }, 0, 256, maxPacket,
		"Largest packet on this listener; at most limits.packet.", inherits("limits.packet")),
}

// Keys returns the description of every key, in the order of the reference.
func Keys() []Key {
	keys := make([]Key, 0, len(topKeys)+len(listenerKeys))
	for _, f := range topKeys[:len(nodeKeys)] {
		keys = append(keys, f.Key)
	}
	for _, f := range listenerKeys {
		keys = append(keys, f.Key)
	}
	for _, f := range topKeys[len(nodeKeys):] {
		keys = append(keys, f.Key)
	}
	return keys
}
