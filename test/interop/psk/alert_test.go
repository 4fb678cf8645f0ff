//go:build interop

package psk

import (
	"errors"

	"github.com/sealmq/sealmq/psktls"
)

// alertOf gives the alert of an error: peers differ in how they refuse.
func alertOf(err error) psktls.Alert {
	var e *psktls.Error
	if errors.As(err, &e) {
		return e.Alert
	}
	return psktls.AlertNone
}
