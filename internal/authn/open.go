// Package authn decides who a client is.
package authn

import (
	"context"
	"errors"

	"github.com/sealmq/sealmq/internal/identity"
)

// Open lets clients in that prove nothing, on loopback only, when Anonymous says so. User names and passwords are not
// looked at: what they claim is not proved, so everybody is identity.Anonymous.
type Open struct {
	Anonymous bool
}

var (
	errNoLogin     = errors.New("anonymous clients are not allowed (auth.anonymous) and no login method is configured")
	errNotLoopback = errors.New("anonymous clients are allowed on loopback only")
	errNoMethod    = errors.New("the authentication method is not offered")
)

// Authenticate implements the broker's seam. It is safe for concurrent use.
func (o Open) Authenticate(_ context.Context, ev *identity.Evidence, cr *identity.Credentials) identity.Verdict {
	switch {
	case cr.Method != "":
		return identity.Verdict{Failure: identity.BadMethod, Cause: errNoMethod}
	case !o.Anonymous:
		return identity.Verdict{Failure: identity.NotPermitted, Cause: errNoLogin}
	case !ev.Loopback:
		return identity.Verdict{Failure: identity.NotPermitted, Cause: errNotLoopback}
	}
	return identity.Verdict{Outcome: identity.Accepted, Principal: identity.Anonymous}
}
