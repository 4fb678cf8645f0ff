package cbor

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// ErrMalformed is wrapped by every error of a Reader: the bytes are not the
// item the caller's shape requires, or not its strict encoding.
var ErrMalformed = errors.New("malformed CBOR")

// Reader reads one buffer item by item. The zero value reads an empty buffer.
// After an error its position is unspecified.
type Reader struct {
	b   []byte
	off int
}

// NewReader returns a reader of b. What it returns aliases b.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Offset returns the number of bytes read.
func (r *Reader) Offset() int { return r.off }

// Done returns an error if bytes follow the last item.
func (r *Reader) Done() error {
	if r.off != len(r.b) {
		return r.fail("trailing bytes")
	}
	return nil
}

func (r *Reader) fail(what string) error {
	return fmt.Errorf("%w: %s at byte %d", ErrMalformed, what, r.off)
}

// head reads one head and refuses every form that is not the shortest.
func (r *Reader) head() (major byte, n uint64, err error) {
	if r.off >= len(r.b) {
		return 0, 0, r.fail("truncated")
	}
	first := r.b[r.off]
	major, info := first>>5, first&0x1f
	if info < 24 {
		r.off++
		return major, uint64(info), nil
	}
	if info > 27 {
		return 0, 0, r.fail("indefinite or reserved length")
	}
	if major == majorOther {
		return 0, 0, r.fail("float or extended simple value")
	}
	width := 1 << (info - 24)
	if len(r.b)-r.off-1 < width {
		return 0, 0, r.fail("truncated head")
	}
	for _, c := range r.b[r.off+1 : r.off+1+width] {
		n = n<<8 | uint64(c)
	}
	// The shortest form needs a value that the next smaller width cannot hold.
	if (width == 1 && n < 24) || (width > 1 && n>>(4*width) == 0) {
		return 0, 0, r.fail("head is not the shortest form")
	}
	r.off += 1 + width
	return major, n, nil
}

// expect reads the head of an item of one major type. Heads of one byte, which most are, take the short way.
func (r *Reader) expect(major byte, what string) (uint64, error) {
	if r.off < len(r.b) {
		if first := r.b[r.off]; first>>5 == major && first&0x1f < 24 {
			r.off++
			return uint64(first & 0x1f), nil
		}
	}
	return r.expectLong(major, what)
}

func (r *Reader) expectLong(major byte, what string) (uint64, error) {
	start := r.off
	m, n, err := r.head()
	if err != nil {
		return 0, err
	}
	if m != major {
		r.off = start
		return 0, r.fail("not " + what)
	}
	return n, nil
}

// Uint reads an unsigned integer.
func (r *Reader) Uint() (uint64, error) { return r.expect(majorUint, "an unsigned integer") }

// Int reads an integer that fits int64.
func (r *Reader) Int() (int64, error) {
	if r.off < len(r.b) && r.b[r.off] < 24 {
		r.off++
		return int64(r.b[r.off-1]), nil
	}
	return r.longInt()
}

func (r *Reader) longInt() (int64, error) {
	start := r.off
	m, n, err := r.head()
	if err != nil {
		return 0, err
	}
	if m > majorNint || n > math.MaxInt64 {
		r.off = start
		return 0, r.fail("not an integer of 64 bits")
	}
	if m == majorNint {
		return -1 - int64(n), nil
	}
	return int64(n), nil
}

// Bytes reads a byte string. The result is never nil and has no spare
// capacity, so that appending to it cannot overwrite the input.
func (r *Reader) Bytes() ([]byte, error) {
	if rest := r.b[r.off:]; len(rest) > 1 && rest[0]>>5 == majorBytes { // the two short heads
		at, n := 1, int(rest[0]&0x1f)
		if n == 24 && rest[1] >= 24 {
			at, n = 2, int(rest[1])
		}
		if (n < 24 || at == 2) && n <= len(rest)-at {
			r.off += at + n
			return rest[at : at+n : at+n], nil
		}
	}
	n, err := r.expect(majorBytes, "a byte string")
	if err != nil {
		return nil, err
	}
	return r.take(n)
}

// Text reads a text string of valid UTF-8; the result aliases the input.
func (r *Reader) Text() ([]byte, error) {
	n, err := r.expect(majorText, "a text string")
	if err != nil {
		return nil, err
	}
	s, err := r.take(n)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(s) {
		return nil, r.fail("invalid UTF-8")
	}
	return s, nil
}

func (r *Reader) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.b)-r.off) {
		return nil, r.fail("string is longer than the input")
	}
	end := r.off + int(n)
	s := r.b[r.off:end:end]
	r.off = end
	return s, nil
}

// Array reads the head of an array and returns its number of items, which is
// never more than the bytes that follow.
func (r *Reader) Array() (int, error) { return r.container(majorArray, "an array", 1) }

// Map reads the head of a map and returns its number of pairs.
func (r *Reader) Map() (int, error) { return r.container(majorMap, "a map", 2) }

func (r *Reader) container(major byte, what string, perItem int) (int, error) {
	n, err := r.expect(major, what)
	if err != nil {
		return 0, err
	}
	if n > uint64((len(r.b)-r.off)/perItem) {
		return 0, r.fail("container is longer than the input")
	}
	return int(n), nil
}

// Tag reads a tag number; the tagged item follows.
func (r *Reader) Tag() (uint64, error) { return r.expect(majorTag, "a tag") }

// Bool reads true or false.
func (r *Reader) Bool() (bool, error) {
	if r.off < len(r.b) {
		switch r.b[r.off] {
		case simpleFalse, simpleTrue:
			r.off++
			return r.b[r.off-1] == simpleTrue, nil
		}
	}
	return false, r.fail("not a boolean")
}

// IsBool reports whether the next item is true or false.
func (r *Reader) IsBool() bool {
	return r.off < len(r.b) && (r.b[r.off] == simpleFalse || r.b[r.off] == simpleTrue)
}

// Null reads null.
func (r *Reader) Null() error {
	if r.off < len(r.b) && r.b[r.off] == simpleNull {
		r.off++
		return nil
	}
	return r.fail("not null")
}
