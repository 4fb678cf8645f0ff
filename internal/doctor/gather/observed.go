package gather

import (
	"github.com/sealmq/sealmq/internal/doctor"
	"github.com/sealmq/sealmq/internal/probe"
)

// Observed turns what a client saw into a model.
func Observed(r *probe.Report) *doctor.Model {
	m := &doctor.Model{Dialect: doctor.Observed, Subject: r.Target, Now: now()}
	for i := range r.Endpoints {
		e := &r.Endpoints[i]
		if !e.Reachable {
			continue
		}
		place := doctor.Place{File: e.URL}
		l := doctor.Listener{
			Name: e.URL, Place: place, Address: e.URL, Loopback: e.Loopback, Encrypted: e.TLS != nil,
			Anonymous: e.Anonymous, AnonymousPlace: place, SecretsInClear: e.AsksLogin && e.TLS == nil, SecretsPlace: place,
		}
		if e.Anonymous && !e.LoggedIn {
			for _, g := range e.Granted {
				l.Wildcard = l.Wildcard || g.Filter == "#" && g.Granted
				l.ReadsSys = l.ReadsSys || g.Filter == "$SYS/#" && g.Granted
			}
		}
		if t := e.TLS; t != nil {
			if len(t.Versions) > 0 && t.Versions[0] < "1.2" {
				l.OldTLS, l.OldTLSPlace = t.Versions[0], place
			}
			c := &doctor.Certificate{File: "the certificate of " + e.URL, Place: place, NotBefore: t.Certificate.NotBefore, NotAfter: t.Certificate.NotAfter, Names: len(t.Certificate.Names)}
			if t.Leaf != nil {
				c.Weak = Weakness(t.Leaf)
			} else {
				c.Err = t.Certificate.Problem
			}
			l.Certificate = c
		}
		if lim := e.Limits; lim != nil && lim.MaximumPacketSize == 0 {
			m.Limits = append(m.Limits, doctor.Limit{
				Key: "Maximum Packet Size", Value: "not told", Place: place, Why: "a client may send packets of 256 MB", Change: "set a limit",
			})
		}
		m.Listeners = append(m.Listeners, l)
	}
	return m
}
