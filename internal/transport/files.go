package transport

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// The largest files that are read, in bytes.
const (
	maxPEMFile = 1 << 20
	maxCRLFile = 64 << 20
	maxPSKFile = 64 << 20
)

// secrecy says who else may do what with a file.
type secrecy fs.FileMode

const (
	// secretFile may be read by its owner and its group only, and written by its owner only.
	secretFile secrecy = 0o027
	// trustedFile is public, but whoever can write it decides who is trusted.
	trustedFile secrecy = 0o022
)

// readFile reads a regular file of at most limit bytes whose permissions are no wider than may says. Permissions are
// those of the opened file, so that it cannot be exchanged in between.
func readFile(path string, may secrecy, limit int64) ([]byte, error) {
	info, err := os.Stat(path) // opening a FIFO would wait for its writer
	if err == nil && !info.Mode().IsRegular() {
		return nil, refuse(CheckFile, "a regular file", path+" ("+info.Mode().Type().String()+")")
	}
	if err != nil {
		return nil, &Error{Check: CheckFile, Err: err}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &Error{Check: CheckFile, Err: err}
	}
	defer f.Close() //nolint:errcheck // only read
	if info, err = f.Stat(); err != nil {
		return nil, &Error{Check: CheckFile, Err: err}
	}
	if err := checkMode(path, info.Mode(), may); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, &Error{Check: CheckFile, Err: err}
	case int64(len(data)) > limit:
		return nil, refuse(CheckFile, fmt.Sprintf("at most %d bytes", limit), path+" with more")
	}
	return data, nil
}

// checkMode refuses permissions that go beyond what a file's secrecy allows. Windows has none of this kind.
func checkMode(path string, mode fs.FileMode, may secrecy) error {
	if runtime.GOOS == "windows" || mode.Perm()&fs.FileMode(may) == 0 {
		return nil
	}
	if may == secretFile {
		return refuse(CheckPermissions, "a secret that only its owner writes and others cannot read (chmod 600)",
			fmt.Sprintf("%s with mode %04o", path, mode.Perm()))
	}
	return refuse(CheckPermissions, "a file that only its owner writes (chmod 644)", fmt.Sprintf("%s with mode %04o", path, mode.Perm()))
}
