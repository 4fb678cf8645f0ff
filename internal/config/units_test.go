package config

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseSize(t *testing.T) {
	for s, want := range map[string]Size{"0B": 0, "1B": 1, "256KiB": 256 << 10, "8MiB": 8 << 20, "3GiB": 3 << 30, "2TiB": 2 << 40} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "1", "KiB", "1kB", "1MB", "1 MiB", "-1B", "+1B", "1.5MiB", "01KiB", "1KiBx", "9007199254740993TiB", "9223372036854775808B"} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("%q: got %d, want an error", s, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0s": 0, "10s": 10 * time.Second, "7d": 7 * day, "1h30m": 90 * time.Minute, "250ms": 250 * time.Millisecond,
		"1d2h3m4s5ms": day + 2*time.Hour + 3*time.Minute + 4*time.Second + 5*time.Millisecond, "unlimited": Unlimited,
	} {
		if got, err := parseDuration(s); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "10", "s", "10 s", "-1s", "1s1s", "1s1m", "1us", "1w", "1.5h", "106752d", "99999999999999999d", "Unlimited"} {
		if got, err := parseDuration(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, got)
		}
	}
}

func TestParseRate(t *testing.T) {
	for s, want := range map[string]Rate{"100/s": 100, "60/m": 1, "1/h": 1. / 3600, "0/s": 0, "unlimited": UnlimitedRate} {
		if got, err := parseRate(s); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "100", "/s", "100/", "100/d", "100/0s", "-1/s", "1/s/s", "1MiB/s"} {
		if got, err := parseRate(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, got)
		}
	}
	if got, err := parseByteRate("8MiB/s"); err != nil || got != ByteRate(8*MiB) {
		t.Errorf("8MiB/s: got %v, %v", got, err)
	}
	if got, err := parseByteRate("8/s"); err == nil {
		t.Errorf("8/s: got %v, want an error", got)
	}
}

// TestUnitsRoundTrip: what is shown reads back as the same value.
func TestUnitsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := Size(rapid.Int64Range(0, 1e17).Draw(t, "size"))
		if got, err := parseSize(size.String()); err != nil || got != size {
			t.Fatalf("size %v: got %v, %v", size, got, err)
		}
		d := time.Duration(rapid.Int64Range(0, math.MaxInt64/2_000_000).Draw(t, "ms")) * time.Millisecond
		if got, err := parseDuration(formatDuration(d)); err != nil || got != d {
			t.Fatalf("duration %v: got %v, %v", d, got, err)
		}
		per := rapid.SampledFrom(perUnits).Draw(t, "per")
		r := Rate(float64(rapid.Int64Range(1, 1e9).Draw(t, "rate")) / float64(per.worth))
		got, err := parseRate(r.String())
		if err != nil || math.Abs(float64(got-r)) > 1e-6*float64(r) {
			t.Fatalf("rate %v (%v per second): got %v, %v", r, float64(r), got, err)
		}
	})
}
