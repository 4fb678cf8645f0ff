package broker

import (
	"errors"
	"testing"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

var errRemoved = errors.New("the account is gone")

// TestRecheckLogins: connections whose login is no longer good end, others do not notice, and a login that is under way
// while the accounts change is judged by the new ones.
func TestRecheckLogins(t *testing.T) {
	bubble(t, func(r *rig) {
		gone := func(_ *identity.Evidence, p *identity.Principal) error {
			if p != nil && p.Name == "mallory" {
				return errRemoved
			}
			return nil
		}
		alice, mallory, silent := r.connect("a", user("alice")), r.connect("m", user("mallory")), r.open()
		r.settle()
		if n := r.b.Recheck(gone); n != 1 {
			t.Errorf("%d connections ended", n)
		}
		mallory.ejected(mqtt.NotAuthorized)
		alice.ping()
		silent.login("b", user("bob"))
		silent.ping()

		r.authn.login = func(cr *identity.Credentials) identity.Verdict {
			r.b.Recheck(gone) // the files change after they were asked
			return identity.Verdict{Outcome: identity.Accepted, Principal: identity.Principal{Method: "password", Name: cr.Username}}
		}
		late := r.open()
		late.send(connectPacket("l", user("mallory")))
		late.refused(mqtt.NotAuthorized)
		late2 := r.connect("l2", user("carol"))
		late2.ping()
		if s, err := r.b.Session("l"); err == nil {
			t.Errorf("a refused login has a session: %+v", s)
		}
	})
}
