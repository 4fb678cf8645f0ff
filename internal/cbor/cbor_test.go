package cbor_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/internal/cbor"
)

// walk reads any item the reader knows, to depth 8, and writes it back.
func walk(r *cbor.Reader, dst []byte, depth int) ([]byte, error) {
	if depth > 8 {
		return nil, errors.New("too deep")
	}
	save := *r
	if v, err := r.Int(); err == nil {
		return cbor.AppendInt(dst, v), nil
	}
	*r = save
	if v, err := r.Bytes(); err == nil {
		return cbor.AppendBytes(dst, v), nil
	}
	*r = save
	if v, err := r.Text(); err == nil {
		return cbor.AppendText(dst, string(v)), nil
	}
	*r = save
	if err := r.Null(); err == nil {
		return cbor.AppendNull(dst), nil
	}
	*r = save
	if n, err := r.Tag(); err == nil {
		return walk(r, cbor.AppendTag(dst, n), depth+1)
	}
	*r = save
	items, err := r.Array()
	if err == nil {
		dst = cbor.AppendArray(dst, items)
	} else {
		*r = save
		pairs, err := r.Map()
		if err != nil {
			return nil, err
		}
		dst, items = cbor.AppendMap(dst, pairs), 2*pairs
	}
	for range items {
		if dst, err = walk(r, dst, depth+1); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// FuzzReader: whatever is accepted has exactly one encoding, its own.
func FuzzReader(f *testing.F) {
	for _, s := range []string{"00", "3863", "d08343a1010140f6", "a2010203f6", "5803010203", "1817", "9f00ff", "f90000"} {
		b, _ := hex.DecodeString(s)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := cbor.NewReader(in)
		out, err := walk(&r, nil, 0)
		if err != nil {
			return
		}
		if !bytes.Equal(out, in[:r.Offset()]) {
			t.Fatalf("read %x, wrote %x", in[:r.Offset()], out)
		}
	})
}

func TestIntegersRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.Int64().Draw(t, "n")
		r := cbor.NewReader(cbor.AppendInt(nil, want))
		got, err := r.Int()
		if err != nil || got != want || r.Done() != nil {
			t.Fatalf("got %d, %v; want %d", got, err, want)
		}
	})
	for _, n := range []uint64{0, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64} {
		r := cbor.NewReader(cbor.AppendUint(nil, n))
		if got, err := r.Uint(); err != nil || got != n {
			t.Errorf("got %d, %v; want %d", got, err, n)
		}
	}
}

func TestRefused(t *testing.T) {
	integer := func(r *cbor.Reader) error { _, err := r.Int(); return err }
	str := func(r *cbor.Reader) error { _, err := r.Bytes(); return err }
	text := func(r *cbor.Reader) error { _, err := r.Text(); return err }
	array := func(r *cbor.Reader) error { _, err := r.Array(); return err }
	mapping := func(r *cbor.Reader) error { _, err := r.Map(); return err }
	boolean := func(r *cbor.Reader) error { _, err := r.Bool(); return err }
	for _, c := range []struct {
		name, in string
		read     func(*cbor.Reader) error
	}{
		{"empty", "", integer},
		{"long zero", "1800", integer},
		{"two bytes for 255", "1900ff", integer},
		{"four bytes for 65535", "1a0000ffff", integer},
		{"eight bytes for 2^32-1", "1b00000000ffffffff", integer},
		{"beyond int64", "1b8000000000000000", integer},
		{"below int64", "3b8000000000000000", integer},
		{"truncated head", "19ff", integer},
		{"reserved head", "1c", integer},
		{"float", "f93c00", integer},
		{"simple 32", "f820", boolean},
		{"undefined", "f7", boolean},
		{"indefinite bytes", "5f4100ff", str},
		{"long length head", "580100", str},
		{"bytes past the end", "4300", str},
		{"huge bytes", "5bffffffffffffffff00", str},
		{"text for bytes", "6161", str},
		{"invalid utf-8", "61ff", text},
		{"indefinite array", "9f00ff", array},
		{"array past the end", "830000", array},
		{"indefinite map", "bf0000ff", mapping},
		{"map past the end", "a2000001", mapping},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := hex.DecodeString(c.in)
			if err != nil {
				t.Fatal(err)
			}
			r := cbor.NewReader(b)
			if err := c.read(&r); !errors.Is(err, cbor.ErrMalformed) {
				t.Errorf("got %v, want ErrMalformed", err)
			}
		})
	}
	r := cbor.NewReader([]byte{0, 0})
	if err := integer(&r); err != nil {
		t.Fatal(err)
	}
	if err := r.Done(); !errors.Is(err, cbor.ErrMalformed) {
		t.Errorf("trailing byte: got %v", err)
	}
}
