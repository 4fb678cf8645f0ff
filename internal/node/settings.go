package node

import (
	"crypto/tls"
	"math"
	"time"

	"github.com/sealmq/sealmq/internal/broker"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/session"
	"github.com/sealmq/sealmq/internal/transport"
)

// queueMemory is how many entries of a durable session's queue are kept in memory; the rest stays in the store.
const queueMemory = 512

// outBuffer bounds, in bytes, what waits for one slow connection.
const outBuffer = 4 << 20

// writeTimeout is how long a client may take nothing of what waits for it.
const writeTimeout = time.Minute

// settings translates a plan into the broker's terms.
func settings(plan *config.Plan) broker.Settings {
	l := &plan.Config.Limits
	listeners := make(map[string]broker.ListenerLimits, len(plan.Config.Listeners))
	for i := range plan.Config.Listeners {
		own := &plan.Config.Listeners[i]
		listeners[own.Name] = broker.ListenerLimits{MaxClients: own.MaxClients, MaxPacket: int(own.MaxPacket)}
	}
	return broker.Settings{
		Listeners:               listeners,
		MaxClients:              l.Clients,
		MaxPerAddress:           l.ConnectionsPerAddress,
		ConnectTimeout:          l.ConnectTimeout,
		MaxConnectPacket:        int(l.ConnectPacket),
		PacketTimeout:           l.PacketTimeout,
		MaxPacket:               int(l.Packet),
		WriteTimeout:            writeTimeout,
		OutBuffer:               max(outBuffer, 2*int(l.Packet)),
		TopicLevels:             l.TopicLevels,
		SubscriptionsPerSession: l.SubscriptionsPerClient,
		FiltersPerSubscribe:     l.FiltersPerSubscribe,
		ReceiveMaximum:          uint16(min(l.ReceiveMaximum, math.MaxUint16)),
		UnackedMessagesV3:       l.UnackedV3.Messages,
		UnackedBytes:            int64(l.UnackedV3.Bytes),
		SendQuota:               l.Inflight,
		TopicAliasMaximum:       uint16(min(l.TopicAliasMaximum, math.MaxUint16)),
		PublishRate:             rate(l.PublishRate.PerClient, config.UnlimitedRate),
		PublishBurst:            l.PublishRate.Burst,
		PublishBytesRate:        rate(l.PublishBytes.PerClient, config.UnlimitedByteRate),
		PublishBytesBurst:       float64(l.PublishBytes.Burst),
		Queue: session.Limits{
			Messages: l.Queue.Messages, Bytes: int64(l.Queue.Bytes), Memory: min(queueMemory, l.Queue.Messages),
		},
		QueueTotalBytes:  int64(l.QueueTotal),
		OnFull:           onFull(l.Queue.OnFull),
		QueueQoS0:        l.Queue.QoS0Offline,
		AckWait:          l.AckWait,
		RetainedMessages: l.Retained.Messages,
		RetainedBytes:    int64(l.Retained.Bytes),

		RetainedMessagesPerOwner: l.Retained.MessagesPerPrincipal,
		RetainedBytesPerOwner:    int64(l.Retained.BytesPerPrincipal),

		SessionsPerOwner: l.SessionsPerPrincipal,
		SessionExpiryMax: seconds32(l.SessionExpiryMax),
		SessionExpiryV3:  seconds32(l.SessionExpiryV3),
		WillDelayMax:     seconds32(l.WillDelayMax),
		MessageExpiryMax: seconds32(l.MessageExpiryMax),
		KeepAliveMax:     seconds16(l.KeepAliveMax),
		AnonymousDurable: plan.Dev,
		SysInterval:      plan.Config.SysInterval,
		Rule:             newPlaces(plan.Config).rule,
	}
}

// rate is a rate per second; unlimited is 0, which means no bound.
func rate[R ~float64](r, unlimited R) float64 {
	if r == unlimited {
		return 0
	}
	return float64(r)
}

func onFull(o config.OnFull) broker.OnFull {
	switch o {
	case config.RefusePublish:
		return broker.RefusePublish
	case config.EndSession:
		return broker.EndSession
	default:
		return broker.StopAccepting
	}
}

// seconds32 is a duration as MQTT counts it; unlimited is the largest value, which means never.
func seconds32(d time.Duration) uint32 {
	if d == config.Unlimited || d < 0 {
		return math.MaxUint32
	}
	return uint32(min(int64(d/time.Second), math.MaxUint32-1))
}

// seconds16 is a Keep Alive; unlimited is 0, which means no cap.
func seconds16(d time.Duration) uint16 {
	if d == config.Unlimited || d < 0 {
		return 0
	}
	return uint16(min(int64(d/time.Second), math.MaxUint16))
}

// leastMessage is the smallest bound, in bytes, of a WebSocket message, so that many small packets fit into one.
const leastMessage = 1 << 20

// listenOptions translates one listener of the configuration.
func listenOptions(l *config.Listener) transport.Options {
	o := transport.Options{Address: l.Bind, Unix: l.Unix, AllowPlaintext: l.AllowPlaintext}
	if l.TLS.Cert != "" {
		o.Certificate = &transport.Certificate{CertFile: l.TLS.Cert, KeyFile: l.TLS.Key, MinVersion: tls.VersionTLS13}
		if l.TLS.MinVersion == config.TLS12 {
			o.Certificate.MinVersion = tls.VersionTLS12
		}
	}
	if l.ClientCert.CA != "" {
		o.Certificate.CAFile, o.Certificate.CRLFile = l.ClientCert.CA, l.ClientCert.CRL
		o.Certificate.Clients = transport.RequireClientCert
		if l.ClientCert.Mode == config.RequestCert {
			o.Certificate.Clients = transport.RequestClientCert
		}
	}
	if l.PSK.File != "" {
		o.PSK = &transport.PSK{File: l.PSK.File, AllowNoForwardSecrecy: l.PSK.AllowNoForwardSecrecy}
	}
	if l.WebSocket.Path != "" {
		o.WebSocket = &transport.WebSocket{
			Path: l.WebSocket.Path, Origins: l.WebSocket.Origins, MaxMessage: max(int64(l.MaxPacket), leastMessage),
		}
	}
	return o
}
