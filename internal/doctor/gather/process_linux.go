package gather

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sealmq/sealmq/internal/doctor"
)

// Process looks at a broker that runs, as far as this user may. clients is how many connections its configuration allows.
func Process(pid, clients int) *doctor.Process {
	p := &doctor.Process{PID: pid, Clients: clients, NoNewPrivs: true, Seccomp: true}
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if status, err := os.ReadFile(filepath.Join(dir, "status")); err == nil {
		field := func(name string) string {
			_, rest, _ := strings.Cut("\n"+string(status), "\n"+name+":")
			value, _, _ := strings.Cut(rest, "\n")
			return strings.TrimSpace(value)
		}
		uid, _, _ := strings.Cut(field("Uid"), "\t")
		p.Root = uid == "0"
		p.Seccomp = field("Seccomp") == "2"
		p.NoNewPrivs = field("NoNewPrivs") == "1"
		p.Capabilities = strings.Trim(field("CapEff"), "0") != ""
	}
	if limits, err := os.ReadFile(filepath.Join(dir, "limits")); err == nil {
		for line := range strings.Lines(string(limits)) {
			if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
				if f := strings.Fields(rest); len(f) > 0 {
					p.OpenFiles, _ = strconv.Atoi(f[0]) // "unlimited" is 0, which means unknown
				}
			}
		}
	}
	if env, err := os.ReadFile(filepath.Join(dir, "environ")); err == nil {
		p.SecretsInEnv = SecretNames(strings.Split(string(env), "\x00"))
		clear(env)
	}
	if args, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil {
		p.SecretsInArgs = secretFlags(strings.Split(string(args), "\x00"))
		clear(args)
	}
	var t unix.Timex
	if state, err := unix.Adjtimex(&t); err == nil {
		p.ClockUnsynced = state == unix.TIME_ERROR
	}
	return p
}

var (
	secretName = regexp.MustCompile(`(?i)(password|passwd|secret|token|api_?key|private_?key)`)
	fileName   = regexp.MustCompile(`(?i)(_file|_path|_dir|_url)$`)
)

// SecretNames are the names of variables, of lines NAME=VALUE, that hold a secret itself and not where it is.
func SecretNames(env []string) []string {
	var out []string
	for _, e := range env {
		name, value, ok := strings.Cut(e, "=")
		if ok && value != "" && strings.HasPrefix(strings.ToUpper(name), "SEALMQ") && secretName.MatchString(name) && !fileName.MatchString(name) {
			out = append(out, name)
		}
	}
	return out
}

// secretFlags are flags whose value is a secret. Serve has none; wrappers do.
func secretFlags(args []string) []string {
	var out []string
	for _, a := range args {
		name, _, inline := strings.Cut(a, "=")
		if inline && strings.HasPrefix(name, "-") && secretName.MatchString(name) && !strings.Contains(name, "file") {
			out = append(out, name)
		}
	}
	return out
}
