package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/term"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/mqtt"
)

const maxSecretLine = 64 << 10 // bytes; a password has at most 65,535

// login finds user name and password.
func (f *brokerFlags) login(cfg *client.Config, a *app) error {
	cfg.Username = f.Username
	sources := 0
	for _, given := range []bool{f.Password != "", f.PasswordFile != "", f.AskPassword} {
		if given {
			sources++
		}
	}
	if f.Password != "" && sources > 1 && f.PasswordFile == a.getenv("SEALMQ_PASSWORD_FILE") && !f.AskPassword {
		sources = 1 // what is on the command line wins over the environment
	}
	if sources > 1 {
		return usageError("cannot use more than one password", "-P, --password-file and --ask-password exclude each other", "")
	}
	var err error
	var password []byte
	switch {
	case f.Password != "":
		a.warn("-P: the process list shows the password; prefer --password-file")
		password = []byte(f.Password)
	case f.PasswordFile != "":
		password, err = readSecretFile(f.PasswordFile, a)
	case f.AskPassword:
		password, err = askSecret(a, "Password: ")
	}
	if err != nil {
		return err
	}
	if password != nil && f.Username == "" && cfg.Version != mqtt.V5 {
		return usageError("cannot use a password", "before MQTT 5 it needs a user name", "add -u NAME")
	}
	cfg.Password = password
	return nil
}

// readSecretFile returns the first line of a file, and warns when others can read it.
func readSecretFile(name string, a *app) ([]byte, error) {
	if name == "-" {
		return readSecretLine(a.stdin, "standard input")
	}
	f, err := os.Open(name) //nolint:gosec // named by the user
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	if info, err := f.Stat(); err == nil && runtime.GOOS != "windows" && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		a.warn(name + " can be read by others: chmod 600 " + name)
	}
	return readSecretLine(f, name)
}

// readSecretLine reads byte by byte, so that nothing behind the line is taken from a stream that others read on.
func readSecretLine(r io.Reader, name string) ([]byte, error) {
	br, ok := r.(io.ByteReader)
	if !ok {
		br = bufio.NewReaderSize(r, 16)
		if r == io.Reader(os.Stdin) {
			br = oneByte{r}
		}
	}
	var line []byte
	for {
		c, err := br.ReadByte()
		if errors.Is(err, io.EOF) || err == nil && c == '\n' {
			line = bytes.TrimSuffix(line, []byte("\r"))
			if len(line) == 0 {
				return nil, &failure{exitFailed, "cannot use " + name, "its first line is empty", "", nil}
			}
			return line, nil
		}
		if err != nil {
			return nil, err
		}
		if line = append(line, c); len(line) > maxSecretLine {
			return nil, &failure{exitFailed, "cannot use " + name, "its first line is too long for a secret", "", nil}
		}
	}
}

type oneByte struct{ io.Reader }

// ReadByte implements io.ByteReader.
func (r oneByte) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r.Reader, b[:])
	return b[0], err
}

// askSecret asks on the terminal that the process belongs to, whatever standard input is.
func askSecret(a *app, prompt string) ([]byte, error) {
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) && term.IsTerminal(int(os.Stdin.Fd())) {
		terminal, err = os.Stdin, nil // where there is no /dev/tty
	}
	if err != nil {
		return nil, usageError("cannot ask for a secret", "there is no terminal", "use --password-file FILE or --passphrase-file FILE")
	}
	if terminal != os.Stdin {
		defer terminal.Close() //nolint:errcheck // a terminal
	}
	writef(a.stderr, "%s", prompt)
	password, err := term.ReadPassword(int(terminal.Fd()))
	writef(a.stderr, "\n")
	return password, err
}

// warn prints a warning. The flags decide that it is wanted: --quiet silences notes, not dangers.
func (a *app) warn(s string) { writef(a.stderr, "sealmq: warning: %s\n", oneLine(s)) }

// alarm prints a warning in red, every time.
func (a *app) alarm(s string) {
	red, plain := "", ""
	if a.colour {
		red, plain = "\x1b[31m", "\x1b[0m"
	}
	writef(a.stderr, "sealmq: %sWARNING: %s%s\n", red, oneLine(s), plain)
}
