package demo

import (
	"encoding/json"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestStory: everything ends as declared.
func TestStory(t *testing.T) {
	r, err := Run(t.Context(), Options{All: !testing.Short()})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range r.Wrong {
		t.Error(w)
	}
	if testing.Verbose() {
		b, _ := json.MarshalIndent(r, "", " ")
		t.Logf("%s", b)
	}
}
