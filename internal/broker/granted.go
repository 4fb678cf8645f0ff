package broker

import (
	"github.com/sealmq/sealmq/internal/identity"
)

// granted remembers what a client was last allowed to publish to. Most clients publish to one topic again and again; the
// authorizer is asked about it once for each generation of the rules. A refusal is never remembered. It belongs to the
// reader goroutine.
type granted struct {
	generation uint64
	retain     bool   // with RETAIN 1, too
	topic      []byte // empty: nothing
}

// covers reports whether a PUBLISH to name was allowed under this generation.
func (g *granted) covers(generation uint64, name string, retain bool) bool {
	return len(g.topic) > 0 && g.generation == generation && string(g.topic) == name && (g.retain || !retain)
}

// mayPublishTo asks the authorizer whether a PUBLISH may go to name, unless it said so before.
func (c *conn) mayPublishTo(name string, retain bool) error {
	generation := c.b.authz.Generation() // before the question: an answer that is older than its generation is asked again
	if c.granted.covers(generation, name, retain) {
		return nil
	}
	if d := c.b.authz.Authorize(c.principal, c.clientID, identity.Publish, name); !d.Allowed {
		return c.b.denied(c, identity.Publish, name, d)
	}
	if retain {
		if d := c.b.authz.Authorize(c.principal, c.clientID, identity.Retain, name); !d.Allowed {
			return c.b.denied(c, identity.Retain, name, d)
		}
	}
	c.granted = granted{generation: generation, retain: retain, topic: append(c.granted.topic[:0], name...)}
	return nil
}
