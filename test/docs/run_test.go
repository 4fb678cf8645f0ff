//go:build unix && !race

package docs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/repotree"
)

// patience bounds a command; only one that hangs takes as long.
const patience = 3 * time.Minute

// program is a folder with the sealmq of this tree, built once.
var program = sync.OnceValues(func() (string, error) {
	root, err := repotree.Root()
	if err != nil {
		return "", err
	}
	// The test cache does not see what the go command reads, so it sees the files of this tree being read here.
	if _, err := repotree.Read(root); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", programDir, "./cmd/sealmq")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return programDir, nil
})

var programDir string

func TestMain(m *testing.M) {
	var err error
	if programDir, err = os.MkdirTemp("", "sealmq-docs-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(programDir) //nolint:errcheck // a folder for temporary files
	os.Exit(code)
}

// shell runs the commands of one page in its folder.
type shell struct {
	dir     string
	vars    map[string]string // in the environment, and in the texts of places
	places  []string          // pairs: what a page says, what it is here
	brokers []*background
	log     func(format string, args ...any)
}

// background is a command that runs until its page ends.
type background struct {
	cmd   *exec.Cmd
	mu    sync.Mutex // guards out
	out   bytes.Buffer
	ended chan error
}

func (b *background) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(p)
}

func (b *background) printed() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.String()
}

// newShell makes the folder's environment. With a checkout, the folder has the files of this tree.
func newShell(dir string, p page, log func(string, ...any)) (*shell, error) {
	bin, err := program()
	if err != nil {
		return nil, err
	}
	s := &shell{dir: dir, places: p.places, log: log, vars: map[string]string{
		"HOME": dir, "WORK": dir, "LANG": "C.UTF-8", "GOBIN": filepath.Join(dir, "go-bin"),
		"PATH": strings.Join([]string{filepath.Join(dir, "go-bin"), bin, os.Getenv("PATH")}, string(os.PathListSeparator)),
	}}
	for _, name := range goVariables {
		if v := os.Getenv(name); v != "" {
			s.vars[name] = v
		}
	}
	out, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	caches := strings.Split(strings.TrimSpace(string(out)), "\n")
	s.vars["GOCACHE"], s.vars["GOMODCACHE"] = caches[0], caches[1]
	if p.checkout != "" {
		if err := s.checkOut(p.checkout); err != nil {
			return nil, err
		}
	}
	for name, text := range p.files {
		if err := s.write(name, text); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// goVariables decide how the go command works here.
var goVariables = []string{"GOFLAGS", "GOPROXY", "GOSUMDB", "GOTOOLCHAIN", "GOPATH", "GOROOT", "TMPDIR", "PYTHONPATH", "NODE_PATH"}

// checkOut makes the folder dir of a checkout: with links to its files and to those of the folders above it, so that what is
// built or made there stays there. The commands run in it.
func (s *shell) checkOut(dir string) error {
	root, err := repotree.Root()
	if err != nil {
		return err
	}
	from, to := root, s.dir
	for _, next := range append(strings.Split(filepath.Clean(dir), "/"), "") {
		if next == "." {
			continue
		}
		entries, err := os.ReadDir(from)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Name() == next || e.Name() == "bin" || strings.HasPrefix(e.Name(), ".") || strings.HasPrefix(e.Name(), "sealmq-") {
				continue
			}
			if err := os.Symlink(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
				return err
			}
		}
		from, to = filepath.Join(from, next), filepath.Join(to, next)
		if err := os.MkdirAll(to, 0o700); err != nil {
			return err
		}
	}
	s.dir = to
	return nil
}

func (s *shell) write(name, text string) error {
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(s.here(text)), 0o600)
}

// here is a text of a page with this test's places.
func (s *shell) here(text string) string {
	pairs := make([]string, len(s.places))
	for i, p := range s.places {
		pairs[i] = p
		if i%2 == 1 {
			pairs[i] = os.Expand(p, func(name string) string { return s.vars[name] })
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// serves are commands that run until they are stopped.
var serves = regexp.MustCompile(`^(sealmq|go run \./cmd/sealmq) serve\b`)

// listening is what a broker prints when it is reached.
var listening = regexp.MustCompile(`(?m)^listening on mqtts?://127\.0\.0\.1:(\d+)`)

// run executes a step and says what is not as the page has it.
func (s *shell) run(ctx context.Context, st step) error {
	if st.file != "" {
		return s.write(st.file, strings.Join(st.shown, "\n")+"\n")
	}
	if serves.MatchString(st.command) {
		return s.serve(ctx, st)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := s.command(ctx, st.command)
	out, err := cmd.CombinedOutput()
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.Exited():
		code = exit.ExitCode()
	case err != nil:
		return fmt.Errorf("%w\n%s", err, indent(string(out)))
	}
	if code != st.exit {
		return fmt.Errorf("ends with exit code %d, the page says %d, and prints\n%s", code, st.exit, indent(string(out)))
	}
	return s.compare(st, string(out))
}

func (s *shell) compare(st step, printed string) error {
	if st.shown == nil {
		return nil
	}
	shown := make([]string, len(st.shown))
	for i, line := range st.shown {
		shown[i] = s.here(line)
	}
	return compare(shown, portTaken.ReplaceAllString(printed, ""))
}

// portTaken is what a first start prints on a machine where something else runs.
var portTaken = regexp.MustCompile(`(?m)^sealmq: note: port \d+: .*\n`)

func (s *shell) command(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", s.here(line))
	cmd.Dir = s.dir
	for name, value := range s.vars {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that what it starts ends with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// serve starts a broker and waits until it listens and has printed what the page shows. Commands that name no broker use
// this one from then on.
func (s *shell) serve(ctx context.Context, st step) error {
	b := &background{cmd: s.command(ctx, "exec "+st.command), ended: make(chan error, 1)}
	b.cmd.Stdout, b.cmd.Stderr = b, b
	if err := b.cmd.Start(); err != nil {
		return err
	}
	go func() { b.ended <- b.cmd.Wait() }()
	s.brokers = append(s.brokers, b)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		port := listening.FindStringSubmatch(b.printed())
		wrong := s.compare(st, b.printed())
		if port != nil && wrong == nil {
			s.vars["SEALMQ_HOST"], s.vars["SEALMQ_PORT"] = "127.0.0.1", port[1]
			s.vars["BROKER_PID"] = strconv.Itoa(b.cmd.Process.Pid) // exec: the shell has become the broker
			return nil
		}
		select {
		case err := <-b.ended:
			b.ended <- err
			return fmt.Errorf("the broker ended: %v\n%s", err, indent(b.printed()))
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("the broker listens: %v; %w", port != nil, wrong)
		}
	}
}

// close stops the brokers of a page, the last one first. Each must end in order; the go command, which runs one, never does.
func (s *shell) close() error {
	var all []error
	for i := len(s.brokers) - 1; i >= 0; i-- {
		b := s.brokers[i]
		syscall.Kill(-b.cmd.Process.Pid, syscall.SIGINT) //nolint:errcheck // it may have ended
		select {
		case err := <-b.ended:
			if err != nil && !strings.Contains(b.cmd.Args[2], "go run ") {
				all = append(all, fmt.Errorf("a broker ended with %w\n%s", err, indent(b.printed())))
			}
		case <-time.After(patience):
			syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // it may have ended
			all = append(all, fmt.Errorf("a broker does not stop\n%s", indent(b.printed())))
		}
	}
	return errors.Join(all...)
}

// runPage runs what a page presumes and then its commands. The first one that is wrong ends it, because those behind it build
// on it.
func runPage(ctx context.Context, dir string, p page, found []step, log func(string, ...any)) (err error) {
	s, err := newShell(dir, p, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, line := range p.before {
		if err := s.run(ctx, step{command: line}); err != nil {
			return fmt.Errorf("set-up: %s: %w", line, err)
		}
	}
	for _, st := range found {
		if why := elsewhere(st.command); why != "" {
			log("line %d: not run here: %s: %s", st.line, st.command, why)
			continue
		}
		if err := s.run(ctx, st); err != nil {
			return fmt.Errorf("line %d: %s: %w", st.line, st.command, err)
		}
	}
	return nil
}
