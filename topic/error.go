package topic

import "strconv"

// Kind is why a string was refused, as far as a caller must tell the reasons apart.
type Kind uint8

// The kinds of refusal.
const (
	_             Kind = iota
	InvalidName        // not a Topic Name: reason code 0x90
	InvalidFilter      // not a Topic Filter or Shared Subscription: reason code 0x8F
	TooManyLevels      // a name or filter that is too deep
)

var kindNames = [...]string{"invalid", "invalid topic name", "invalid topic filter", "too many topic levels"}

// String returns the kind in words.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[0]
}

// Error tells what is wrong with a string, and where. It does not quote the string.
type Error struct {
	Kind   Kind
	Text   string
	Offset int // bytes from the start of the string
}

// Error implements error.
func (e *Error) Error() string {
	return e.Kind.String() + ": " + e.Text + " at byte " + strconv.Itoa(e.Offset)
}

// Is reports whether target is an *Error of the same kind.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind
}
