// Package vectors gives programs the tables of this folder that they need at run time.
package vectors

import _ "embed"

// Outcomes is outcomes.tsv: what each mechanism stops, and what it does not.
//
//go:embed outcomes.tsv
var Outcomes string
