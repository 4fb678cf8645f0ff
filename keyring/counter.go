package keyring

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/sealmq/sealmq/internal/privfile"
)

// ErrExhausted is wrapped when a counter or a message budget has come to its
// end: the key must be rotated.
var ErrExhausted = errors.New("limit reached, rotate the key")

// Counter is a number in a file that only grows. Every change is made under an
// exclusive lock shared by all processes and is durable before it is used, so
// that no value is given out twice, whatever crashes. It is safe for
// concurrent use. A file that cannot be understood is an error, never zero.
type Counter struct {
	path string
	max  uint64
}

// NewCounter returns the counter in the file path, which need not exist yet:
// a missing file counts from zero. max is the largest value it will reach.
func NewCounter(path string, max uint64) *Counter { return &Counter{path: path, max: max} }

// Value returns the last value stored.
func (c *Counter) Value() (uint64, error) {
	b, err := privfile.Read(c.path, 64)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	text := strings.TrimSuffix(string(b), "\n")
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil || strconv.FormatUint(v, 10) != text {
		return 0, fmt.Errorf("counter %s holds %q", c.path, text)
	}
	return v, nil
}

// Reserve adds n and returns the new value: the caller owns the n values up to
// and including it.
func (c *Counter) Reserve(n uint64) (uint64, error) {
	return c.update(func(v uint64) (uint64, error) {
		if n > c.max || v > c.max-n {
			return 0, fmt.Errorf("counter %s at %d of %d: %w", c.path, v, c.max, ErrExhausted)
		}
		return v + n, nil
	})
}

// ReserveFrom works like Reserve(1), but returns at least floor: a boot counter
// may start from the clock.
func (c *Counter) ReserveFrom(floor uint64) (uint64, error) {
	return c.update(func(v uint64) (uint64, error) {
		if v >= c.max || floor > c.max {
			return 0, fmt.Errorf("counter %s at %d of %d: %w", c.path, v, c.max, ErrExhausted)
		}
		return max(v+1, floor), nil
	})
}

// Raise sets the counter to v, which must be above its value.
func (c *Counter) Raise(v uint64) error {
	_, err := c.update(func(old uint64) (uint64, error) {
		if v <= old || v > c.max {
			return 0, fmt.Errorf("counter %s at %d of %d cannot be raised to %d", c.path, old, c.max, v)
		}
		return v, nil
	})
	return err
}

func (c *Counter) update(f func(uint64) (uint64, error)) (next uint64, err error) {
	err = privfile.WithLock(c.path+".lock", func() error {
		v, err := c.Value()
		if err != nil {
			return err
		}
		if next, err = f(v); err != nil {
			return err
		}
		return privfile.Write(c.path, strconv.AppendUint(nil, next, 10))
	})
	return next, err
}

// maxBoot is the largest boot number of a session.
const maxBoot = math.MaxUint32
