package payload

import (
	"strings"

	"github.com/sealmq/sealmq/protect"
)

// rowPrefix is what the names of the replay rows begin with among the metadata of the store.
const rowPrefix = "replay/"

// Rows is the part of a store that keeps replay rows. Put and Delete do not wait: rows become durable in the order of the
// calls, and not after what is stored later.
type Rows interface {
	Each(prefix string, yield func(key string, value []byte) error) error
	Put(key string, value []byte)
	Delete(key string)
}

// NewReplay returns the replay state kept in rows.
func NewReplay(rows Rows) (*protect.Replay, error) {
	return protect.NewJournal(protect.ReplayLimits{}, stateRows{rows})
}

// stateRows fits Rows to protect.StateStore.
type stateRows struct{ rows Rows }

// Load implements protect.StateStore.
func (s stateRows) Load(yield func(key, value []byte) error) error {
	return s.rows.Each(rowPrefix, func(key string, value []byte) error {
		return yield([]byte(strings.TrimPrefix(key, rowPrefix)), value)
	})
}

// Save implements protect.StateStore.
func (s stateRows) Save(key, value []byte) error {
	if value == nil {
		s.rows.Delete(rowPrefix + string(key))
		return nil
	}
	s.rows.Put(rowPrefix+string(key), value)
	return nil
}
