package load

// numbers is a set of message numbers, a bit for each.
type numbers []uint64

// add reports whether n is new.
func (s *numbers) add(n uint32) bool {
	word, bit := int(n/64), uint64(1)<<(n%64)
	for word >= len(*s) {
		*s = append(*s, make([]uint64, max(16, len(*s)))...)
	}
	if (*s)[word]&bit != 0 {
		return false
	}
	(*s)[word] |= bit
	return true
}

func (s numbers) has(n uint32) bool {
	word := int(n / 64)
	return word < len(s) && s[word]>>(n%64)&1 != 0
}

func (s numbers) remove(n uint32) {
	if word := int(n / 64); word < len(s) {
		s[word] &^= 1 << (n % 64)
	}
}
