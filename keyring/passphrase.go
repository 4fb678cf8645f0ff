package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
)

// ErrPassphrase is returned when a passphrase is missing or does not open the
// directory; damaged files look the same.
var ErrPassphrase = errors.New("passphrase does not open the keyring")

// Argon2id parameters of new directories (RFC 9106 §4, second choice), and the
// bounds within which those of an existing one are believed.
const (
	kdfTime    = 3
	kdfMemory  = 64 << 10 // KiB
	kdfThreads = 4
	kdfSalt    = 16 // bytes

	kdfMaxTime   = 64
	kdfMinMemory = 8 << 10
	kdfMaxMemory = 2 << 20 // 2 GiB
)

// kdfParams are stored in clear beside the sealed files.
type kdfParams struct {
	Name    string   `json:"name"`
	Time    uint32   `json:"time"`
	Memory  uint32   `json:"memory_kib"`
	Threads uint8    `json:"threads"`
	Salt    hexBytes `json:"salt"`
}

func newKDFParams() (*kdfParams, error) {
	p := &kdfParams{Name: "argon2id", Time: kdfTime, Memory: kdfMemory, Threads: kdfThreads, Salt: make([]byte, kdfSalt)}
	_, err := rand.Read(p.Salt)
	return p, err
}

// aead derives the file key. Parameters outside the bounds are refused, so
// that a changed header can neither weaken the derivation nor exhaust memory.
func (p *kdfParams) aead(passphrase Secret) (cipher.AEAD, error) {
	if p.Name != "argon2id" || p.Time < 1 || p.Time > kdfMaxTime || p.Memory < kdfMinMemory || p.Memory > kdfMaxMemory ||
		p.Threads < 1 || len(p.Salt) < kdfSalt || len(p.Salt) > 64 {
		return nil, fmt.Errorf("key derivation %q with time %d and %d KiB is out of bounds", p.Name, p.Time, p.Memory)
	}
	if passphrase.Len() == 0 {
		return nil, fmt.Errorf("%w: none given", ErrPassphrase)
	}
	word := passphrase.Reveal()
	defer clear(word)
	key := argon2.IDKey(word, p.Salt, p.Time, p.Memory, p.Threads, 32)
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// sealedFile is the content of a key file under a passphrase. Nonces are
// random; a directory is rewritten far less than 2^32 times.
type sealedFile struct {
	Version    int      `json:"version"`
	Nonce      hexBytes `json:"nonce"`
	Ciphertext hexBytes `json:"ciphertext"`
}

// sealFile binds the content to its file name, so that files cannot be
// exchanged.
func sealFile(aead cipher.AEAD, name string, plain []byte) (*sealedFile, error) {
	nonce := make([]byte, aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return &sealedFile{Version: recordVersion, Nonce: nonce, Ciphertext: aead.Seal(nil, nonce, plain, []byte(name))}, nil
}

func (s *sealedFile) open(aead cipher.AEAD, name string) ([]byte, error) {
	if s.Version != recordVersion || len(s.Nonce) != aead.NonceSize() {
		return nil, ErrPassphrase
	}
	plain, err := aead.Open(nil, s.Nonce, s.Ciphertext, []byte(name))
	if err != nil {
		return nil, ErrPassphrase
	}
	return plain, nil
}
