package outcomes

import (
	"strconv"
	"strings"

	"github.com/sealmq/sealmq/mqtt"
)

// Delivery is the way a message takes through the broker.
type Delivery string

// The ways of delivery.
const (
	Live     Delivery = "live"     // to a subscriber that waits for it
	Retained Delivery = "retained" // to one that subscribes afterwards
	Offline  Delivery = "offline"  // to a durable session whose client is away, and comes back
	Share    Delivery = "share"    // to a member of a Shared Subscription
)

// Deliveries are all of them.
var Deliveries = []Delivery{Live, Retained, Offline, Share}

// Circumstances is what a trial does not choose by its mechanism or attack.
type Circumstances struct {
	Will     bool // the message is a Will; else a PUBLISH
	Version  mqtt.Version
	QoS      mqtt.QoS
	Delivery Delivery
	// Enforced: a rule of the broker demands the mechanism, too. It verifies what it has keys for, and checks the form of the
	// rest.
	Enforced bool
}

// AllCircumstances are PUBLISH and Will, both versions, all QoS and all ways of delivery, with and without a rule of the
// broker: 96.
func AllCircumstances() []Circumstances {
	var all []Circumstances
	for _, enforced := range []bool{false, true} {
		for _, will := range []bool{false, true} {
			for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
				for qos := range mqtt.ExactlyOnce + 1 {
					for _, d := range Deliveries {
						all = append(all, Circumstances{will, v, qos, d, enforced})
					}
				}
			}
		}
	}
	return all
}

// words are the values of column where that hold.
func (c *Circumstances) words() []string {
	w := []string{"publish", "v3.1.1", "qos" + strconv.Itoa(int(c.QoS)), string(c.Delivery)}
	if c.Will {
		w[0] = "will"
	}
	if c.Version == mqtt.V5 {
		w[1] = "v5"
	}
	if c.Enforced {
		w = append(w, "enforced")
	}
	return w
}

// String is the words in a line.
func (c Circumstances) String() string {
	return strings.Join(c.words(), " ")
}

// disk reports whether the trial needs a broker that keeps state on disk.
func (c *Circumstances) disk() bool { return c.Delivery == Retained || c.Delivery == Offline }

// Sample is one of all circumstances for those who have no minute: every value occurs.
func Sample() []Circumstances {
	return []Circumstances{
		{false, mqtt.V5, mqtt.AtLeastOnce, Live, true},
		{true, mqtt.V311, mqtt.AtMostOnce, Retained, false},
		{false, mqtt.V311, mqtt.ExactlyOnce, Offline, false},
		{true, mqtt.V5, mqtt.AtLeastOnce, Share, true},
	}
}
