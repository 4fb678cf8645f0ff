package protect

import (
	"errors"
	"fmt"

	"github.com/sealmq/sealmq/internal/cbor"
)

// Domains of StateStore keys.
const (
	domainSender = 1 // [1, kid, sender]
	domainMark   = 2 // [2, kid, client-id]
)

var errState = errors.New("damaged replay state")

func stateKey(domain uint64, kid, name string) []byte {
	k := cbor.AppendArray(make([]byte, 0, len(kid)+len(name)+8), 3)
	k = cbor.AppendUint(k, domain)
	k = cbor.AppendBytes(k, []byte(kid))
	return cbor.AppendBytes(k, []byte(name))
}

func readStateKey(key []byte) (domain uint64, kid, name string, err error) {
	r := cbor.NewReader(key)
	if n, err := r.Array(); err != nil || n != 3 {
		return 0, "", "", errState
	}
	if domain, err = r.Uint(); err != nil {
		return 0, "", "", errState
	}
	k, err := r.Bytes()
	if err != nil {
		return 0, "", "", errState
	}
	n, err := r.Bytes()
	if err != nil || r.Done() != nil {
		return 0, "", "", errState
	}
	return domain, string(k), string(n), nil
}

// Bits of the flags of a stored sender.
const (
	flagSession = 1 << iota
	flagFloor
	flagWill
	flagIATFloor
)

// encode returns the pair a StateStore keeps:
//
//	value = [ flags, session boot, salt, floor boot, floor seq, will boot, will seq, iat floor ]
func (p *persistent) encode() (key, value []byte) {
	var flags uint64
	for bit, set := range map[uint64]bool{flagSession: p.session.set, flagFloor: p.floor.set, flagWill: p.will.set, flagIATFloor: p.hasIATFloor} {
		if set {
			flags |= bit
		}
	}
	v := cbor.AppendArray(make([]byte, 0, 64), 8)
	v = cbor.AppendUint(v, flags)
	v = cbor.AppendUint(v, uint64(p.session.boot))
	v = cbor.AppendBytes(v, p.salt[:])
	for _, n := range [...]uint32{p.floor.boot, p.floor.seq, p.will.boot, p.will.seq} {
		v = cbor.AppendUint(v, uint64(n))
	}
	return stateKey(domainSender, p.kid, p.sender), cbor.AppendUint(v, p.iatFloor)
}

// decodePersistent is the strict inverse; ok is false for another domain.
func decodePersistent(key, value []byte) (p persistent, ok bool, err error) {
	domain, kid, sender, err := readStateKey(key)
	if err != nil || domain != domainSender {
		return p, false, err
	}
	r := cbor.NewReader(value)
	if n, err := r.Array(); err != nil || n != 8 {
		return p, false, fmt.Errorf("%w: sender %x", errState, sender)
	}
	number := func() (n uint64) {
		if err == nil {
			n, err = r.Uint()
		}
		return n
	}
	flags := number()
	boot := number()
	var salt []byte
	if err == nil {
		salt, err = r.Bytes()
	}
	var rest [5]uint64
	for i := range rest {
		rest[i] = number()
	}
	if err != nil || r.Done() != nil || len(salt) != saltSize || flags > 2*flagIATFloor-1 {
		return p, false, fmt.Errorf("%w: sender %x", errState, sender)
	}
	for _, n := range [...]uint64{boot, rest[0], rest[1], rest[2], rest[3]} {
		if n>>32 != 0 {
			return p, false, fmt.Errorf("%w: sender %x", errState, sender)
		}
	}
	return persistent{
		kid: kid, sender: sender, salt: [saltSize]byte(salt),
		session:  mark{set: flags&flagSession != 0, boot: uint32(boot)},
		floor:    mark{set: flags&flagFloor != 0, boot: uint32(rest[0]), seq: uint32(rest[1])},
		will:     mark{set: flags&flagWill != 0, boot: uint32(rest[2]), seq: uint32(rest[3])},
		iatFloor: rest[4], hasIATFloor: flags&flagIATFloor != 0,
	}, true, nil
}
