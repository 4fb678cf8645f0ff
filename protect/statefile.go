package protect

import (
	"fmt"

	"github.com/sealmq/sealmq/internal/privfile"
)

// StateFile is a StateStore in one append-only file that survives a crash at
// any point: every record carries a checksum, a torn last record is dropped
// because its Save never returned, and damage anywhere else refuses the file,
// since forgetting replay state reopens replay. One process uses it at a time;
// within it the methods are safe for concurrent use.
type StateFile struct {
	log *privfile.Log
}

// OpenStateFile opens or creates the file with mode 0600, waiting for another
// process to close it.
func OpenStateFile(path string) (*StateFile, error) {
	log, err := privfile.OpenLog(path)
	if err != nil {
		return nil, fmt.Errorf("open replay state: %w", err)
	}
	return &StateFile{log: log}, nil
}

// Load implements StateStore.
func (s *StateFile) Load(yield func(key, value []byte) error) error { return s.log.Load(yield) }

// Save implements StateStore.
func (s *StateFile) Save(key, value []byte) error { return s.log.Save(key, value) }

// Copy writes what is saved to a new file at path, which must not exist. The copy
// is of one moment and survives a crash once Copy has returned.
func (s *StateFile) Copy(path string) error { return s.log.Copy(path) }

// Close releases the file. Close the Replay first: its Close saves.
func (s *StateFile) Close() error { return s.log.Close() }
