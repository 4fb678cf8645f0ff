package bench

import "fmt"

// Advice is what a kind of device should use.
type Advice struct {
	Profile string `json:"profile"`
	Connect string `json:"connect"` // a mechanism of Connecting
	Message string `json:"message"` // a mechanism of Messaging
	Why     string `json:"why"`
	Else    string `json:"otherwise"` // what would change the choice
}

// advise picks for each profile among the mechanisms that fit it, with the figures that were measured.
func advise(r *Result) []Advice {
	c := func(name string) string {
		x := r.Connect(name)
		trips := "round trips"
		if x.Traffic.Trips == 1 {
			trips = "round trip"
		}
		return fmt.Sprintf("%d bytes and %d %s to connect%s", x.Traffic.Up+x.Traffic.Down, x.Traffic.Trips, trips, cpu(", %.0f µs of the broker", x.BrokerCPU))
	}
	m := func(name string) string {
		x := r.Message(name)
		return fmt.Sprintf("%+d bytes a message%s", x.Overhead, cpu(", %.1f µs to seal", x.Seal))
	}
	tls := "mtls"
	why := "certificates can be revoked one by one, and no password is kept anywhere"
	if a, b := r.Connect("mtls").BrokerCPU, r.Connect("tls-scram").BrokerCPU; a.Known() && b.Known() && a.Median > 3*b.Median {
		tls, why = "tls-scram", "client certificates cost the broker more than three times as much here"
	}
	small := "mac"
	smallWhy := "the fewest bytes that an attacker cannot make"
	if e := r.Message("encrypt"); e.Traffic.Up < r.Message("mac").Traffic.Up {
		small, smallWhy = "encrypt", "it hides the content, too, and takes fewer bytes than a MAC"
	}
	return []Advice{
		{
			"TLS-capable", tls, "sign", fmt.Sprintf("%s: %s. Sign commands, so that the broker cannot forge them: %s.", why, c(tls), m("sign")),
			"tls-password for a few people's tools; sign+encrypt where the broker must not read",
		},
		{
			"PSK-only", "psk", small, fmt.Sprintf("the least handshake that hides everything on the way: %s. On top, %s: %s.", c("psk"), smallWhy, m(small)),
			"mtls as soon as the device can keep a certificate; a key for each device in any case",
		},
		{
			"payload-only", "p2", "encrypt", fmt.Sprintf("no TLS stack is needed, and neither key nor content crosses the wire: %s; %s.", c("p2"), m("encrypt")),
			"p3 and sign+encrypt where a stolen broker must not be able to be the device; topics and sizes stay visible",
		},
		{
			"very small", "p2", small, fmt.Sprintf("symmetric keys only, few bytes: %s; %s: %s.", c("p2"), smallWhy, m(small)),
			"checksum only against a bad line: it stops nobody; the gateway of a site can seal for devices that cannot",
		},
	}
}

func cpu(format string, f Figure) string {
	if !f.Known() {
		return ""
	}
	return fmt.Sprintf(format, f.Median)
}
