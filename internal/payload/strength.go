package payload

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

// Strength says what the broker can check of the messages of one rule with the keys it has.
type Strength struct {
	Rule Rule
	// Proves names the keys whose messages are verified, FormOnly those of which the form alone is checked.
	Proves   []string
	FormOnly []string
	// Opens names the keys of messages that are sealed to the broker.
	Opens []string
}

// String is one line for whoever checks a configuration.
func (s *Strength) String() string {
	where := s.Rule.Topic
	if s.Rule.Place.File != "" {
		where = fmt.Sprintf("%s:%d %s", s.Rule.Place.File, s.Rule.Place.Line, s.Rule.Topic)
	}
	var parts []string
	for _, p := range []struct {
		what string
		keys []string
	}{
		{"opens and proves", s.Opens}, {"proves", s.Proves}, {"checks the form only", s.FormOnly},
	} {
		if len(p.keys) > 0 {
			parts = append(parts, p.what+": "+strings.Join(p.keys, ", "))
		}
	}
	switch {
	case len(parts) > 0:
	case s.Rule.AcceptUnknownKeys:
		parts = []string{"checks the form only, under any key"}
	case s.Rule.demands() && s.Rule.effective().Integrity <= protect.IntegrityChecksum && !s.Rule.effective().Confidential && !s.Rule.Require.EndToEnd:
		parts = []string{"proves: checksums"}
	default:
		parts = []string{"no key for its topics: nothing can meet it"}
	}
	return where + " " + strings.Join(parts, "; ")
}

// Strengths says for every rule what the broker can check of its messages: the proof, or the form only.
func Strengths(s *Settings, ring *keyring.Ring, described []*keyring.Record) []Strength {
	out := make([]Strength, len(s.Rules))
	for i := range s.Rules {
		st := &out[i]
		st.Rule = s.Rules[i]
		for _, rec := range ring.Records() {
			if !rec.Opens() || !overlaps(rec, st.Rule.Topic) {
				continue
			}
			toBroker := rec.Sender.Kind == keyring.SenderClientID || rec.Use == keyring.UseEnc && rec.Key.Private()
			switch {
			case rec.Sender.Kind == keyring.SenderRedistribution || rec.Broker:
			case rec.Use == keyring.UseEnc && !rec.Key.Private():
				st.FormOnly = add(st.FormOnly, rec)
			case rec.Use == keyring.UseR || rec.Use == keyring.UseS || rec.Use == keyring.UseMAC || rec.Use == keyring.UseSign || rec.Use == keyring.UseEnc:
				if toBroker && st.Rule.Redistribute != NoRedistribution {
					st.Opens = add(st.Opens, rec)
				} else {
					st.Proves = add(st.Proves, rec)
				}
			}
		}
		for _, rec := range described {
			if overlaps(rec, st.Rule.Topic) {
				st.FormOnly = add(st.FormOnly, rec)
			}
		}
		slices.Sort(st.FormOnly)
	}
	return out
}

func overlaps(rec *keyring.Record, filter string) bool {
	return slices.ContainsFunc(rec.Topics, func(f string) bool { return Overlap(f, filter) })
}

// add names a key once, whatever the number of its epochs.
func add(list []string, rec *keyring.Record) []string {
	name := rec.Group
	if name == "" {
		name = fmt.Sprintf("kid %x", rec.KID)
	}
	name += " (" + rec.Use.String() + ")"
	if slices.Contains(list, name) {
		return list
	}
	return append(list, name)
}
