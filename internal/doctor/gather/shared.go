package gather

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/doctor"
	"github.com/sealmq/sealmq/keyring"
)

// maxBeside bounds the certificates that are looked at beside an authority.
const maxBeside = 4096

// holder is somebody who has a key: a name, and a digest that tells whether two have the same.
type holder struct {
	digest [sha256.Size]byte
	name   string
	file   string
	place  doctor.Place
}

// shared are the keys that holders of different names have, once for each place that names one of their files.
func shared(all []holder) []doctor.SharedKey {
	byKey := map[[sha256.Size]byte][]holder{}
	var order [][sha256.Size]byte
	for _, h := range all {
		if byKey[h.digest] == nil {
			order = append(order, h.digest)
		}
		byKey[h.digest] = append(byKey[h.digest], h)
	}
	var out []doctor.SharedKey
	for _, digest := range order {
		var names, files []string
		var places []doctor.Place
		for _, h := range byKey[digest] {
			if !slices.Contains(names, h.name) {
				names = append(names, h.name)
			}
			if !slices.Contains(files, h.file) {
				files = append(files, h.file)
			}
			if !slices.Contains(places, h.place) {
				places = append(places, h.place)
			}
		}
		if len(names) < 2 {
			continue
		}
		for _, p := range places {
			out = append(out, doctor.SharedKey{Place: p, Files: files, Names: names})
		}
	}
	return out
}

// pskHolders are the identities of a file of pre-shared keys. The keys themselves are forgotten.
func pskHolders(path string, place doctor.Place) []holder {
	data, err := read(path)
	if err != nil {
		return nil // said of the file
	}
	defer clear(data)
	var out []holder
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		identity, key, ok := strings.Cut(line, ":")
		if line == "" || line[0] == '#' || !ok {
			continue
		}
		out = append(out, holder{digestOf(key), identity, path, place})
	}
	return out
}

// digestOf tells whether a key in hexadecimal is one of a keyring, too.
func digestOf(hexKey string) [sha256.Size]byte {
	b, err := hex.DecodeString(hexKey)
	if err == nil {
		defer clear(b)
		if k, err := cose.NewSymmetricKey(b); err == nil {
			return k.Thumbprint()
		}
	}
	return sha256.Sum256([]byte(hexKey))
}

// ringHolders are those whose own keys are in a keyring: clients with a login key, and with a message key of their own.
func ringHolders(records []*keyring.Record, dir string, place doctor.Place) []holder {
	var out []holder
	for _, r := range records {
		name := r.ClientID
		if name == "" && (r.Use == keyring.UseP2 || r.Use == keyring.UseP3) {
			name = r.Group
		}
		if r.Key != nil && name != "" {
			out = append(out, holder{r.Thumbprint(), name, dir, place})
		}
	}
	return out
}

// certificateHolders are the clients whose certificates lie beside their authority, as sealmq ca leaves them there.
func certificateHolders(ca string, place doctor.Place, now time.Time) []holder {
	dir := filepath.Dir(ca)
	files, err := filepath.Glob(filepath.Join(dir, "*.crt"))
	if err != nil {
		return nil
	}
	var out []holder
	for _, f := range files[:min(maxBeside, len(files))] {
		data, err := read(f)
		if err != nil {
			continue
		}
		block, _ := pem.Decode(data)
		if block == nil || block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil || c.IsCA || now.After(c.NotAfter) || c.Subject.CommonName == "" {
			continue
		}
		out = append(out, holder{sha256.Sum256(c.RawSubjectPublicKeyInfo), c.Subject.CommonName, dir, place})
	}
	return out
}

// records are those of a keyring; none of one that cannot be opened, which stops the broker and is said there.
func records(dir, passphraseFile string) []*keyring.Record {
	var passphrase keyring.Secret
	if passphraseFile != "" {
		b, err := read(passphraseFile)
		if err != nil {
			return nil
		}
		line, _, _ := strings.Cut(string(b), "\n")
		passphrase = keyring.NewSecret([]byte(strings.TrimSuffix(line, "\r")))
		clear(b)
		defer passphrase.Destroy()
	}
	d, err := keyring.Open(dir, passphrase)
	if err != nil {
		return nil
	}
	return d.Ring().Records()
}
