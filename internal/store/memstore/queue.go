package memstore

import (
	"cmp"
	"slices"

	"github.com/sealmq/sealmq/internal/store"
)

// queue is the rows of one session in the order of Ord. Adding at the end and removing near either end are cheap, which
// is what brokers do; the middle costs a move of the shorter side.
type queue struct {
	rows  []store.QueueRow
	bytes int64
}

func (q *queue) len() int { return len(q.rows) }

func (q *queue) ends() (first, last store.Ord) {
	if len(q.rows) == 0 {
		return 0, 0
	}
	return q.rows[0].Ord, q.rows[len(q.rows)-1].Ord
}

func (q *queue) find(ord store.Ord) (int, bool) {
	return slices.BinarySearchFunc(q.rows, ord, func(r store.QueueRow, ord store.Ord) int { return cmp.Compare(r.Ord, ord) })
}

// put adds a row and reports whether it is new; a row with the same Ord is replaced.
func (q *queue) put(row store.QueueRow) bool {
	row.SubscriptionIDs = slices.Clone(row.SubscriptionIDs)
	i, found := len(q.rows), false
	if i > 0 && row.Ord <= q.rows[i-1].Ord {
		i, found = q.find(row.Ord)
	}
	q.bytes += int64(row.Size)
	if found {
		q.bytes -= int64(q.rows[i].Size)
		q.rows[i] = row
		return false
	}
	q.rows = slices.Insert(q.rows, i, row)
	return true
}

func (q *queue) remove(ord store.Ord) (store.QueueRow, bool) {
	i, found := q.find(ord)
	if !found {
		return store.QueueRow{}, false
	}
	row := q.rows[i]
	q.bytes -= int64(row.Size)
	if i < len(q.rows)/2 {
		copy(q.rows[1:i+1], q.rows[:i])
		q.rows[0] = store.QueueRow{}
		q.rows = q.rows[1:]
	} else {
		q.rows = slices.Delete(q.rows, i, i+1)
	}
	if len(q.rows) == 0 {
		q.rows = nil
	}
	return row, true
}

// page returns up to limit rows from an Ord on. The rows' memory is the caller's, their SubscriptionIDs are shared and
// never change.
func (q *queue) page(from store.Ord, limit int) []store.QueueRow {
	i, _ := q.find(from)
	return slices.Clone(q.rows[i:min(len(q.rows), i+max(limit, 0))])
}
