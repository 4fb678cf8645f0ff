package demo

import (
	"github.com/sealmq/sealmq/internal/outcomes"
)

// Schema names the form of a Result in JSON.
const Schema = "sealmq.demo/1"

// Result is all that happened.
type Result struct {
	Schema   string    `json:"schema"`
	OK       bool      `json:"ok"` // everything ended as declared
	Readings []Reading `json:"readings"`
	Attacks  []Line    `json:"attacks"`
	Logins   []Line    `json:"logins,omitempty"`
	Matrix   []Pair    `json:"matrix"`
	// Cells is how many trials the matrix is made of.
	Cells   int      `json:"cells"`
	Wrong   []string `json:"not_as_declared,omitempty"`
	Seconds float64  `json:"seconds"`
	Dir     string   `json:"dir,omitempty"` // what was kept
	// Ports are those of the kept set-up, by listener.
	Ports map[string]string `json:"ports,omitempty"`
}

// Reading is one sensor reading on its way.
type Reading struct {
	Way      string `json:"way"`
	Sent     string `json:"sent"`
	Wire     string `json:"wire"`
	Operator string `json:"operator"`
	Received string `json:"received"`
	// What could be read.
	WireReads     bool   `json:"wire_reads"`
	OperatorReads bool   `json:"operator_reads"`
	PasswordShows bool   `json:"password_shows"`
	Label         string `json:"label"` // what the receiver knows about it
}

// Line is one attack.
type Line struct {
	Attack    string           `json:"attack"` // as in the list of the documentation
	Mechanism string           `json:"mechanism"`
	Tried     string           `json:"tried"`
	Declared  outcomes.Outcome `json:"declared"`
	Outcome   outcomes.Outcome `json:"outcome"`
	Layer     string           `json:"layer,omitempty"` // that stopped it
	Rule      string           `json:"rule,omitempty"`
	Decision  string           `json:"decision,omitempty"` // sealmq explain finds it while the broker runs
	Check     string           `json:"check,omitempty"`    // of the receiver and the section that defines it, where no broker decided
	Why       string           `json:"why"`
	OK        bool             `json:"ok"`
}

// Pair is all trials of one attack on one mechanism.
type Pair struct {
	Mechanism string           `json:"mechanism"`
	Attack    string           `json:"attack"`
	Declared  outcomes.Outcome `json:"declared"`
	Outcome   outcomes.Outcome `json:"outcome"`
	Report    outcomes.Report  `json:"report"`
	Reason    string           `json:"reason"`
	Trials    int              `json:"trials"`
	// Exceptions are circumstances in which something else is declared.
	Exceptions []string `json:"exceptions,omitempty"`
	OK         bool     `json:"ok"`

	differs bool // an exception has another outcome
}
