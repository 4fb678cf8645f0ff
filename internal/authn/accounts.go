package authn

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sealmq/sealmq/internal/privfile"
)

// Bounds of an account file.
const (
	MaxAccountFile = 64 << 20 // bytes
	MaxName        = 256      // bytes of a user name
	maxAccountLine = 1024     // bytes
	maxBadLines    = 20       // reported at once
)

// passwordlessWord stands in the file for the proof of an account that needs none.
const passwordlessWord = "passwordless"

// Account is what a file knows about one user name. A name may have one password verifier and one SCRAM verifier for
// each mechanism, on lines of their own.
type Account struct {
	Name         string
	Passwordless bool      // logs in with its name alone; excludes Password
	Password     *Verifier // nil without
	SCRAM        map[Mechanism]*SCRAMVerifier
}

// Accounts is a file of accounts: lines "NAME:VERIFIER" as mosquitto_passwd writes them, "NAME:passwordless", blank
// lines, and comments that begin with #. The order of lines and the comments survive changes.
type Accounts struct {
	lines  []accountLine
	byName map[string]*Account
}

// accountLine is one line; key is "" for blank lines and comments.
type accountLine struct {
	text string
	name string
	key  string // what one name can have once: "password" or a mechanism
}

const passwordKey = "password"

// LineErrors are the lines of an account file that cannot be used. A file with one is refused as a whole.
type LineErrors struct {
	File  string
	Lines []string // "3: why"
}

// Error implements error.
func (e *LineErrors) Error() string { return e.File + ":" + strings.Join(e.Lines, "; "+e.File+":") }

// LoadAccounts reads a file that only its owner can read.
func LoadAccounts(path string) (*Accounts, error) {
	b, err := privfile.Read(path, MaxAccountFile)
	if err != nil {
		return nil, fmt.Errorf("account file: %w", err)
	}
	return ParseAccounts(path, b)
}

// ParseAccounts reads the lines of an account file; name is for errors. A line that is not understood makes the whole
// file an error: half a list of accounts is not what anybody meant.
func ParseAccounts(name string, data []byte) (*Accounts, error) {
	a := &Accounts{byName: map[string]*Account{}}
	bad := &LineErrors{File: name}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if err := a.add(line); err != nil {
			if len(bad.Lines) == maxBadLines {
				bad.Lines = append(bad.Lines, "further lines")
				return nil, bad
			}
			bad.Lines = append(bad.Lines, fmt.Sprintf("%d: %v", n, err))
		}
	}
	if len(bad.Lines) > 0 {
		return nil, bad
	}
	return a, nil
}

// add parses one line and appends it.
func (a *Accounts) add(text string) error {
	if len(text) > maxAccountLine {
		return fmt.Errorf("longer than %d bytes", maxAccountLine)
	}
	if blank := strings.TrimSpace(text); blank == "" || blank[0] == '#' {
		a.lines = append(a.lines, accountLine{text: text})
		return nil
	}
	name, value, ok := strings.Cut(text, ":")
	if !ok {
		return errors.New("no colon between name and verifier")
	}
	if err := CheckName(name); err != nil {
		return err
	}
	acc := a.byName[name]
	if acc == nil {
		acc = &Account{Name: name}
	}
	key, err := acc.set(value)
	if err != nil {
		return err
	}
	a.byName[name] = acc
	a.lines = append(a.lines, accountLine{text: text, name: name, key: key})
	return nil
}

// set takes what stands behind the colon into the account.
func (acc *Account) set(value string) (key string, err error) {
	switch {
	case value == "":
		return "", errors.New("no verifier behind the colon; an account without a password is written NAME:" + passwordlessWord)
	case strings.HasPrefix(value, "SCRAM-"):
		v, err := ParseSCRAMVerifier(value)
		if err != nil {
			return "", err
		}
		if acc.SCRAM[v.mechanism] != nil {
			return "", fmt.Errorf("a second %s verifier for the same name", v.mechanism)
		}
		if acc.SCRAM == nil {
			acc.SCRAM = map[Mechanism]*SCRAMVerifier{}
		}
		acc.SCRAM[v.mechanism] = v
		return string(v.mechanism), nil
	case acc.Passwordless || acc.Password != nil:
		return "", errors.New("a second line for the same name")
	case value == passwordlessWord:
		acc.Passwordless = true
		return passwordKey, nil
	}
	v, err := ParseVerifier(value)
	if err != nil {
		return "", err
	}
	acc.Password = v
	return passwordKey, nil
}

// CheckName reports whether a user name can stand in an account file: UTF-8 of 1 to MaxName bytes without a colon,
// control characters, or blanks at its ends, and not beginning with #.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("the user name is empty")
	case len(name) > MaxName:
		return fmt.Errorf("the user name is longer than %d bytes", MaxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("the user name has characters that cannot be shown")
	case strings.TrimSpace(name) != name || name[0] == '#' || strings.Contains(name, ":"):
		return errors.New("the user name has a colon, begins with #, or has a blank at its end")
	}
	return nil
}

// Get returns the account of a name, nil without one. It must not be changed.
func (a *Accounts) Get(name string) *Account { return a.byName[name] }

// All returns the accounts in the order of their first lines.
func (a *Accounts) All() []*Account {
	var out []*Account
	seen := map[string]bool{}
	for _, l := range a.lines {
		if l.key != "" && !seen[l.name] {
			seen[l.name] = true
			out = append(out, a.byName[l.name])
		}
	}
	return out
}

// Bytes is the file.
func (a *Accounts) Bytes() []byte {
	var b bytes.Buffer
	for _, l := range a.lines {
		b.WriteString(l.text)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// SetPassword gives the name a verifier, in the place of its old one if it has one.
func (a *Accounts) SetPassword(name string, v *Verifier) error { return a.put(name, v.Encode()) }

// SetPasswordless lets the name log in without a proof.
func (a *Accounts) SetPasswordless(name string) error { return a.put(name, passwordlessWord) }

// SetSCRAM gives the name a SCRAM verifier, in the place of its old one of the same mechanism.
func (a *Accounts) SetSCRAM(name string, v *SCRAMVerifier) error { return a.put(name, v.Encode()) }

func (a *Accounts) put(name, value string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	key, err := new(Account).set(value)
	if err != nil {
		return err
	}
	line := accountLine{text: name + ":" + value, name: name, key: key}
	if i := slices.IndexFunc(a.lines, func(l accountLine) bool { return l.name == name && l.key == key }); i >= 0 {
		a.lines[i] = line
	} else {
		a.lines = append(a.lines, line)
	}
	return a.reindex()
}

// Remove deletes the lines of a name and reports whether there were any.
func (a *Accounts) Remove(name string) bool {
	before := len(a.lines)
	a.lines = slices.DeleteFunc(a.lines, func(l accountLine) bool { return l.key != "" && l.name == name })
	delete(a.byName, name)
	return len(a.lines) != before
}

// reindex reads the lines again, so that what a change leaves is what a reader of the file sees.
func (a *Accounts) reindex() error {
	next, err := ParseAccounts("accounts", a.Bytes())
	if err != nil {
		return err
	}
	*a = *next
	return nil
}

// EditAccounts changes a file: it is read, changed by f and replaced as a whole while a lock next to it keeps other
// writers out. A file that does not exist is empty when create is set. When f fails, nothing is written.
func EditAccounts(path string, create bool, f func(*Accounts) error) error {
	return privfile.WithLock(path+".lock", func() error {
		a, err := LoadAccounts(path)
		if errors.Is(err, fs.ErrNotExist) && create {
			a, err = ParseAccounts(path, nil)
		}
		if err != nil {
			return err
		}
		if err := f(a); err != nil {
			return err
		}
		b := a.Bytes()
		if len(b) > MaxAccountFile {
			return fmt.Errorf("%s would be longer than %d bytes", path, MaxAccountFile)
		}
		if err := privfile.Write(path, b); err != nil {
			return fmt.Errorf("write the account file: %w", err)
		}
		return nil
	})
}
