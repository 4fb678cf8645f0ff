// Package conformance ties the normative statements of the MQTT standards to the code and tests that honour them.
//
// docs/conformance holds one table for MQTT 5.0 and one for 3.1.1, a row for each statement. A test says which
// statements it proves with Covers; code cites a statement in a comment, in brackets. A test of this package compares
// the three, and generates the published page.
//
// A statement of MQTT 5.0 is written as the standard writes it, MQTT-3.1.0-1. The numbers of 3.1.1 mean other
// statements, so those are written MQTT311-3.1.0-1.
package conformance

import (
	"regexp"
	"testing"
)

// AllowOpen permits rows with the status open, and declarations that a table does not list yet. It is true while the
// broker is being built; a release has it false.
const AllowOpen = false

var idPattern = regexp.MustCompile(`^MQTT(311)?-[0-9]+(\.[0-9]+)+-[0-9]+$`)

// Covers declares that the running test proves the given statements. The identifiers must be string literals, and the
// call must stand in a function whose name begins with Test or Fuzz, because the table's test finds it in the source.
// The declaration also reaches the test's output as an attribute.
func Covers(t testing.TB, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if !idPattern.MatchString(id) {
			t.Errorf("%q is not the identifier of a normative statement", id)
			continue
		}
		t.Attr("conformance", id)
	}
}
