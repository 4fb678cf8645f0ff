package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/internal/authn"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/mosquittoconf"
	"github.com/sealmq/sealmq/internal/privfile"
	"github.com/sealmq/sealmq/internal/translation"
	"github.com/sealmq/sealmq/psktls"
)

type configImportCommand struct {
	From           string `arg:"" name:"FROM" help:"Configuration file of Mosquitto 2.0 or 2.1."`
	To             string `arg:"" optional:"" name:"DIR" default:"sealmq-import" help:"Folder to make for sealmq.yaml and what belongs to it; default sealmq-import."`
	AllowPlaintext bool   `name:"allow-plaintext" help:"Keep listeners without encryption reachable from other machines: anyone on the way reads everything, passwords included."`
	DryRun         bool   `name:"dry-run" help:"Say what would become of each line, and write nothing."`
	JSON           bool   `name:"json" help:"Print one JSON object."`
}

// Example is the first line of the command's help.
func (*configImportCommand) Example() string {
	return "sealmq config import /etc/mosquitto/mosquitto.conf"
}

// importDocument is the JSON form.
type importDocument struct {
	Schema string             `json:"schema"`
	Folder string             `json:"folder,omitempty"`
	Lines  []translation.Line `json:"lines"`
	Notes  []string           `json:"notes"`
}

// Run translates, reports every line, and writes the folder as a whole or not at all.
func (c *configImportCommand) Run(a *app) error {
	conf, err := mosquittoconf.Load(c.From)
	if err != nil {
		return err
	}
	files := map[translation.Kind][]byte{}
	var notes []string
	result := translation.Translate(conf, translation.Options{
		AllowPlaintext: c.AllowPlaintext,
		Usable: func(f translation.Copy) error {
			text, said, err := convert(f)
			if err == nil {
				files[f.Kind] = text
				notes = append(notes, said...)
			}
			return err
		},
	})
	notes = append(notes, result.Notes...)
	folder := c.To
	if c.DryRun {
		folder = ""
	} else if err := writeImport(c.To, result, files); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.stdout, importDocument{"sealmq.import/1", folder, result.Lines, notes})
	}
	table := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	for _, l := range result.Lines {
		writef(table, "%s\t%s:%d\t%s\t%s\n", l.Verdict, oneLine(l.File), l.Line, cell(l.Text), oneLine(l.Why))
	}
	table.Flush() //nolint:errcheck // as writef
	for _, n := range notes {
		writef(a.stdout, "note: %s\n", oneLine(n))
	}
	writef(a.stdout, "%d kept, %d tightened, %d refused\n", result.Count(translation.Kept), result.Count(translation.Tightened), result.Count(translation.Refused))
	if !c.DryRun {
		file := filepath.Join(c.To, config.FolderFile)
		writef(a.stdout, "wrote %s\nnext: sealmq doctor %s, then: sealmq serve --config %s\n", file, shellWord(file), shellWord(file))
	}
	return nil
}

// convert reads a file of Mosquitto and returns what takes its place.
func convert(f translation.Copy) (text []byte, notes []string, err error) {
	limit := int64(authn.MaxAccountFile)
	in, err := os.Open(f.From)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, nil, err
	}
	defer in.Close() //nolint:errcheck // only read
	if text, err = io.ReadAll(io.LimitReader(in, limit+1)); err != nil {
		return nil, nil, err
	}
	if int64(len(text)) > limit {
		return nil, nil, fmt.Errorf("longer than %d bytes", limit)
	}
	switch f.Kind {
	case translation.Accounts:
		accounts, err := authn.ParseAccounts(f.From, text)
		if err != nil {
			return nil, nil, err
		}
		weak := 0
		for _, acc := range accounts.All() {
			if acc.Password != nil && acc.Password.Weak() != "" {
				weak++
			}
		}
		if weak > 0 {
			notes = append(notes, fmt.Sprintf("%d accounts have weak verifiers: auth.password.upgrade replaces them when their owners log in", weak))
		}
		return accounts.Bytes(), notes, nil
	case translation.Rules:
		_, err := acl.ParseMosquitto(f.From, string(text))
		return text, nil, err
	default:
		return convertKeys(text)
	}
}

// convertKeys keeps the pre-shared keys that can be used here.
func convertKeys(text []byte) (good []byte, notes []string, err error) {
	n := 0
	for line := range strings.Lines(string(text)) {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || trimmed[0] == '#' {
			good = append(good, trimmed+"\n"...)
			continue
		}
		set, err := psktls.ParseKeySet(strings.NewReader(trimmed), "keys")
		if err != nil || set.Len() != 1 {
			identity, _, _ := strings.Cut(trimmed, ":")
			notes = append(notes, fmt.Sprintf("the pre-shared key of %q is not taken over: keys have at least 16 bytes in hexadecimal", identity))
			continue
		}
		good = append(good, trimmed+"\n"...)
		n++
	}
	if n == 0 {
		return nil, nil, errors.New("no key in it can be used: they have at least 16 bytes in hexadecimal")
	}
	if _, err := psktls.ParseKeySet(bytes.NewReader(good), "keys"); err != nil {
		return nil, nil, err
	}
	return good, notes, nil
}

// writeImport makes the folder, checks it as serve would read it, and only then gives it its name.
func writeImport(dir string, r *translation.Result, files map[translation.Kind][]byte) (err error) {
	if _, err := os.Lstat(dir); err == nil {
		return &failure{exitFailed, "cannot write " + dir, "it is there already, and nothing is overwritten", "give another folder", nil}
	}
	dir = filepath.Clean(dir)
	temp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()
	for _, c := range r.Copies {
		if err := privfile.Create(filepath.Join(temp, c.To), files[c.Kind]); err != nil {
			return err
		}
	}
	file := filepath.Join(temp, config.FolderFile)
	if err := privfile.Create(file, []byte(r.YAML)); err != nil {
		return err
	}
	cfg, err := config.Load(file)
	if err == nil {
		_, err = cfg.Policy()
	}
	if err != nil {
		return &failure{exitFailed, "cannot take the configuration over", err.Error(), "take out or change what it names, or say so with --dry-run", err}
	}
	return os.Rename(temp, dir)
}
