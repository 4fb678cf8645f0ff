package outcomes

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/vectors"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openLab(t *testing.T, f fault) *Lab {
	t.Helper()
	lab, err := openWith(t.Context(), t.TempDir(), f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	return lab
}

// TestOutcomes runs every cell of vectors/outcomes.tsv in all circumstances. A deviation in either direction fails: an
// attack that should be refused and is not, and one that is declared to succeed and does not.
func TestOutcomes(t *testing.T) {
	table, err := Declared()
	if err != nil {
		t.Fatal(err)
	}
	lab := openLab(t, noFault)
	all := AllCircumstances()
	if testing.Short() {
		all = Sample()
	}
	began, cells, wrong := time.Now(), 0, 0
	err = lab.Run(t.Context(), table, all, func(c Cell) {
		cells++
		if !c.OK() {
			if wrong++; wrong <= 40 {
				t.Error(c.Verdict())
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d cells in %v, %d not as declared", cells, time.Since(began).Round(time.Millisecond), wrong)
	found, plain, err := lab.Disk()
	if err != nil || len(found) > 0 {
		t.Errorf("readable on the disk: %q, %v", found, err)
	}
	if plain == 0 && len(lab.shows) > 0 {
		t.Error("the search finds nothing on the disk, not even what is plain")
	}
}

// TestDeviations: a table that declares the opposite, and a reader that does not do its work, are noticed, and nothing else
// is.
func TestDeviations(t *testing.T) {
	table, err := Declared()
	if err != nil {
		t.Fatal(err)
	}
	one := []Circumstances{{false, mqtt.V5, mqtt.AtLeastOnce, Live, false}}
	wrong := func(t *testing.T, f fault, table Table) map[string]bool {
		t.Helper()
		lab := openLab(t, f)
		out := map[string]bool{}
		err := lab.Run(t.Context(), table, one, func(c Cell) {
			if !c.OK() {
				out[c.Mechanism+" "+c.Attack] = true
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	t.Run("declared otherwise", func(t *testing.T) {
		opposite := slices.Clone(table)
		want := map[string]bool{}
		for i, r := range opposite {
			if i%7 != 0 || len(r.Where) > 0 {
				continue
			}
			want[r.Mechanism+" "+r.Attack] = true
			if r.Outcome == Refused {
				opposite[i].Outcome, opposite[i].Report = Succeeds, ReportNone
			} else {
				opposite[i].Outcome, opposite[i].Report = Refused, Policy
			}
		}
		if got := wrong(t, noFault, opposite); !maps.Equal(got, want) {
			t.Errorf("noticed %v, planted %v", got, want)
		}
	})
	t.Run("protection off", func(t *testing.T) {
		got := wrong(t, protectionOff, table)
		for _, m := range Mechanisms {
			if m.Name != "none" && !got[m.Name+" downgrade"] {
				t.Errorf("%s: plain messages are taken, and nobody notices", m.Name)
			}
			if m.level != protecting.LevelChecksum && m.broker == "" && got[m.Name+" read-wire"] {
				t.Errorf("%s: reading does not depend on the reader", m.Name)
			}
		}
	})
	t.Run("replay window off", func(t *testing.T) {
		want := map[string]bool{}
		for _, m := range Mechanisms {
			if m.broker == "" && table.General(m.Name, "replay").Outcome == Refused {
				want[m.Name+" replay"] = true
			}
		}
		if got := wrong(t, replayOff, table); !maps.Equal(got, want) {
			t.Errorf("noticed %v, expected %v", got, want)
		}
	})
}

// TestTableRefuses: what is not a table is not taken for one.
func TestTableRefuses(t *testing.T) {
	good := vectors.Outcomes
	lines := strings.Split(good, "\n")
	for name, bad := range map[string]string{
		"no header":          strings.Join(lines[1:], "\n"),
		"missing pair":       strings.Join(append(slices.Clone(lines[:1]), lines[2:]...), "\n"),
		"twice":              good + lines[1] + "\n",
		"unknown mechanism":  good + "rot13\tflip\tall\trefused\tpolicy\twhy\n",
		"unknown attack":     good + "none\task\twill\trefused\tpolicy\twhy\n",
		"unknown outcome":    good + "none\tflip\twill\tmaybe\tpolicy\twhy\n",
		"unknown report":     good + "none\tflip\twill\trefused\tfailed\twhy\n",
		"report of success":  good + "none\tflip\twill\tsucceeds\tpolicy\twhy\n",
		"no reason":          good + "none\tflip\twill\trefused\tpolicy\t\n",
		"unknown where":      good + "none\tflip\tsomewhere\trefused\tpolicy\twhy\n",
		"too few columns":    good + "none\tflip\twill\trefused\tpolicy\n",
		"exception at first": strings.Replace(good, "none\tflip\tall", "none\tflip\twill", 1),
	} {
		if _, err := ParseTable(bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
