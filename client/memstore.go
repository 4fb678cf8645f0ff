package client

import (
	"bytes"
	"sync"
)

// MemoryStore is a Store in memory: it outlives a Client, not the process. Its zero value is empty and ready for use.
type MemoryStore struct {
	mu      sync.Mutex // guards records
	records map[Key]Record
}

var _ Store = (*MemoryStore)(nil)

// Save implements Store.
func (s *MemoryStore) Save(r Record) error {
	r.Packet = bytes.Clone(r.Packet)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records == nil {
		s.records = make(map[Key]Record)
	}
	s.records[r.Key] = r
	return nil
}

// Delete implements Store.
func (s *MemoryStore) Delete(k Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, k)
	return nil
}

// Load implements Store.
func (s *MemoryStore) Load(yield func(Record) error) error {
	s.mu.Lock()
	all := make([]Record, 0, len(s.records))
	for _, r := range s.records {
		all = append(all, r)
	}
	s.mu.Unlock()
	for _, r := range all {
		if err := yield(r); err != nil {
			return err
		}
	}
	return nil
}

// Len returns how many records there are.
func (s *MemoryStore) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records)
}
