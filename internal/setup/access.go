package setup

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/ca"
	"github.com/sealmq/sealmq/internal/privfile"
	"github.com/sealmq/sealmq/psktls"
)

// Access is how the first user and the first device get in, as far as the folder still says. Secrets are for a terminal
// only.
type Access struct {
	CAFile       string
	User         string // "" when the folder has none
	PasswordFile string // its first line is the password
	Password     string
	CertFile     string // of the user; "" without
	KeyFile      string
	PSKFile      string
	PSKIdentity  string // "" when there is none
	PSK          string // hexadecimal
}

const maxSecret = 1 << 20 // bytes of a file

// Read finds out what a folder gives access with. Files that are gone, or cannot be read, leave their fields empty: the
// folder is somebody's to change.
func Read(dir string) Access {
	a := Access{CAFile: filepath.Join(dir, ca.CertFile), PSKFile: filepath.Join(dir, pskFile)}
	secrets, _ := filepath.Glob(filepath.Join(dir, "*"+secretSuffix)) // fails for a bad pattern only
	if len(secrets) == 1 {
		if b, err := privfile.Read(secrets[0], maxSecret); err == nil {
			a.User = strings.TrimSuffix(filepath.Base(secrets[0]), secretSuffix)
			a.PasswordFile, a.Password = secrets[0], strings.TrimSpace(string(b))
		}
	}
	a.operator(dir)
	if b, err := privfile.Read(a.PSKFile, maxSecret); err == nil {
		a.PSKIdentity, a.PSK = firstKey(string(b))
	}
	return a
}

// operator finds the certificate of a person, if there is one and no more.
func (a *Access) operator(dir string) {
	keys, _ := filepath.Glob(filepath.Join(dir, "*.key"))
	for _, key := range keys {
		certFile := strings.TrimSuffix(key, ".key") + ".crt"
		cert, err := ca.Load(certFile)
		if err != nil || !slices.Contains(cert.Subject.OrganizationalUnit, string(ca.Operator)) {
			continue
		}
		name := cert.Subject.CommonName
		if a.CertFile != "" || a.User != "" && a.User != name {
			a.CertFile, a.KeyFile = "", ""
			return
		}
		a.User, a.CertFile, a.KeyFile = name, certFile, key
	}
}

// firstKey finds the first line of a file of pre-shared keys.
func firstKey(text string) (identity, key string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if set, err := psktls.ParseKeySet(strings.NewReader(line), pskFile); err != nil || set.Len() != 1 {
			return "", ""
		}
		i := strings.LastIndexByte(line, ':')
		return line[:i], line[i+1:]
	}
	return "", ""
}

// Renew gives the server's certificate of a folder a new lifetime when it is near its end. It returns a sentence about
// what it did, "" when there was nothing to do: also when the folder has no authority, whose key may well be kept
// elsewhere.
func Renew(dir string, now time.Time) (string, error) {
	authority, err := ca.Open(dir)
	if err != nil {
		return "", nil
	}
	file := filepath.Join(dir, serverFile+".crt")
	cert, err := ca.Load(file)
	if err != nil || cert.NotAfter.Sub(now) > serverDays*24*time.Hour/3 {
		return "", nil
	}
	made, err := authority.Renew(file, 0, false, now)
	if err != nil {
		return "", fmt.Errorf("renew %s: %w", file, err)
	}
	return fmt.Sprintf("the server certificate was near its end and is renewed until %s", made.Cert.NotAfter.UTC().Format(time.DateOnly)), nil
}
