package broker

import (
	"encoding/binary"

	"github.com/sealmq/sealmq/mqtt"
)

// lookAhead has the router read what it will need for the topics of the packets of data from n on, and returns where it
// has stopped looking.
func (w *work) lookAhead(data []byte, n int, v mqtt.Version) (end int) {
	names, end := topicsAhead(w.ahead[:0], data, n, v)
	if len(names) > 1 {
		w.read += w.b.router.LookAhead(names)
	}
	clear(names) // they lie in the read buffer
	return end
}

// topicsAhead fills names, up to its capacity, with the Topic Names of the complete PUBLISH packets of data from n on, and
// returns the end of the last packet it has looked at, or of data. Whatever is wrong with a packet is found when its turn
// comes.
func topicsAhead(names [][]byte, data []byte, n int, v mqtt.Version) (_ [][]byte, end int) {
	for len(names) < cap(names) {
		h, size, err := mqtt.ParseHeader(data[n:], v)
		if err != nil || size == 0 || n+size+h.Remaining > len(data) {
			return names, len(data)
		}
		body := data[n+size : n+size+h.Remaining]
		if h.Type == mqtt.TypePublish && len(body) > 2 {
			// Without a Topic Name there is a Topic Alias.
			if l := int(binary.BigEndian.Uint16(body)); l > 0 && l <= len(body)-2 {
				names = append(names, body[2:2+l])
			}
		}
		n += size + h.Remaining
	}
	return names, n
}
