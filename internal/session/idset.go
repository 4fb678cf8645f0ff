package session

import (
	"math/bits"

	"github.com/sealmq/sealmq/mqtt"
)

const (
	pageIDs   = 1024 // Packet Identifiers of one page
	pageWords = pageIDs / 64
)

// idSet is a set of Packet Identifiers with a mark for each, as two bits in pages that exist while they hold something.
// Clients count their identifiers up, so one or two pages are in use. A nil *idSet is an empty set that takes none.
type idSet struct {
	pages [(pids + 1) / pageIDs]*idPage
	spare *idPage // the last page that became empty
	n     int
}

type idPage struct {
	member, marked [pageWords]uint64
	n              int
}

func (s *idSet) len() int {
	if s == nil {
		return 0
	}
	return s.n
}

// page returns the page of an identifier, or nil, and the place in it.
func (s *idSet) page(id mqtt.PacketID) (p *idPage, word int, bit uint64) {
	return s.pages[id/pageIDs], int(id%pageIDs) / 64, 1 << (id % 64)
}

func (s *idSet) get(id mqtt.PacketID) (marked, ok bool) {
	if s == nil {
		return false, false
	}
	p, w, bit := s.page(id)
	if p == nil {
		return false, false
	}
	return p.marked[w]&bit != 0, p.member[w]&bit != 0
}

// put adds id, or changes its mark.
func (s *idSet) put(id mqtt.PacketID, marked bool) {
	p, w, bit := s.page(id)
	if p == nil {
		if p, s.spare = s.spare, nil; p == nil {
			p = new(idPage)
		}
		s.pages[id/pageIDs] = p
	}
	if p.member[w]&bit == 0 {
		p.member[w] |= bit
		p.n++
		s.n++
	}
	if marked {
		p.marked[w] |= bit
	} else {
		p.marked[w] &^= bit
	}
}

// remove takes id out, which must be in.
func (s *idSet) remove(id mqtt.PacketID) {
	p, w, bit := s.page(id)
	p.member[w] &^= bit
	p.marked[w] &^= bit
	p.n--
	s.n--
	if p.n == 0 {
		s.pages[id/pageIDs], s.spare = nil, p
	}
}

// unmark takes the mark from all.
func (s *idSet) unmark() {
	if s == nil {
		return
	}
	for _, p := range s.pages {
		if p != nil {
			p.marked = [pageWords]uint64{}
		}
	}
}

// each calls f for each identifier, ascending.
func (s *idSet) each(f func(id mqtt.PacketID)) {
	if s == nil {
		return
	}
	for i, p := range s.pages {
		if p == nil {
			continue
		}
		for w, word := range p.member {
			for ; word != 0; word &= word - 1 {
				f(mqtt.PacketID(i*pageIDs + w*64 + bits.TrailingZeros64(word)))
			}
		}
	}
}
