package gather

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/doctor"
)

// Plan is what a repair would do: permissions, and files with lines less.
type Plan struct {
	Chmods []doctor.Chmod
	Edits  []Edit
}

// Edit is one file with lines taken out.
type Edit struct {
	Path  string
	Lines []int // 1-based, ascending
	old   string
	lines []string
}

// Repairs collects the mechanical changes of a report. Each is taken once.
func Repairs(r *doctor.Report) (*Plan, error) {
	p := &Plan{}
	deleted := map[string][]int{}
	for _, f := range r.Findings {
		for _, e := range f.Evidence {
			switch {
			case e.Repair == nil:
			case e.Repair.Chmod != nil && !slices.Contains(p.Chmods, *e.Repair.Chmod):
				p.Chmods = append(p.Chmods, *e.Repair.Chmod)
			case e.Repair.Delete != nil:
				at := e.Repair.Delete
				if !slices.Contains(deleted[at.File], at.Line) {
					deleted[at.File] = append(deleted[at.File], at.Line)
				}
			}
		}
	}
	files := make([]string, 0, len(deleted))
	for path := range deleted {
		files = append(files, path)
	}
	slices.Sort(files)
	for _, path := range files {
		data, err := read(path)
		if err != nil {
			return nil, err
		}
		e := Edit{Path: path, Lines: deleted[path], old: string(data), lines: strings.SplitAfter(string(data), "\n")}
		slices.Sort(e.Lines)
		if e.Lines[0] < 1 || e.Lines[len(e.Lines)-1] > len(e.lines) {
			return nil, fmt.Errorf("%s has changed meanwhile", path)
		}
		p.Edits = append(p.Edits, e)
	}
	return p, nil
}

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Chmods) == 0 && len(p.Edits) == 0 }

// Diff shows the plan: chmod commands, and the edits as a unified diff.
func (p *Plan) Diff() string {
	var b strings.Builder
	for _, c := range p.Chmods {
		fmt.Fprintf(&b, "chmod %o %s  # was %04o\n", c.To, c.Path, c.From)
	}
	for i := range p.Edits {
		b.WriteString(p.Edits[i].diff())
	}
	return b.String()
}

// diff is the unified form without context, which patch understands.
func (e *Edit) diff() string {
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", e.Path, e.Path)
	for i, n := range e.Lines {
		fmt.Fprintf(&b, "@@ -%d +%d,0 @@\n-%s\n", n, n-1-i, strings.TrimRight(e.lines[n-1], "\r\n"))
	}
	return b.String()
}

// content is the file without the lines.
func (e *Edit) content() string {
	var b strings.Builder
	for i, line := range e.lines {
		if !slices.Contains(e.Lines, i+1) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// Apply makes the changes. Permissions are only ever taken away; a file is replaced as a whole and keeps its permissions;
// an edit of a configuration of SealMQ must leave no more problems than there were. It stops at the first error and says
// what was done before.
func (p *Plan) Apply() (done []string, err error) {
	for i := range p.Edits {
		if err := p.Edits[i].check(); err != nil {
			return nil, err
		}
	}
	for _, c := range p.Chmods {
		info, err := os.Lstat(c.Path)
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			err = errors.New("it is a link: change the file it names")
		}
		if err == nil {
			err = os.Chmod(c.Path, info.Mode().Perm()&c.To)
		}
		if err != nil {
			return done, fmt.Errorf("chmod %s: %w", c.Path, err)
		}
		done = append(done, fmt.Sprintf("chmod %o %s", c.To, c.Path))
	}
	for i := range p.Edits {
		e := &p.Edits[i]
		if err := e.apply(); err != nil {
			return done, fmt.Errorf("change %s: %w", e.Path, err)
		}
		done = append(done, fmt.Sprintf("removed %d lines of %s", len(e.Lines), e.Path))
	}
	return done, nil
}

// check makes sure that the rest of the file still means what it meant.
func (e *Edit) check() error {
	if d, err := Dialect(e.Path); err != nil || d != doctor.SealMQ {
		return err
	}
	problems := func(text string) int {
		_, err := config.Parse(e.Path, []byte(text))
		var bad *config.Invalid
		if errors.As(err, &bad) {
			return len(bad.Problems) + bad.More
		}
		return 0
	}
	if before, after := problems(e.old), problems(e.content()); after >= before {
		return fmt.Errorf("%s would not be better without these lines; nothing was changed", e.Path)
	}
	return nil
}

func (e *Edit) apply() error {
	info, err := os.Lstat(e.Path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	if now, err := read(e.Path); err != nil || string(now) != e.old {
		return errors.Join(errors.New("it has changed meanwhile"), err)
	}
	f, err := os.CreateTemp(filepath.Dir(e.Path), ".sealmq-doctor-")
	if err != nil {
		return err
	}
	_, err = f.WriteString(e.content())
	err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), e.Path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
