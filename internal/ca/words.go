package ca

import (
	"strconv"
	"time"
)

// InWords is a time span as people say it, in its largest unit of which there are at least two. Fractions are dropped.
func InWords(d time.Duration) string {
	d = d.Abs()
	for _, u := range []struct {
		name string
		size time.Duration
		from int64
	}{
		{"years", 365 * day, 2}, {"months", 30 * day, 3}, {"days", day, 2}, {"hours", time.Hour, 2}, {"minutes", time.Minute, 2},
	} {
		if n := int64(d / u.size); n >= u.from {
			return strconv.FormatInt(n, 10) + " " + u.name
		}
	}
	if n := int64(d / time.Second); n != 1 {
		return strconv.FormatInt(n, 10) + " seconds"
	}
	return "1 second"
}

// Ago is InWords for the past.
func Ago(d time.Duration) string { return InWords(d) + " ago" }

// stamp is a moment in UTC.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
