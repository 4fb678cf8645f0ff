// Package setup makes the folder with which a broker starts safely when nobody has configured anything: an authority, a
// certificate for the names of this machine, a first user, a device with a pre-shared key, and a configuration that says
// so in words. The folder appears as a whole or not at all.
package setup

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/authn"
	"github.com/sealmq/sealmq/internal/ca"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/privfile"
	"github.com/sealmq/sealmq/internal/transport"
)

// Profile is who is going to connect.
type Profile string

// The profiles. Home is what serve makes by itself.
const (
	Home   Profile = "home"   // people and programs with a password, devices with a pre-shared key
	Plant  Profile = "plant"  // devices with a certificate or a pre-shared key, operators with a certificate
	Strict Profile = "strict" // certificates only, on one listener
)

// The files of a folder that do not depend on names.
const (
	serverFile   = "server"
	passwordFile = "passwd"
	pskFile      = "psk.txt"
	secretSuffix = ".password"
	// Device is the name of the first device.
	Device = "device1"
	// DefaultUser is the name of the first user.
	DefaultUser = "admin"
)

// serverDays is the lifetime of the server's certificate. It is renewed at a start that finds it near its end.
const serverDays = 397

// Options are what the folder is made of.
type Options struct {
	Dir     string
	Profile Profile
	Hosts   []string // names and addresses of this machine that it does not know itself
	User    string   // name of the first user; "" means DefaultUser
	Now     time.Time

	usual ports // tests must not take the ports of a broker on this machine
}

// Made says what was made.
type Made struct {
	Names []string // what the server's certificate is for
	Notes []string // sentences about what is not as usual
}

// ErrOccupied is wrapped when the folder is there, has something in it, and no configuration.
var ErrOccupied = errors.New("it is there, is not empty, and has no " + config.FolderFile)

// Exists reports whether a folder has a configuration.
func Exists(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, config.FolderFile))
	return err == nil && info.Mode().IsRegular()
}

// Make makes the folder. Two processes that do so at the same time wait for each other; the second finds the folder and
// returns nil. After an error, or a crash, there is no folder.
func Make(ctx context.Context, o Options) (made *Made, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o750); err != nil {
		return nil, err
	}
	lock := filepath.Join(parent, "."+filepath.Base(dir)+".lock")
	err = privfile.WithLock(lock, func() error {
		defer os.Remove(lock) //nolint:errcheck // only tidiness
		if Exists(dir) {
			return nil
		}
		if err := free(dir); err != nil {
			return err
		}
		temp := filepath.Join(parent, "."+filepath.Base(dir)+".new") // also what a crash left behind
		if err := os.RemoveAll(temp); err != nil {
			return err
		}
		if made, err = o.build(ctx, temp); err != nil {
			return errors.Join(err, os.RemoveAll(temp))
		}
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(err, os.RemoveAll(temp))
		}
		if err := errors.Join(privfile.SyncDir(temp), os.Rename(temp, dir)); err != nil {
			return errors.Join(err, os.RemoveAll(temp))
		}
		return privfile.SyncDir(parent)
	})
	return made, err
}

// free refuses a folder with something in it: nobody knows what that is.
func free(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s: %w", dir, ErrOccupied)
	}
	return nil
}

func (o *Options) check() error {
	if o.User == "" {
		o.User = DefaultUser
	}
	switch o.Profile {
	case "":
		o.Profile = Home
	case Home, Plant, Strict:
	default:
		return fmt.Errorf("%q is not a profile: there are home, plant and strict", o.Profile)
	}
	if err := ca.CheckFileName(o.User); err != nil {
		return fmt.Errorf("user name: %w", err)
	}
	if o.User == serverFile || o.User == Device || o.User == passwordFile {
		return fmt.Errorf("user name: %q is the name of a file here", o.User)
	}
	for _, h := range o.Hosts {
		if !ca.IsHost(h) {
			return fmt.Errorf("%q is not a host name or an address", h)
		}
	}
	return nil
}

// build makes everything in a folder that is not there yet, and reads it back as serve would.
func (o *Options) build(ctx context.Context, dir string) (*Made, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	made := &Made{Names: machineNames(o.Hosts)}
	authority, err := ca.Init(dir, ca.Options{}, o.Now)
	if err != nil {
		return nil, err
	}
	if _, err := authority.Issue(ca.Request{
		Name: made.Names[0], File: serverFile, Profile: ca.Server, SANs: made.Names, Days: serverDays,
	}, o.Now); err != nil {
		return nil, err
	}
	if o.Profile != Home {
		for name, profile := range map[string]ca.Profile{o.User: ca.Operator, Device: ca.Device} {
			if _, err := authority.Issue(ca.Request{Name: name, Profile: profile}, o.Now); err != nil {
				return nil, err
			}
		}
	}
	if o.Profile != Strict {
		if err := errors.Join(o.writeAccount(dir), writeKeys(dir)); err != nil {
			return nil, err
		}
	}
	ports, notes, err := o.choosePorts(ctx)
	if err != nil {
		return nil, err
	}
	made.Notes = notes
	file := filepath.Join(dir, config.FolderFile)
	if err := privfile.Create(file, []byte(o.configuration(ports))); err != nil {
		return nil, err
	}
	if _, err := config.Load(file); err != nil {
		return nil, fmt.Errorf("the configuration that was made is not valid: %w", err)
	}
	return made, nil
}

// writeAccount makes the first user's account, and keeps the password beside it for its owner.
func (o *Options) writeAccount(dir string) error {
	b := make([]byte, 15)
	_, _ = rand.Read(b) // never fails
	password := strings.ToLower(base32.StdEncoding.EncodeToString(b))
	v, err := authn.NewVerifier(authn.Argon2id, []byte(password))
	if err != nil {
		return err
	}
	accounts, err := authn.ParseAccounts(passwordFile, []byte("# Accounts. Add one with: sealmq passwd add FILE NAME\n"))
	if err != nil {
		return err
	}
	if err := accounts.SetPassword(o.User, v); err != nil {
		return err
	}
	return errors.Join(
		privfile.Create(filepath.Join(dir, passwordFile), accounts.Bytes()),
		privfile.Create(filepath.Join(dir, o.User+secretSuffix), []byte(password+"\n")),
	)
}

// writeKeys makes the first device's pre-shared key.
func writeKeys(dir string) error {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	text := "# Pre-shared keys of devices, one a line: identity:key in hexadecimal, at least 16 bytes.\n" + Device + ":" + hex.EncodeToString(key) + "\n"
	return privfile.Create(filepath.Join(dir, pskFile), []byte(text))
}

// ports are those of the listeners; 0 for one that the profile does not have.
type ports struct{ local, tls, psk uint16 }

// triedPorts is how many ports are tried for one listener.
const triedPorts = 100

// choosePorts takes the usual ports, or the next free ones, and says whose the usual ones are.
func (o *Options) choosePorts(ctx context.Context) (p ports, notes []string, err error) {
	usual := o.usual
	if usual == (ports{}) {
		usual = ports{local: 1883, tls: 8883, psk: 8886}
	}
	loopback, everywhere := netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Unspecified()
	for _, l := range []struct {
		name  string
		at    netip.Addr
		usual uint16
		port  *uint16
		off   bool
	}{
		{"local", loopback, usual.local, &p.local, o.Profile == Strict},
		{"tls", everywhere, usual.tls, &p.tls, false},
		{"psk", everywhere, usual.psk, &p.psk, o.Profile == Strict},
	} {
		if l.off {
			continue
		}
		var first *transport.BusyError
		for port := l.usual; *l.port == 0; port++ {
			if port == p.tls || port == p.local {
				continue // chosen above
			}
			err := tryPort(ctx, netip.AddrPortFrom(l.at, port))
			var busy *transport.BusyError
			switch {
			case err == nil:
				*l.port = port
			case !errors.As(err, &busy) || port >= l.usual+triedPorts:
				return p, nil, fmt.Errorf("find a port for the listener %s: %w", l.name, err)
			case first == nil:
				first = busy
			}
		}
		if first != nil {
			notes = append(notes, fmt.Sprintf("port %d: %s; the listener %s has port %d instead, from now on", l.usual, first.Why(), l.name, *l.port))
		}
	}
	return p, notes, nil
}

// tryPort opens and closes a port.
func tryPort(ctx context.Context, at netip.AddrPort) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", at.String())
	if err != nil {
		return transport.Busy(at, err)
	}
	return l.Close()
}
