package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// switchText is the file that is added to the package: one environment variable switches a mutant on, another names a file
// that the numbers of all that come by are written to.
const switchText = `package %s

import (
	"os"
	"strconv"
	"sync"
)

var (
	mutationID, _ = strconv.Atoi(os.Getenv("MUTATION"))
	mutationTrace = os.Getenv("MUTATION_TRACE")
	mutationSeen  sync.Map
)

func mutationOn(id int) bool {
	if mutationTrace != "" {
		if _, again := mutationSeen.LoadOrStore(id, true); !again {
			f, err := os.OpenFile(mutationTrace, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				panic(err)
			}
			_, _ = f.WriteString(strconv.Itoa(id) + "\n")
			_ = f.Close()
		}
	}
	return id == mutationID
}

func mutationError(id int, err error) error {
	if mutationOn(id) {
		return nil
	}
	return err
}
`

// built is a package's tests with all mutants in them.
type built struct {
	temp    string
	folder  string // of the package, where its tests run
	mutants []Mutant
	reached map[int][]string // tests by the number of a mutant that they come by
	took    map[string]time.Duration
}

func (b *built) binary() string { return filepath.Join(b.temp, "test.exe") }

// build finds the mutants of a package, or of some of its files, and builds its tests. The sources stay as they are: the
// compiler is given others in their place.
func build(ctx context.Context, temp, pkg string, only []string) (*built, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-json=Dir,Name,GoFiles", pkg).Output()
	if err != nil {
		return nil, said("go list", err)
	}
	var p struct {
		Dir, Name string
		GoFiles   []string
	}
	if err := json.Unmarshal(out, &p); err != nil {
		return nil, err
	}
	b := &built{temp: temp, folder: p.Dir, reached: map[int][]string{}, took: map[string]time.Duration{}}
	replace := map[string]string{}
	place := func(name, text string) error {
		path := filepath.Join(temp, name)
		replace[filepath.Join(p.Dir, name)] = path
		return os.WriteFile(path, []byte(text), 0o600)
	}
	for _, name := range p.GoFiles {
		if len(only) > 0 && !slices.Contains(only, name) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err != nil {
			return nil, err
		}
		changed, mutants, err := instrument(name, text, len(b.mutants)+1)
		if err == nil {
			err = place(name, changed)
		}
		if err != nil {
			return nil, err
		}
		b.mutants = append(b.mutants, mutants...)
	}
	if len(b.mutants) == 0 {
		return nil, errors.New("nothing to change in " + pkg)
	}
	if err := place("mutation_switch.go", fmt.Sprintf(switchText, p.Name)); err != nil {
		return nil, err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	file := filepath.Join(temp, "overlay.json")
	if err = errors.Join(err, os.WriteFile(file, overlay, 0o600)); err != nil {
		return nil, err
	}
	_, err = exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", file, "-o", b.binary(), pkg).Output()
	return b, said("go test -c", err)
}

// said is an error of a program with what it wrote.
func said(program string, err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%s: %w\n%s", program, err, exit.Stderr)
	}
	return err
}

// test runs tests by their names and reports what they say.
func (b *built) test(ctx context.Context, names []string, limit time.Duration, env string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := exec.CommandContext(ctx, b.binary(), "-test.failfast", "-test.run", "^("+strings.Join(names, "|")+")$")
	c.Dir, c.Env, c.WaitDelay = b.folder, append(os.Environ(), env), time.Second
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// slowest is how long one test may take, unchanged.
const slowest = 5 * time.Minute

// trace runs each test by itself, unchanged, to learn what it comes by and how long it takes.
func (b *built) trace(ctx context.Context) error {
	c := exec.CommandContext(ctx, b.binary(), "-test.list", "^Test")
	c.Dir = b.folder
	out, err := c.Output()
	if err != nil {
		return said("the list of tests", err)
	}
	file := filepath.Join(b.temp, "trace")
	for name := range strings.FieldsSeq(string(out)) {
		begin := time.Now()
		if err := b.test(ctx, []string{name}, slowest, "MUTATION_TRACE="+file); err != nil {
			return fmt.Errorf("%s fails without any change: %w", name, err)
		}
		b.took[name] = time.Since(begin)
		seen, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		for number := range strings.FieldsSeq(string(seen)) {
			id, err := strconv.Atoi(number)
			if err != nil {
				return err
			}
			if !slices.Contains(b.reached[id], name) { // processes of one test may come by twice
				b.reached[id] = append(b.reached[id], name)
			}
		}
		if err := os.RemoveAll(file); err != nil {
			return err
		}
	}
	return nil
}

// survivors are the mutants that no test notices. A test that does not end has noticed.
func (b *built) survivors(ctx context.Context, workers int) ([]*Mutant, error) {
	var mu sync.Mutex
	var list []*Mutant
	var all sync.WaitGroup
	next := make(chan *Mutant)
	for range workers {
		all.Go(func() {
			for m := range next {
				if b.unnoticed(ctx, m) {
					mu.Lock()
					list = append(list, m)
					mu.Unlock()
				}
			}
		})
	}
	for i := range b.mutants {
		if ctx.Err() == nil {
			next <- &b.mutants[i]
		}
	}
	close(next)
	all.Wait()
	return list, ctx.Err()
}

func (b *built) unnoticed(ctx context.Context, m *Mutant) bool {
	names := b.reached[m.ID]
	if len(names) == 0 {
		return true
	}
	limit := 10 * time.Second
	for _, name := range names {
		limit += 10 * b.took[name]
	}
	return b.test(ctx, names, limit, "MUTATION="+strconv.Itoa(m.ID)) == nil
}
