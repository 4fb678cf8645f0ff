package topic

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// readVectors reads a file of vectors/topic. A field that T does not know is an error.
func readVectors[T any](t *testing.T, file string) []T {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../vectors/topic", file))
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var list []T
	if err := dec.Decode(&list); err != nil || len(list) < 10 {
		t.Fatalf("%s: %d vectors, %v", file, len(list), err)
	}
	return list
}

// outcome puts a refusal into the words of the vectors.
func outcome(err error) string {
	var e *Error
	switch {
	case err == nil:
		return "ok"
	case !errors.As(err, &e):
		return err.Error()
	}
	return map[Kind]string{
		InvalidName: "invalid-name", InvalidFilter: "invalid-filter", TooManyLevels: "too-many-levels",
	}[e.Kind]
}

func TestNameVectors(t *testing.T) {
	for _, x := range readVectors[struct{ Text, Expect string }](t, "names.json") {
		n, err := ParseName(x.Text)
		if outcome(err) != x.Expect || err == nil && string(n) != x.Text {
			t.Errorf("%.40q: %q, %v; want %s", x.Text, n, err, x.Expect)
		}
	}
}

func TestSubscriptionVectors(t *testing.T) {
	type vector struct {
		Text, Expect, Filter string
		ShareName            string `json:"share_name"`
	}
	for _, x := range readVectors[vector](t, "subscriptions.json") {
		share, f, err := ParseSubscription(x.Text)
		if outcome(err) != x.Expect || string(share) != x.ShareName || string(f) != x.Filter {
			t.Errorf("%.40q: %q, %q, %v; want %s", x.Text, share, f, err, x.Expect)
		}
	}
}

func TestMatchVectors(t *testing.T) {
	type vector struct {
		Filter  Filter
		Name    Name
		Matches bool
	}
	for _, x := range readVectors[vector](t, "matches.json") {
		if got := x.Filter.Matches(x.Name); got != x.Matches {
			t.Errorf("%q matches %q: %t", x.Filter, x.Name, got)
		}
	}
}
