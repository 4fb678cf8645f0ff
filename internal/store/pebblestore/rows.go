package pebblestore

import (
	"encoding/binary"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// rows reads a range of rows in key order, each one checked. Key and record are valid until the next call.
type rows struct {
	s      *Store
	it     *pebble.Iterator
	begun  bool
	last   [9]byte // start of the last key seen
	key    []byte
	record []byte
	err    error
	// damaged, when set, is told about each row that is dropped because LoseDamagedRecords says so.
	damaged func(key []byte)
}

// table reads all rows of one table.
func (s *Store) table(from pebble.Reader, table byte) (*rows, error) {
	return s.rows(from, []byte{table}, []byte{table + 1})
}

func (s *Store) rows(from pebble.Reader, lower, upper []byte) (*rows, error) {
	it, err := from.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, s.engineError("read", err)
	}
	r := &rows{s: s, it: it}
	copy(r.last[:], lower)
	return r, nil
}

// next goes to the next row that can be read. It returns false at the end and after an error, which is in err then.
func (r *rows) next() bool {
	for r.err == nil {
		ok := false
		if r.begun {
			ok = r.it.Next()
		} else {
			ok = r.it.First()
			r.begun = true
		}
		if !ok && r.it.Error() != nil {
			ok = r.skipDamage()
		}
		if !ok {
			break
		}
		copy(r.last[:], r.it.Key())
		value, err := r.it.ValueAndErr()
		if err == nil {
			r.record, err = unseal(r.it.Key(), value)
		}
		if err == nil {
			r.key = r.it.Key()
			return true
		}
		r.drop(r.it.Key(), err)
	}
	r.key, r.record = nil, nil
	return false
}

// drop leaves out the current row, whose record is damaged, or ends the scan.
func (r *rows) drop(key []byte, err error) {
	damage := r.s.damaged(key, err)
	if !r.s.opts.LoseDamagedRecords {
		r.err = damage
		return
	}
	r.s.opts.Logger.Error("store: damaged row dropped", "dir", r.s.dir, "row", keyName(key), "error", err)
	if r.damaged != nil {
		r.damaged(slices.Clone(key))
	}
}

// skipDamage goes on behind a block that Pebble cannot read: it seeks further and further ahead of the last good row,
// at most twice as far as the damage reaches. It returns false when nothing is left or nothing may be lost.
func (r *rows) skipDamage() bool {
	cause := r.it.Error()
	if !r.s.opts.LoseDamagedRecords || !pebble.IsCorruptionError(cause) {
		r.err = r.s.engineError("read", cause)
		return false
	}
	n := binary.BigEndian.Uint64(r.last[1:])
	r.s.opts.Logger.Error("store: damaged block dropped", "dir", r.s.dir, "after", keyName(r.last[:]), "error", cause.Error())
	for step := uint64(1); step != 0 && n+step > n; step *= 2 {
		seek := keyNumber(nil, r.last[0], n+step)
		if r.it.SeekGE(seek) {
			return true
		}
		if r.it.Error() == nil {
			return false
		}
	}
	r.err = r.s.engineError("read", cause)
	return false
}

// close ends the scan and returns its error.
func (r *rows) close() error {
	err := r.it.Close()
	if r.err == nil && err != nil && !r.s.opts.LoseDamagedRecords {
		r.err = r.s.engineError("read", err)
	}
	return r.err
}
