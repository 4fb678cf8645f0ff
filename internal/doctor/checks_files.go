package doctor

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// The permissions that nobody else may have.
const (
	secretBits  fs.FileMode = 0o027 // others read, anybody but the owner writes
	trustedBits fs.FileMode = 0o022
	folderBits  fs.FileMode = 0o077
)

// exposed reports what is too open about a file, and the mode it should have.
func (f *File) exposed() (bits, better fs.FileMode) {
	if f.Missing || f.Err != "" {
		return 0, 0
	}
	mode := f.Mode.Perm()
	switch f.Kind {
	case TrustedFile:
		return mode & trustedBits, mode &^ trustedBits
	case SecretFolder:
		return mode & folderBits, mode &^ folderBits
	default:
		return mode & secretBits, mode &^ 0o077
	}
}

// openFiles adds the files of some kinds that are too open.
func openFiles(m *Model, s *sheet, what string, kinds ...FileKind) {
	for i := range m.Files {
		f := &m.Files[i]
		bits, better := f.exposed()
		if bits == 0 || !slices.Contains(kinds, f.Kind) {
			continue
		}
		s.repair(f.Place, fmt.Sprintf("%s (%s) has mode %04o: %s", f.Path, f.Key, f.Mode.Perm(), what),
			fmt.Sprintf("chmod %o %s", better, f.Path), &Repair{Chmod: &Chmod{f.Path, f.Mode.Perm(), better}})
	}
}

func keyExposed(m *Model, s *sheet) { openFiles(m, s, "others can read or change the key", SecretKey) }

func secretExposed(m *Model, s *sheet) {
	openFiles(m, s, "others can read or change it", SecretFile)
}

func trustWritable(m *Model, s *sheet) {
	openFiles(m, s, "somebody else can change who is trusted", TrustedFile)
}

func dataExposed(m *Model, s *sheet) {
	openFiles(m, s, "others can look into the broker's state", SecretFolder)
}

func fileMissing(m *Model, s *sheet) {
	for _, f := range m.Files {
		switch {
		case f.Missing && f.Kind != SecretFolder:
			s.add(f.Place, fmt.Sprintf("%s (%s) is not there", f.Path, f.Key), "put it there, or correct the path")
		case f.Err != "":
			s.add(f.Place, fmt.Sprintf("%s (%s): %s", f.Path, f.Key, f.Err), "look into it as the user of the broker")
		}
	}
}

func hashWeak(m *Model, s *sheet) {
	for _, a := range m.Accounts {
		if a.Weak == "" {
			continue
		}
		if a.Broken {
			s.atLeast(High)
		}
		s.add(a.Place, fmt.Sprintf("the password of %s is kept with %s", a.Name, a.Weak), m.say(
			"set auth.password.upgrade: true, which replaces it at the next login, or: sealmq passwd add FILE "+a.Name,
			"set the password again with mosquitto_passwd of version 2.1, which writes argon2id", "",
		))
	}
}

func accountProblem(m *Model, s *sheet) {
	for _, a := range m.Accounts {
		switch {
		case a.Passwordless:
			s.add(a.Place, "the account "+a.Name+" logs in with its name alone", m.say("sealmq passwd add FILE "+a.Name, "set a password with mosquitto_passwd", ""))
		case a.Err != "":
			s.add(a.Place, a.Err, "correct the line, or remove it")
		}
	}
}

func keyShared(m *Model, s *sheet) {
	const shown = 5
	for _, k := range m.SharedKeys {
		list := strings.Join(k.Names[:min(shown, len(k.Names))], ", ")
		if len(k.Names) > shown {
			list += fmt.Sprintf(" and %d more", len(k.Names)-shown)
		}
		s.add(k.Place, fmt.Sprintf("%d have one key: %s (%s)", len(k.Names), list, strings.Join(k.Files, ", ")), "give each device a key of its own")
	}
	for _, a := range m.Accounts {
		if a.SameAs != "" {
			s.add(a.Place, a.Name+" has the verifier of "+a.SameAs+", so both have one password", m.say(
				"sealmq passwd add FILE "+a.Name, "set a password of its own with mosquitto_passwd", "",
			))
		}
	}
}

func lockoutWeak(m *Model, s *sheet) {
	switch l := m.Lockout; {
	case l == nil:
	case l.None:
		s.add(l.Place, "passwords can be guessed without end", m.say("", "limit guessing outside of it, for example with fail2ban on its log, and use long random passwords", ""))
	case l.Failures > maxFailures:
		s.add(l.Place, fmt.Sprintf("%d guesses are allowed before an address has to wait", l.Failures), "set auth.lockout.failures: 8")
	case l.For < minLock:
		s.add(l.Place, fmt.Sprintf("an address that guesses waits only %v", l.For), "set auth.lockout.for: 10m")
	}
}
