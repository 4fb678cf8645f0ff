package broker

import (
	"slices"

	"github.com/sealmq/sealmq/internal/store"
)

// subscriptions are the rows of one session by filter. Most sessions have a few: a map would take more memory for one of
// them than all the rest of an idle connection's session. The index exists while there are more than fewRows.
type subscriptions struct {
	rows  []store.Subscription // in no particular order
	index map[string]int32     // places in rows
}

// fewRows is how many rows are searched one after the other.
const fewRows = 8

func (s *subscriptions) len() int { return len(s.rows) }

func (s *subscriptions) find(filter string) (place int, ok bool) {
	if s.index != nil {
		i, ok := s.index[filter]
		return int(i), ok
	}
	i := slices.IndexFunc(s.rows, func(r store.Subscription) bool { return r.Filter == filter })
	return i, i >= 0
}

// has reports whether there is a row for filter.
func (s *subscriptions) has(filter string) bool {
	_, ok := s.find(filter)
	return ok
}

// adopt takes over rows with different filters. There must be none yet.
func (s *subscriptions) adopt(rows []store.Subscription) {
	if len(rows) <= fewRows {
		s.rows = rows
		return
	}
	for i := range rows {
		s.put(rows[i])
	}
}

// put adds a row, or replaces that of the same filter.
func (s *subscriptions) put(row store.Subscription) {
	if i, ok := s.find(row.Filter); ok {
		s.rows[i] = row
		return
	}
	if s.rows == nil {
		s.rows = make([]store.Subscription, 0, 1)
	}
	s.rows = append(s.rows, row)
	switch {
	case s.index != nil:
		s.index[row.Filter] = int32(len(s.rows) - 1)
	case len(s.rows) > fewRows:
		s.index = make(map[string]int32, 2*len(s.rows))
		for i := range s.rows {
			s.index[s.rows[i].Filter] = int32(i)
		}
	}
}

// remove removes the row of filter and reports whether there was one. The last row takes its place.
func (s *subscriptions) remove(filter string) bool {
	i, ok := s.find(filter)
	if !ok {
		return false
	}
	last := len(s.rows) - 1
	if s.index != nil {
		s.index[s.rows[last].Filter] = int32(i)
		delete(s.index, filter)
	}
	s.rows[i] = s.rows[last]
	s.rows[last] = store.Subscription{}
	s.rows = s.rows[:last]
	if last <= fewRows/2 && s.index != nil {
		s.rows, s.index = slices.Clone(s.rows), nil
	}
	return true
}
