package memstore

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/internal/store"
)

// TestQueue compares the queue with a map under random puts and removes, in any order.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		want := map[store.Ord]store.QueueRow{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			ord := store.Ord(rapid.IntRange(1, 20).Draw(t, "ord"))
			_, there := want[ord]
			if rapid.Bool().Draw(t, "put") {
				row := store.QueueRow{Ord: ord, Pointer: store.Pointer{Size: rapid.Uint32Range(0, 9).Draw(t, "size")}}
				if q.put(row) == there {
					t.Fatalf("put of %d: there before: %v", ord, there)
				}
				want[ord] = row
				continue
			}
			row, ok := q.remove(ord)
			if ok != there || ok && row.Size != want[ord].Size {
				t.Fatalf("remove(%d) = %+v, %v", ord, row, ok)
			}
			delete(want, ord)
		}
		keys := sortedKeys(want)
		bytes := int64(0)
		for i, row := range q.page(1, 100) {
			if row.Ord != keys[i] || row.Size != want[row.Ord].Size {
				t.Fatalf("row %d is %+v", i, row)
			}
			bytes += int64(row.Size)
		}
		first, last := q.ends()
		if q.len() != len(want) || q.bytes != bytes ||
			len(keys) > 0 && (first != slices.Min(keys) || last != slices.Max(keys)) || len(keys) == 0 && (first != 0 || last != 0) {
			t.Fatalf("%d rows, %d bytes, from %d to %d; want %v", q.len(), q.bytes, first, last, keys)
		}
	})
}
