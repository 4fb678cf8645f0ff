package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"

	"github.com/sealmq/sealmq/internal/store"
)

// The list of the engine's files, its manifest, is a log of changes. The engine takes a record that does not fit its
// checksum for the end of the log, as a power failure leaves it. A damaged byte in the middle would therefore bring back
// an old list without a word, and with it an old state. What tells both apart is that nothing follows a write that was cut
// off.
const (
	manifestMarker = "manifest" // of the file that names the list
	manifestBlock  = 32 << 10   // chunks do not cross the end of a block
	manifestHeader = 4 + 2 + 1  // checksum, length, type
	manifestTypes  = 4          // chunk types are 1 to 4
	manifestSearch = 1 << 20    // bytes behind a broken chunk in which a good one is looked for
)

var errManifest = errors.New("a record in the middle does not fit its checksum")

// checkManifest returns a *store.CorruptError when the list of files has a damaged record that is not its last. A folder
// without a list is none of its business.
func checkManifest(files vfs.FS, dir string) error {
	name, err := atomicfs.ReadMarker(files, dir, manifestMarker)
	if err != nil || name == "" {
		return err
	}
	f, err := files.Open(files.PathJoin(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the engine says so
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if !wholeManifest(b) {
		return &store.CorruptError{
			Where: files.PathJoin(dir, name), What: "the list of the store's files is damaged", Next: adviseRestore, Err: errManifest,
		}
	}
	return nil
}

// wholeManifest reports whether no good chunk follows a bad one.
func wholeManifest(b []byte) bool {
	at := 0
	for at < len(b) {
		n := manifestChunk(b, at)
		if n == 0 && manifestBlock-at%manifestBlock < manifestHeader {
			n = manifestBlock - at%manifestBlock // the rest of a block that has no room for a header
		}
		if n == 0 {
			break
		}
		at += n
	}
	for i := at + 1; i < min(len(b), at+manifestSearch); i++ {
		if manifestChunk(b, i) > 0 {
			return false
		}
	}
	return true
}

// manifestChunk returns the size of the chunk at b[at:], 0 when there is no good one.
func manifestChunk(b []byte, at int) int {
	room := min(manifestBlock-at%manifestBlock, len(b)-at)
	if room < manifestHeader {
		return 0
	}
	size := manifestHeader + int(binary.LittleEndian.Uint16(b[at+4:]))
	kind := b[at+6]
	if kind < 1 || kind > manifestTypes || size > room {
		return 0
	}
	sum := crc32.Checksum(b[at+6:at+size], castagnoli)
	if sum = sum>>15 | sum<<17; sum+0xa282ead8 != binary.LittleEndian.Uint32(b[at:]) {
		return 0
	}
	return size
}
