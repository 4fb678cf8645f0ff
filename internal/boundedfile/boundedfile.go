// Package boundedfile reads files whole that somebody else wrote: never more than a limit, and never a FIFO or a device,
// which would keep the reader waiting.
package boundedfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Read returns the content of a regular file of at most limit bytes. A longer one, and what is no regular file, is an
// error; so is whatever the system says, as a *fs.PathError.
func Read(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path) // opening a FIFO would wait for its writer
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return b, nil
}
