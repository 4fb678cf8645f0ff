package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sealmq/sealmq/internal/boundedfile"
	"github.com/sealmq/sealmq/internal/privfile"
)

// loadKey reads the seed of the signing key, or makes one.
func loadKey(path string) (ed25519.PrivateKey, error) {
	seed, err := privfile.Read(path, ed25519.SeedSize)
	if errors.Is(err, fs.ErrNotExist) {
		seed = make([]byte, ed25519.SeedSize)
		_, _ = rand.Read(seed) // never fails since Go 1.24
		err = privfile.Write(path, seed)
	}
	if err != nil {
		return nil, fmt.Errorf("audit key: %w", err)
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("audit key: %s has %d bytes, expected %d", path, len(seed), ed25519.SeedSize)
	}
	defer clear(seed)
	return ed25519.NewKeyFromSeed(seed), nil
}

// keyName is a short name for a public key.
func keyName(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

func keyText(key ed25519.PublicKey) string { return base64.StdEncoding.EncodeToString(key) }

// KeyFile is where the public key of an audit file is written, for verification.
func KeyFile(file string) string { return file + ".pub" }

// headFile is where the last checkpoint is written.
func headFile(file string) string { return file + ".head" }

// ReadKey reads a public key that a Log wrote.
func ReadKey(path string) (ed25519.PublicKey, error) {
	const most = 1 << 10
	text, err := boundedfile.Read(path, most)
	if err != nil {
		return nil, fmt.Errorf("audit public key: %w", err)
	}
	key, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("audit public key: %s holds none", path)
	}
	return key, nil
}

// Files lists the files of an audit log in the order of their lines: those that were rotated away, and the current one,
// which may be missing between two lives of a broker.
func Files(file string) ([]string, error) {
	stem, ext := split(file)
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries { // sorted, and the numbers have equal lengths
		number, ok := strings.CutPrefix(e.Name(), filepath.Base(stem)+"-")
		number, ok2 := strings.CutSuffix(number, ext)
		if ok && ok2 && len(number) == numberDigits && strings.Trim(number, "0123456789") == "" {
			list = append(list, filepath.Join(filepath.Dir(file), e.Name()))
		}
	}
	if _, err := os.Lstat(file); err == nil {
		list = append(list, file)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: %w", file, fs.ErrNotExist)
	}
	return list, nil
}

const numberDigits = 20

// rotatedName is the name of a file that begins with the line first.
func rotatedName(file string, first uint64) string {
	stem, ext := split(file)
	return fmt.Sprintf("%s-%0*d%s", stem, numberDigits, first, ext)
}

func split(file string) (stem, ext string) {
	ext = filepath.Ext(file)
	return strings.TrimSuffix(file, ext), ext
}
