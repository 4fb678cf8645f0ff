package ca

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sealmq/sealmq/internal/privfile"
)

// Anchors is where Debian and its relatives keep authorities that the administrator trusts.
const Anchors = "/usr/local/share/ca-certificates"

// updater makes the system's list of authorities out of them.
const updater = "update-ca-certificates"

// Trust is what makes a system trust an authority.
type Trust struct {
	Cert     *x509.Certificate
	From, To string   // the file that is copied
	Update   []string // the command that follows
	There    bool     // To holds this very authority already
}

// ErrNoAnchors is wrapped when a system has no folder for trusted authorities of the kind that is known here.
var ErrNoAnchors = errors.New("this system has no folder " + Anchors)

// PlanTrust looks at an authority and at the system, and changes nothing.
func PlanTrust(file, anchors string, now time.Time) (*Trust, error) {
	certs, err := certificates(file)
	if err != nil {
		return nil, err
	}
	cert := certs[0]
	switch {
	case len(certs) != 1:
		return nil, fmt.Errorf("%s holds %d certificates: name a file with one authority", file, len(certs))
	case !cert.IsCA || !cert.BasicConstraintsValid:
		return nil, fmt.Errorf("%s is no authority, so trusting it does nothing good", file)
	case now.After(cert.NotAfter):
		return nil, fmt.Errorf("%s expired %s", file, Ago(now.Sub(cert.NotAfter)))
	}
	if info, err := os.Stat(anchors); err != nil || !info.IsDir() {
		return nil, ErrNoAnchors
	}
	// The fingerprint in the name keeps two authorities apart, and one from being replaced by another.
	t := &Trust{
		Cert: cert, From: file, To: filepath.Join(anchors, "sealmq-"+Fingerprint(cert)[:16]+".crt"), Update: []string{updater},
	}
	if there, err := certificates(t.To); err == nil {
		t.There = len(there) == 1 && there[0].Equal(cert)
	}
	return t, nil
}

// Do copies the authority and updates the system's list. The output is that of the update.
func (t *Trust) Do() (output []byte, err error) {
	if !t.There {
		if err := privfile.CreateReadable(t.To, certPEM(t.Cert)); err != nil {
			return nil, err
		}
	}
	output, err = exec.Command(t.Update[0], t.Update[1:]...).CombinedOutput() //nolint:gosec // a fixed command
	if err != nil {
		return output, fmt.Errorf("%s: %w", t.Update[0], err)
	}
	return output, nil
}
