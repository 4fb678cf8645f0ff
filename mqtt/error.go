package mqtt

import (
	"errors"
	"fmt"
)

// Error is a refusal of a packet: the reason code to answer with, the clause that was broken and what was wrong.
// Clause is a normative identifier without its brackets ("MQTT-3.3.1-4"; for MQTT 3.1 and 3.1.1 packets that of
// 3.1.1) or, where the standard gives none, a section ("MQTT 5 §2.2.2.2"). Err never quotes what the peer sent.
type Error struct {
	Code   ReasonCode
	Clause string
	Err    error
}

// Error describes the refusal: what was wrong, the code and the clause.
func (e *Error) Error() string {
	text := fmt.Sprintf("0x%02X %s", uint8(e.Code), e.Code)
	if e.Err != nil {
		text = e.Err.Error() + ": " + text
	}
	if e.Clause != "" {
		text += " [" + e.Clause + "]"
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an *Error with the same code and, if target names one, the same clause.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && (t.Clause == "" || t.Clause == e.Clause)
}

// refuse builds an *Error.
func refuse(code ReasonCode, clause, text string) error {
	return &Error{Code: code, Clause: clause, Err: errors.New(text)}
}

// clause picks the identifier of the standard that the version belongs to.
func (v Version) clause(v311, v5 string) string {
	if v == V5 {
		return v5
	}
	return v311
}
