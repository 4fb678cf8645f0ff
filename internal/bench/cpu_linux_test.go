package bench

import (
	"testing"
	"time"
)

func TestMachineCPU(t *testing.T) {
	busy, all, ok := parseMachineCPU("cpu  100 20 30 400 50 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
	if !ok || busy != 1710*time.Millisecond || all != 6210*time.Millisecond {
		t.Errorf("busy %v of %v, %v", busy, all, ok)
	}
	for _, wrong := range []string{"", "cpu 1 2 3", "cpu0 1 2 3 4 5 6 7 8", "cpu 1 2 3 4 5 6 7 x"} {
		if _, _, ok := parseMachineCPU(wrong); ok {
			t.Errorf("%q is understood", wrong)
		}
	}
	if busy, all, ok := machineCPU(); !ok || busy <= 0 || busy > all {
		t.Errorf("this machine: busy %v of %v, %v", busy, all, ok)
	}
}
