package topic

import (
	"errors"
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	deep := strings.Repeat("/", MaxLevels-1)
	for _, s := range []string{"a", "/", "//", "a/b", "a//b", "/a", "a/", "$SYS/x", "日本/語", " ", "a b", deep, "$share/g/x"} {
		if n, err := ParseName(s); err != nil || string(n) != s {
			t.Errorf("%q: %q, %v", s, n, err)
		}
	}
	for _, c := range []struct {
		s      string
		kind   Kind
		offset int
	}{
		{"", InvalidName, 0},
		{"a/+", InvalidName, 2},
		{"#", InvalidName, 0},
		{"a#", InvalidName, 1},
		{"a\x00b", InvalidName, 1},
		{deep + "/", TooManyLevels, MaxLevels - 1},
		{strings.Repeat("/", MaxLength), TooManyLevels, MaxLevels - 1},
		{strings.Repeat("a", MaxLength+1), InvalidName, MaxLength},
	} {
		n, err := ParseName(c.s)
		checkRefusal(t, c.s, string(n), err, c.kind, c.offset)
	}
}

// checkRefusal compares the kind and the place of a refusal.
func checkRefusal(t *testing.T, s, result string, err error, kind Kind, offset int) {
	t.Helper()
	var e *Error
	if result != "" || !errors.As(err, &e) || e.Kind != kind || e.Offset != offset || e.Text == "" {
		t.Errorf("%.40q: %q, %v; want %s at %d", s, result, err, kind, offset)
		return
	}
	if !errors.Is(err, &Error{Kind: kind}) || errors.Is(err, &Error{}) {
		t.Errorf("%.40q: errors.Is does not follow the kind", s)
	}
}

func TestParseFilter(t *testing.T) {
	deep := strings.Repeat("/", MaxLevels-1)
	for _, s := range []string{
		"a", "/", "#", "+", "+/+", "/+", "+/", "a/#", "/#", "+/a/#", "a/+/b", "a//#", "$SYS/#", "$share", "$shared/x", deep,
		deep + "#", "日本/+",
	} {
		if f, err := ParseFilter(s); err != nil || string(f) != s {
			t.Errorf("%q: %q, %v", s, f, err)
		}
	}
	for _, c := range []struct {
		s      string
		kind   Kind
		offset int
	}{
		{"", InvalidFilter, 0},
		{"a/b#", InvalidFilter, 3},
		{"a+", InvalidFilter, 1},
		{"+a", InvalidFilter, 1},
		{"#/x", InvalidFilter, 1},
		{"#a", InvalidFilter, 1},
		{"a/#/b", InvalidFilter, 3},
		{"##", InvalidFilter, 1},
		{"++", InvalidFilter, 1},
		{"a/+#", InvalidFilter, 3},
		{"a/#+", InvalidFilter, 3},
		{"a/\x00", InvalidFilter, 2},
		{"$share/g/a", InvalidFilter, 0},
		{"$share/", InvalidFilter, 0},
		{deep + "/#", TooManyLevels, MaxLevels - 1},
		{strings.Repeat("a", MaxLength+1), InvalidFilter, MaxLength},
	} {
		f, err := ParseFilter(c.s)
		if err == nil {
			t.Errorf("%q was accepted", c.s)
			continue
		}
		checkRefusal(t, c.s, string(f), err, c.kind, c.offset)
	}
}

func TestParseSubscription(t *testing.T) {
	for _, c := range []struct{ s, share, filter string }{
		{"a/+", "", "a/+"},
		{"$SYS/#", "", "$SYS/#"},
		{"$share", "", "$share"},
		{"$shared/g/a", "", "$shared/g/a"},
		{"$share/g/a", "g", "a"},
		{"$share/g/#", "g", "#"},
		{"$share/g//", "g", "/"},
		{"$share/g//a", "g", "/a"},
		{"$share/$g/$SYS/#", "$g", "$SYS/#"},
		{"$share/g/$share/h/a", "g", "$share/h/a"},
	} {
		share, filter, err := ParseSubscription(c.s)
		if err != nil || string(share) != c.share || string(filter) != c.filter {
			t.Errorf("%q: %q, %q, %v", c.s, share, filter, err)
		}
	}
	for _, c := range []struct {
		s      string
		kind   Kind
		offset int
	}{
		{"", InvalidFilter, 0},
		{"$share/", InvalidFilter, 7},
		{"$share//", InvalidFilter, 7},
		{"$share//x", InvalidFilter, 7},
		{"$share/g", InvalidFilter, 8},
		{"$share/g/", InvalidFilter, 9},
		{"$share/+/x", InvalidFilter, 7},
		{"$share/a#/x", InvalidFilter, 8},
		{"$share/a\x00/x", InvalidFilter, 8},
		{"$share/g/a+", InvalidFilter, 10},
		{"$share/g/#/a", InvalidFilter, 10},
		{"$share/g/a\x00", InvalidFilter, 10},
		{"$share/g/" + strings.Repeat("/", MaxLevels), TooManyLevels, 9 + MaxLevels - 1},
	} {
		share, filter, err := ParseSubscription(c.s)
		checkRefusal(t, c.s, string(share)+string(filter), err, c.kind, c.offset)
	}
}

func TestLevels(t *testing.T) {
	for s, want := range map[string]int{"a": 1, "": 1, "/": 2, "a/b/c": 3, "//": 3, "a/#": 2} {
		if got := Levels(s); got != want {
			t.Errorf("Levels(%q) = %d, want %d", s, got, want)
		}
	}
}

func TestErrorText(t *testing.T) {
	_, err := ParseFilter("a/b#")
	if got, want := err.Error(), "invalid topic filter: wildcard after other characters of its level at byte 3"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if Kind(0).String() != "invalid" || Kind(99).String() != "invalid" {
		t.Error("names of unknown kinds")
	}
}
