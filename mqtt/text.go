package mqtt

import (
	"encoding/binary"
	"unicode/utf8"
	"unsafe"
)

// ValidString reports whether s is acceptable as a UTF-8 Encoded String: at most 65,535 bytes, well formed, without
// U+0000, control characters and non-characters (MQTT 5 §1.5.4, see the package comment).
func ValidString(s string) bool {
	if len(s) > maxField {
		return false
	}
	legal, _ := scanText(unsafe.Slice(unsafe.StringData(s), len(s)))
	return legal
}

// In the constants below each byte of a word is one character, so that eight ASCII characters are judged at a time.
const (
	eachHigh     = 0x8080808080808080 // the bit that ASCII leaves free
	eachToHigh   = 0x6060606060606060 // added to an ASCII byte, sets its high bit from 0x20 on
	eachOne      = 0x0101010101010101 // added to an ASCII byte, sets its high bit for 0x7F only
	eachBit3     = 0x0808080808080808 // the bit in which '#' (0x23) and '+' (0x2B) differ
	eachPlus     = 0x2B2B2B2B2B2B2B2B
	eachLowerAll = 0x7F7F7F7F7F7F7F7F // added to an ASCII byte, sets its high bit unless the byte is 0
)

// scanText reports whether b is legal text, and whether it contains one of the wildcard characters '+' and '#'.
func scanText(b []byte) (legal, wildcard bool) {
	if len(b) < 8 {
		return scanSlow(b, false)
	}
	for i := 0; ; i += 8 {
		// The last word overlaps the one before it, unless the length is a multiple of 8: characters of ASCII may be
		// looked at twice.
		last := i+8 >= len(b)
		if last {
			i = len(b) - 8
		}
		x := binary.LittleEndian.Uint64(b[i:])
		if (x|(x+eachOne)|^(x+eachToHigh))&eachHigh != 0 {
			return scanSlow(b[i:], wildcard) // not ASCII, or a control character; all before it is ASCII
		}
		if y := (x | eachBit3) ^ eachPlus; (y+eachLowerAll)&eachHigh != eachHigh {
			wildcard = true
		}
		if last {
			return true, wildcard
		}
	}
}

// scanSlow is scanText one character at a time; wildcard is what is known already.
func scanSlow(b []byte, wildcard bool) (bool, bool) {
	for len(b) > 0 {
		c := b[0]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(b)
			if r == utf8.RuneError && n == 1 || !legalRune(r) {
				return false, wildcard
			}
			b = b[n:]
			continue
		}
		if c < 0x20 || c == 0x7F {
			return false, wildcard
		}
		if c|0x08 == '+' {
			wildcard = true
		}
		b = b[1:]
	}
	return true, wildcard
}

// legalRune judges a well-formed rune beyond ASCII: no C1 control character, no non-character. DecodeRune has
// refused surrogates already.
func legalRune(r rune) bool {
	return r > 0x9F && r&0xFFFE != 0xFFFE && (r < 0xFDD0 || r > 0xFDEF)
}
