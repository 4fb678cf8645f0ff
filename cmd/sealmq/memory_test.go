package main

import (
	"testing"
	"time"
)

// TestAtRest says when memory goes back: after growth, in a quiet moment, and not too often.
func TestAtRest(t *testing.T) {
	const mib = 1 << 20
	start := time.Unix(1000, 0)
	for _, c := range []struct {
		name      string
		allocated uint64 // since the last look
		resident  uint64
		after     time.Duration
		want      bool
	}{
		{"grown and quiet", 0, 120 * mib, 10 * time.Second, true},
		{"grown and busy", mib, 120 * mib, 10 * time.Second, false},
		{"hardly grown", 0, 110 * mib, 10 * time.Second, false},
		{"too soon", 0, 120 * mib, 4 * time.Second, false},
	} {
		var r atRest
		r.returned(heapUse{50 * mib, 100 * mib}, start, 20*time.Millisecond)
		if got := r.due(heapUse{50*mib + c.allocated, c.resident}, start.Add(c.after)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	var r atRest
	r.returned(heapUse{0, 100 * mib}, start, time.Second)
	if r.due(heapUse{0, 200 * mib}, start.Add(99*time.Second)) || !r.due(heapUse{0, 200 * mib}, start.Add(100*time.Second)) {
		t.Error("a return that takes a second comes back after a hundred")
	}
	u := readHeapUse()
	if u.allocated == 0 || u.resident < mib {
		t.Errorf("the runtime says %+v", u)
	}
}
