package cbor

// Major types, RFC 8949 §3.1.
const (
	majorUint  = 0
	majorNint  = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5
	majorTag   = 6
	majorOther = 7
)

// Simple values, RFC 8949 §3.3.
const (
	simpleFalse = 0xf4
	simpleTrue  = 0xf5
	simpleNull  = 0xf6
)

// appendHead appends the shortest head of an item, RFC 8949 §4.2.1.
func appendHead(dst []byte, major byte, n uint64) []byte {
	m := major << 5
	switch {
	case n < 24:
		return append(dst, m|byte(n))
	case n <= 0xff:
		return append(dst, m|24, byte(n))
	case n <= 0xffff:
		return append(dst, m|25, byte(n>>8), byte(n))
	case n <= 0xffffffff:
		return append(dst, m|26, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(dst, m|27, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32),
		byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// AppendUint appends an unsigned integer.
func AppendUint(dst []byte, n uint64) []byte { return appendHead(dst, majorUint, n) }

// AppendInt appends an integer of either sign.
func AppendInt(dst []byte, n int64) []byte {
	if n < 0 {
		return appendHead(dst, majorNint, uint64(-(n + 1)))
	}
	return appendHead(dst, majorUint, uint64(n))
}

// AppendBytes appends a byte string.
func AppendBytes(dst, b []byte) []byte {
	return append(AppendBytesHead(dst, len(b)), b...)
}

// AppendBytesHead appends the head of a byte string of n bytes; the caller
// appends the n bytes itself. n must not be negative.
func AppendBytesHead(dst []byte, n int) []byte {
	return appendHead(dst, majorBytes, uint64(n))
}

// AppendText appends a text string. s must be valid UTF-8; callers check what
// comes from outside.
func AppendText(dst []byte, s string) []byte {
	return append(appendHead(dst, majorText, uint64(len(s))), s...)
}

// AppendArray appends the head of an array of n items.
func AppendArray(dst []byte, n int) []byte { return appendHead(dst, majorArray, uint64(n)) }

// AppendMap appends the head of a map of n pairs.
func AppendMap(dst []byte, n int) []byte { return appendHead(dst, majorMap, uint64(n)) }

// AppendTag appends a tag; the tagged item follows.
func AppendTag(dst []byte, n uint64) []byte { return appendHead(dst, majorTag, n) }

// AppendNull appends null.
func AppendNull(dst []byte) []byte { return append(dst, simpleNull) }
