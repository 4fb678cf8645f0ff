package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes.
type Size int64

// The units of a Size in a file. Decimal units (kB, MB) are refused: they are taken for the binary ones too often.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

// Rate is a number of events per second; golang.org/x/time/rate.Limit has the same meaning, UnlimitedRate included.
type Rate float64

// ByteRate is a number of bytes per second.
type ByteRate float64

// unlimited is the word in a file that switches a bound off, for the keys that allow it.
const unlimited = "unlimited"

// The values of keys that are "unlimited". They are finite, so arithmetic with them stays defined.
const (
	Unlimited         time.Duration = math.MaxInt64
	UnlimitedRate     Rate          = math.MaxFloat64
	UnlimitedByteRate ByteRate      = math.MaxFloat64
)

const day = 24 * time.Hour

// unit pairs a suffix with its worth.
type unit struct {
	name  string
	worth int64
}

// Longest suffix first where one ends with another ("ms" before "s"), largest first for formatting.
var (
	sizeUnits     = []unit{{"TiB", int64(TiB)}, {"GiB", int64(GiB)}, {"MiB", int64(MiB)}, {"KiB", int64(KiB)}, {"B", 1}}
	durationUnits = []unit{
		{"d", int64(day)},
		{"h", int64(time.Hour)},
		{"m", int64(time.Minute)},
		{"s", int64(time.Second)},
		{"ms", int64(time.Millisecond)},
	}
	perUnits = []unit{{"h", 3600}, {"m", 60}, {"s", 1}}
)

var (
	errWantCount    = errors.New("a whole number such as 1000")
	errWantSize     = errors.New("a size with its unit, such as 256KiB or 8MiB")
	errWantDuration = errors.New("a duration with its unit, such as 10s, 1h30m or 7d")
	errWantRate     = errors.New("a rate such as 100/s")
	errWantByteRate = errors.New("a size per time such as 8MiB/s")
)

// parseDigits reads an unsigned decimal number without sign, leading zeros, underscores or blanks, below 10^18.
func parseDigits(s string) (int64, bool) {
	if s == "" || len(s) > 18 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// splitUnit cuts a leading number off s and returns it with the word of letters that follows.
func splitUnit(s string) (digits, word, rest string) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	j := i
	for j < len(s) && (s[j] >= 'a' && s[j] <= 'z' || s[j] >= 'A' && s[j] <= 'Z') {
		j++
	}
	return s[:i], s[i:j], s[j:]
}

func worth(units []unit, name string) (int64, bool) {
	for _, u := range units {
		if u.name == name {
			return u.worth, true
		}
	}
	return 0, false
}

// scaled multiplies without overflow.
func scaled(n, by int64) (int64, bool) {
	if n > math.MaxInt64/by {
		return 0, false
	}
	return n * by, true
}

func parseCount(s string) (int, error) {
	n, ok := parseDigits(s)
	if !ok || n > math.MaxInt {
		return 0, errWantCount
	}
	return int(n), nil
}

func parseSize(s string) (Size, error) {
	digits, word, rest := splitUnit(s)
	n, ok := parseDigits(digits)
	by, known := worth(sizeUnits, word)
	if !ok || !known || rest != "" {
		return 0, errWantSize
	}
	if n, ok = scaled(n, by); !ok {
		return 0, errWantSize
	}
	return Size(n), nil
}

// String is the form a file uses: the largest unit that divides the size.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if int64(s) >= u.worth && int64(s)%u.worth == 0 {
			return strconv.FormatInt(int64(s)/u.worth, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// parseDuration reads one or more numbers with units in falling order: "90s", "1h30m", "7d".
func parseDuration(s string) (time.Duration, error) {
	if s == unlimited {
		return Unlimited, nil
	}
	total, last := int64(0), int64(math.MaxInt64)
	for s != "" {
		digits, word, rest := splitUnit(s)
		n, ok := parseDigits(digits)
		by, known := worth(durationUnits, word)
		if !ok || !known || by >= last {
			return 0, errWantDuration
		}
		if n, ok = scaled(n, by); !ok || n > math.MaxInt64-1-total {
			return 0, errWantDuration
		}
		total, last, s = total+n, by, rest
	}
	if last == math.MaxInt64 {
		return 0, errWantDuration
	}
	return time.Duration(total), nil
}

// formatDuration is the inverse of parseDuration for whole milliseconds.
func formatDuration(d time.Duration) string {
	if d == Unlimited {
		return unlimited
	}
	var b strings.Builder
	left := int64(d)
	for _, u := range durationUnits {
		if n := left / u.worth; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			left -= n * u.worth
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

// splitRate cuts "AMOUNT/PER" and returns the seconds that PER stands for.
func splitRate(s string) (amount string, seconds float64, ok bool) {
	amount, per, ok := strings.Cut(s, "/")
	by, known := worth(perUnits, per)
	return amount, float64(by), ok && known
}

func parseRate(s string) (Rate, error) {
	if s == unlimited {
		return UnlimitedRate, nil
	}
	amount, seconds, ok := splitRate(s)
	n, isNumber := parseDigits(amount)
	if !ok || !isNumber {
		return 0, errWantRate
	}
	return Rate(float64(n) / seconds), nil
}

// String is the form a file uses, with the shortest time for which the number is whole.
func (r Rate) String() string {
	if r == UnlimitedRate {
		return unlimited
	}
	n, per := wholePer(float64(r))
	return strconv.FormatInt(n, 10) + "/" + per
}

func parseByteRate(s string) (ByteRate, error) {
	if s == unlimited {
		return UnlimitedByteRate, nil
	}
	amount, seconds, ok := splitRate(s)
	n, err := parseSize(amount)
	if !ok || err != nil {
		return 0, errWantByteRate
	}
	return ByteRate(float64(n) / seconds), nil
}

// String is the form a file uses.
func (r ByteRate) String() string {
	if r == UnlimitedByteRate {
		return unlimited
	}
	n, per := wholePer(float64(r))
	return Size(n).String() + "/" + per
}

// wholePer finds the shortest unit of time in which perSecond is a whole number; an hour is rounded to.
func wholePer(perSecond float64) (n int64, per string) {
	for i := len(perUnits) - 1; i >= 0; i-- {
		v := perSecond * float64(perUnits[i].worth)
		if whole := math.Round(v); whole >= 1 && math.Abs(v-whole) < 1e-6*whole || i == 0 {
			return int64(math.Round(v)), perUnits[i].name
		}
	}
	return 0, ""
}
