package main

import (
	"fmt"
	"strconv"
	"time"
)

// layouts are the letters of strftime that Go's layouts can express, in the C locale.
var layouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'h': "Jan", 'c': "Mon Jan _2 15:04:05 2006",
	'd': "02", 'D': "01/02/06", 'e': "_2", 'F': "2006-01-02", 'H': "15", 'I': "03", 'm': "01", 'M': "04", 'p': "PM", 'P': "pm",
	'r': "03:04:05 PM", 'R': "15:04", 'S': "05", 'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006",
	'z': "-0700", 'Z': "MST",
}

// strftime appends the time in the form of one letter of strftime(3), and @N, which is mosquitto_sub's own.
func strftime(dst []byte, letter byte, t time.Time) ([]byte, error) {
	if layout, ok := layouts[letter]; ok {
		return t.AppendFormat(dst, layout), nil
	}
	year, week := t.ISOWeek()
	monday := (int(t.Weekday()) + 6) % 7 // days since Monday
	switch letter {
	case '@':
		return append(dst, '@'), nil
	case 'N':
		return fmt.Appendf(dst, "%09d", t.Nanosecond()), nil
	case 's':
		return strconv.AppendInt(dst, t.Unix(), 10), nil
	case 'n':
		return append(dst, '\n'), nil
	case 't':
		return append(dst, '\t'), nil
	case '%':
		return append(dst, '%'), nil
	case 'C':
		return fmt.Appendf(dst, "%02d", t.Year()/100), nil
	case 'j':
		return fmt.Appendf(dst, "%03d", t.YearDay()), nil
	case 'k':
		return fmt.Appendf(dst, "%2d", t.Hour()), nil
	case 'l':
		return fmt.Appendf(dst, "%2d", (t.Hour()+11)%12+1), nil
	case 'u':
		return strconv.AppendInt(dst, int64(monday+1), 10), nil
	case 'w':
		return strconv.AppendInt(dst, int64(t.Weekday()), 10), nil
	case 'g':
		return fmt.Appendf(dst, "%02d", year%100), nil
	case 'G':
		return strconv.AppendInt(dst, int64(year), 10), nil
	case 'V':
		return fmt.Appendf(dst, "%02d", week), nil
	case 'U': // weeks from the first Sunday
		return fmt.Appendf(dst, "%02d", (t.YearDay()+6-int(t.Weekday()))/7), nil
	case 'W': // weeks from the first Monday
		return fmt.Appendf(dst, "%02d", (t.YearDay()+6-monday)/7), nil
	}
	return dst, fmt.Errorf("strftime has no letter %q", string(letter))
}
