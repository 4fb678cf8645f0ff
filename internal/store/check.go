package store

import (
	"fmt"

	"github.com/sealmq/sealmq/mqtt"
)

// Bounds of a batch. Beyond them Check refuses.
const (
	MaxBatchBytes      = 1 << 30 // message, key and value bytes of one batch
	MaxKey             = 1 << 16 // bytes of a filter, topic or metadata name
	MaxMeta            = 1 << 16 // bytes of a metadata value
	MaxSubscriptionIDs = 1 << 12 // Subscription Identifiers of one pointer
	maxString          = 1 << 16 // bytes of a Client Identifier or a part of a principal
)

// Check reports the first Op that breaks the rules of this package, as an ErrInvalid that names it; nil when the batch
// may be written. Both engines call it before they write anything, so that a batch is taken whole or not at all.
func (b *Batch) Check() error {
	total := 0
	for i := range b.Ops {
		op := &b.Ops[i]
		if why := op.check(); why != "" {
			return fmt.Errorf("%w: change %d (%s): %s", ErrInvalid, i, op.Kind, why)
		}
		total += op.bytes()
		if total > MaxBatchBytes {
			return fmt.Errorf("%w: more than %d bytes", ErrInvalid, MaxBatchBytes)
		}
	}
	return nil
}

// Adds reports whether the batch adds messages, and so needs room: bodies or retained messages.
func (b *Batch) Adds() bool {
	for i := range b.Ops {
		if k := b.Ops[i].Kind; k == PutBody || k == PutRetained {
			return true
		}
	}
	return false
}

func (op *Op) bytes() int {
	n := len(op.Key) + len(op.Value)
	if op.Message != nil {
		n += op.Message.Size()
	}
	if op.Will != nil && op.Will.Message != nil {
		n += op.Will.Message.Size()
	}
	return n
}

// check returns what is wrong, or nothing.
func (op *Op) check() string {
	switch op.Kind {
	case PutBody:
		if op.Body == 0 || op.Message == nil {
			return "body number or message is missing"
		}
	case DeleteBody:
		if op.Body == 0 {
			return "body number is missing"
		}
	case PutRetained:
		if op.Message == nil || op.Message.Topic() == "" {
			return "message or its topic is missing"
		}
		if len(op.Message.Topic()) > MaxKey {
			return "topic too long"
		}
	case DeleteRetained, PutMeta, DeleteMeta:
		return op.checkNamed()
	default:
		return op.checkOfSession()
	}
	return ""
}

func (op *Op) checkNamed() string {
	switch {
	case op.Key == "":
		return "key is missing"
	case len(op.Key) > MaxKey:
		return "key too long"
	case len(op.Value) > MaxMeta:
		return "value too long"
	}
	return ""
}

// checkOfSession checks the rows that belong to a session.
func (op *Op) checkOfSession() string {
	if op.Session == 0 {
		return "session number is missing"
	}
	switch op.Kind {
	case PutQueue:
		return op.checkQueue()
	case DeleteQueue:
		if op.Ord == 0 || op.Body == 0 {
			return "queue place or body number is missing"
		}
	case PutInflight:
		if op.PacketID == 0 || op.Inflight.Ord == 0 || op.Inflight.State != Published && op.Inflight.State != Released ||
			op.Inflight.QoS > mqtt.ExactlyOnce {
			return "packet identifier, queue place or state is missing"
		}
	case DeleteInflight, PutInbound, DeleteInbound:
		if op.PacketID == 0 {
			return "packet identifier is missing"
		}
	case PutSession:
		if op.Meta == nil {
			return "metadata is missing"
		}
		p := &op.Meta.Principal
		if len(op.Meta.ClientID) > maxString || len(op.Meta.Group) > 2*MaxKey ||
			max(len(p.Method), len(p.Issuer), len(p.Name)) > maxString {
			return "metadata too long"
		}
	case PutSubscription:
		if op.Subscription == nil || op.Subscription.Filter == "" || op.Subscription.QoS > mqtt.ExactlyOnce ||
			op.Subscription.RetainHandling > 2 {
			return "subscription, its filter or a valid option is missing"
		}
		if len(op.Subscription.Filter) > MaxKey {
			return "filter too long"
		}
	case DeleteSubscription:
		return op.checkNamed()
	case PutWill:
		if op.Will == nil || op.Will.Message == nil {
			return "will or its message is missing"
		}
	case DeleteSession, DeleteWill:
	default:
		return "unknown kind"
	}
	return ""
}

func (op *Op) checkQueue() string {
	switch p := &op.Pointer; {
	case op.Ord == 0 || p.Body == 0:
		return "queue place or body number is missing"
	case p.QoS > mqtt.ExactlyOnce:
		return "no such QoS"
	case len(p.SubscriptionIDs) > MaxSubscriptionIDs:
		return "too many subscription identifiers"
	}
	return ""
}

var opKindNames = [...]string{
	"invalid", "put body", "delete body", "put queue", "delete queue", "put inflight", "delete inflight", "put inbound",
	"delete inbound", "put session", "delete session", "put subscription", "delete subscription", "put retained",
	"delete retained", "put will", "delete will", "put meta", "delete meta",
}

// String names the change for logs.
func (k OpKind) String() string {
	if int(k) < len(opKindNames) {
		return opKindNames[k]
	}
	return opKindNames[0]
}
