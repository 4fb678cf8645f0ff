package cose

import (
	"errors"
	"fmt"

	"github.com/sealmq/sealmq/internal/cbor"
)

var (
	// ErrMalformed is wrapped by every error about the shape of the input.
	ErrMalformed = cbor.ErrMalformed
	// ErrVerify is the one error of every cryptographic check: tag, signature,
	// key wrap and point on the curve. It carries no cause, so that a caller
	// that shows it to a peer shows nothing.
	ErrVerify = errors.New("message does not verify")
	// ErrUnsupported is wrapped when an algorithm or a parameter is known to
	// COSE but not allowed here; the text names it.
	ErrUnsupported = errors.New("not supported")
	// ErrKey is wrapped when a key does not fit the operation asked of it.
	ErrKey = errors.New("unsuitable key")
)

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }
