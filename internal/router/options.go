package router

import "github.com/sealmq/sealmq/mqtt"

// MaxSubscriptionID is the largest Subscription Identifier, MQTT 5 §3.8.2.1.2.
const MaxSubscriptionID = 268_435_455

// Options are what a subscriber asked for with one Topic Filter, MQTT 5 §3.8.3.1. Retain Handling concerns only the
// moment of subscribing and is not the router's.
type Options struct {
	QoS               mqtt.QoS // the granted maximum
	NoLocal           bool     // not allowed with a ShareName [MQTT-3.8.3-4]; ignored there
	RetainAsPublished bool
	SubscriptionID    uint32 // 1 to MaxSubscriptionID; 0 for none
}

// packed is Options in 32 bits: identifier, QoS, No Local, Retain As Published. A million subscriptions pay for it.
type packed uint32

const (
	packedRetain  packed = 1 << 0
	packedNoLocal packed = 1 << 1
	packedQoS            = 2 // shift
	packedID             = 4 // shift; 28 bits, exactly MaxSubscriptionID
)

// pack panics on values the wire cannot carry: storing a different identifier or QoS than the caller granted would
// deliver wrongly for as long as the subscription lives.
func pack(o Options) packed {
	if o.QoS > mqtt.ExactlyOnce || o.SubscriptionID > MaxSubscriptionID {
		panic("router: subscription options out of range")
	}
	p := packed(o.SubscriptionID)<<packedID | packed(o.QoS)<<packedQoS
	if o.NoLocal {
		p |= packedNoLocal
	}
	if o.RetainAsPublished {
		p |= packedRetain
	}
	return p
}

func (p packed) qos() mqtt.QoS           { return mqtt.QoS(p >> packedQoS & 3) }
func (p packed) noLocal() bool           { return p&packedNoLocal != 0 }
func (p packed) retainAsPublished() bool { return p&packedRetain != 0 }
func (p packed) id() uint32              { return uint32(p >> packedID) }

func (p packed) options() Options {
	return Options{QoS: p.qos(), NoLocal: p.noLocal(), RetainAsPublished: p.retainAsPublished(), SubscriptionID: p.id()}
}
