package guarded

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for name, good := range map[string]bool{"": false, "a": true, strings.Repeat("a", Most): true, strings.Repeat("a", Most+1): false} {
		if err := Check(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestMay(t *testing.T) {
	if !May("alice", 30, false) || May("alice", 3, false) || May("", 30, false) {
		t.Error("wrong")
	}
}
