package protecting

import (
	"bytes"
	"testing"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/protect"
)

// FuzzInspect: whatever is taken apart is a structure that package cose reads, its parts add up to its size, and no
// content is shown of what is encrypted.
func FuzzInspect(f *testing.F) {
	f.Add([]byte("\x82\x2f\x58\x20"))
	f.Add(protect.AppendChecksum(nil, protect.ChecksumPrefix, []byte("payload")))
	f.Add([]byte("\xd0\x83\x43\xa1\x01\x01\xa1\x05\x4c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40"))
	f.Add([]byte("\xd1\x84\x43\xa1\x01\x05\xa0\x43abc\x41t"))
	f.Add([]byte("\xd9\xd9\xf7\xd2\x84\x43\xa1\x01\x27\xa0\x43abc\x41t"))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := Inspect(in)
		if err != nil {
			return
		}
		if e.Payload < 0 || e.Overhead < 0 || e.Payload+e.Overhead != len(in) || e.Size != len(in) {
			t.Fatalf("%x: %d and %d of %d bytes", in, e.Payload, e.Overhead, len(in))
		}
		if !e.COSE() {
			return
		}
		tag := cose.TagOf(cose.TrimSelfDescribed(in))
		if tag == 0 || structureOf(tag) != e.Structure {
			t.Fatalf("%x: tag %d, %s", in, tag, e.Structure)
		}
		if sealed := tag == cose.TagEncrypt0 || tag == cose.TagEncrypt; sealed && (e.Readable || len(e.Content()) != 0) || !bytes.Contains(in, e.Content()) {
			t.Fatalf("%x: content %x", in, e.Content())
		}
	})
}
