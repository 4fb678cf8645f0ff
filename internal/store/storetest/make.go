package storetest

import (
	"fmt"
	"strings"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// Message makes a message with a body of its own; variant decides which optional parts it has.
func Message(topic string, payload []byte, variant int) *message.Message {
	p := &mqtt.Publish{QoS: mqtt.QoS(variant % 3), Retain: variant%2 == 0, Topic: topic, Payload: payload}
	var author *identity.Principal
	if variant%4 != 0 {
		author = &identity.Principal{Method: "jwt", Issuer: fmt.Sprintf("issuer %d", variant%3), Name: "alice"}
	}
	m := message.New(p, fmt.Sprintf("client-%d", variant%5), author, int64(variant)*1e9+1)
	if variant%3 == 1 {
		m.ExpiresAt = int64(variant) * 7e9
	}
	m.Sealed = variant%5 == 2
	return m
}

func putBody(id store.BodyID) store.Op {
	return store.Op{
		Kind: store.PutBody, Body: id,
		Message: Message(fmt.Sprintf("t/%d", id), []byte(strings.Repeat("x", int(id%40))), int(id)),
	}
}

func putQueue(session store.SessionID, ord store.Ord, body store.BodyID, sole bool) store.Op {
	p := store.Pointer{Body: body, QoS: mqtt.QoS(ord % 3), Retain: ord%2 == 0, Sole: sole, Size: uint32(ord) + 100}
	if ord%3 == 0 {
		p.ExpiresAt = int64(ord) * 1e9
	}
	if ord%4 == 0 {
		p.SubscriptionIDs = []uint32{uint32(ord), 268_435_455}
	}
	return store.Op{Kind: store.PutQueue, Session: session, Ord: ord, Pointer: p}
}

func deleteQueue(session store.SessionID, ord store.Ord, body store.BodyID, sole bool) store.Op {
	return store.Op{Kind: store.DeleteQueue, Session: session, Ord: ord, Body: body, Pointer: store.Pointer{Sole: sole}}
}

func putSession(id store.SessionID) store.Op {
	return store.Op{Kind: store.PutSession, Session: id, Meta: &store.Session{
		ClientID:  fmt.Sprintf("client-%d", id),
		Principal: identity.Principal{Method: "password", Issuer: "here", Name: fmt.Sprintf("user-%d", id)},
		Version:   mqtt.V5, Expiry: uint32(id), ExpiresAt: int64(id) * 1e12, Created: int64(id) + 1,
	}}
}

func deleteSession(id store.SessionID) store.Op {
	return store.Op{Kind: store.DeleteSession, Session: id}
}

func putInflight(session store.SessionID, pid mqtt.PacketID, ord store.Ord, state store.InflightState) store.Op {
	return store.Op{
		Kind: store.PutInflight, Session: session, PacketID: pid,
		Inflight: store.Inflight{Ord: ord, State: state, QoS: mqtt.ExactlyOnce},
	}
}

func putInbound(session store.SessionID, pid mqtt.PacketID) store.Op {
	return store.Op{Kind: store.PutInbound, Session: session, PacketID: pid}
}

func putSubscription(session store.SessionID, filter string, variant int) store.Op {
	return store.Op{Kind: store.PutSubscription, Session: session, Subscription: &store.Subscription{
		Filter: filter, QoS: mqtt.QoS(variant % 3), NoLocal: variant%2 == 1, RetainAsPublished: variant%4 == 2,
		RetainHandling: byte(variant % 3), SubscriptionID: uint32(variant),
	}}
}

func putRetained(topic string, variant int) store.Op {
	return store.Op{Kind: store.PutRetained, Message: Message(topic, []byte(fmt.Sprint("retained ", variant)), variant)}
}

func putWill(session store.SessionID, variant int) store.Op {
	return store.Op{Kind: store.PutWill, Session: session, Will: &store.Will{
		ClientID: fmt.Sprintf("client-%d", session), Principal: identity.Principal{Method: "psk", Name: "p"},
		Delay: uint32(variant), Due: int64(variant) * 1e9, Message: Message("will", []byte("gone"), variant),
	}}
}

func putMeta(key, value string) store.Op {
	return store.Op{Kind: store.PutMeta, Key: key, Value: []byte(value)}
}
