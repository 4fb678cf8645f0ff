//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startHome runs "sealmq serve" in a folder, with the program that wraps it if one is given, and returns the lines that
// it printed for pasting.
func startHome(t *testing.T, dir string, wrap ...string) (paste []string, all string, stopIt func()) {
	t.Helper()
	if os.Getenv("SEALMQ_INTEROP_BROKER") != "" {
		t.Skip("skipped: the lines are of our own program")
	}
	program := os.Getenv("SEALMQ_BIN")
	if program == "" {
		program = filepath.Join("..", "..", "bin", "sealmq")
	}
	program, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{program, "serve"}
	if len(wrap) > 0 {
		args = append(append([]string{}, wrap...), program+" serve")
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	output := &synchronized{}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	stopped := false
	stopIt = func() {
		if !stopped {
			stopped = true
			stop(t, cmd, exited)
		}
	}
	t.Cleanup(func() {
		stopIt()
		if t.Failed() {
			t.Logf("output of serve:\n%s", output)
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		text := strings.ReplaceAll(output.String(), "\r\n", "\n")
		if _, rest, found := strings.Cut(text, "Try it from other terminals; stop the broker with Ctrl-C:\n"); found {
			if lines, _, complete := strings.Cut(rest, "\n\n"); complete {
				for line := range strings.Lines(lines) {
					paste = append(paste, strings.TrimSpace(line))
				}
				return paste, text, stopIt
			}
		}
		select {
		case err := <-exited:
			exited <- err
			t.Fatalf("the broker ended: %v\n%s", err, text)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing to paste in\n%s", text)
		}
	}
}

// find returns the line with all the words.
func find(t *testing.T, lines []string, words ...string) string {
	t.Helper()
	for _, line := range lines {
		missing := false
		for _, w := range words {
			missing = missing || !strings.Contains(line, w)
		}
		if !missing {
			return line
		}
	}
	t.Fatalf("no line with %q in\n%s", words, strings.Join(lines, "\n"))
	return ""
}

// pasteAll does what a person does with the printed lines: subscribes, publishes, and looks for the messages.
func pasteAll(t *testing.T, lines []string) {
	t.Helper()
	sh := need(t, "sh", "a POSIX shell")
	// Without stdbuf the subscriber keeps its lines; -d shows when the subscription stands.
	sub := start(t, sh, "-c", "exec stdbuf -oL "+find(t, lines, "mosquitto_sub")+" -d")
	sub.wait(t, "Subscribed")
	mustRun(t, sh, "-c", find(t, lines, "mosquitto_pub", "--cafile"))
	sub.wait(t, "test/hello hello")
	mustRun(t, sh, "-c", find(t, lines, " pub ", "--password-file"))
	sub.wait(t, "test/hello hello")
	local := start(t, sh, "-c", "exec "+find(t, lines, " sub ")+" -d")
	local.wait(t, "received SUBACK")
	mustRun(t, sh, "-c", find(t, lines, "mosquitto_pub", "--psk-identity"))
	local.wait(t, "devices/device1/hello hello")
}

// TestHome starts the program with nothing in an empty folder, and pastes what it prints. A second start uses the same
// folder. Without a terminal no secret is printed.
func TestHome(t *testing.T) {
	need(t, "mosquitto_pub", mosquittoClients)
	need(t, "stdbuf", "apt-get install coreutils")
	dir := t.TempDir()
	lines, all, stopIt := startHome(t, dir)
	pasteAll(t, lines)
	secret, err := os.ReadFile(filepath.Join(dir, "sealmq-data", "admin.password"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := os.ReadFile(filepath.Join(dir, "sealmq-data", "psk.txt"))
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(strings.TrimSpace(string(keys)), "device1:")
	password := strings.TrimSpace(string(secret))
	if len(password) < 20 || len(key) != 64 || strings.Contains(all, password) || strings.Contains(all, key) {
		t.Error("a secret was printed where there is no terminal")
	}
	// What the first user and the first device may not do, and who may not come in at all.
	sub := strings.Replace(find(t, lines, "mosquitto_sub"), "'test/#'", "'$SYS/#'", 1) + " -W 1"
	if out, _ := run(t, "sh", "-c", sub); strings.Contains(out, "$SYS/") {
		t.Errorf("the first user reads $SYS: %q", out)
	}
	local := find(t, lines, " sub ")
	port := strings.Fields(local[strings.Index(local, " -p "):])[1]
	if _, code := run(t, "mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-t", "test/hello", "-m", "x"); code == 0 {
		t.Error("a client without a login was let in on loopback")
	}
	watch := start(t, "sh", "-c", "exec "+local+" -d")
	watch.wait(t, "received SUBACK")
	foreign := strings.Replace(find(t, lines, "--psk-identity"), "devices/device1/hello", "devices/device2/hello", 1)
	run(t, "sh", "-c", foreign)
	mustRun(t, "sh", "-c", find(t, lines, "--psk-identity"))
	if got := watch.wait(t, "devices/device"); !strings.Contains(got, "devices/device1/hello hello") {
		t.Errorf("a device published for another: %q", got)
	}
	stopIt()

	again, _, stopAgain := startHome(t, dir)
	if strings.Join(again, "\n") != strings.Join(lines, "\n") {
		t.Errorf("the second start prints\n%s", strings.Join(again, "\n"))
	}
	pasteAll(t, again)
	stopAgain()
}

// TestHomeOnATerminal: there the lines hold the secrets, and still work.
func TestHomeOnATerminal(t *testing.T) {
	need(t, "mosquitto_pub", mosquittoClients)
	need(t, "stdbuf", "apt-get install coreutils")
	script := need(t, "script", "apt-get install bsdutils")
	dir := t.TempDir()
	lines, all, _ := startHome(t, dir, script, "-q", "-e", "-f", "/dev/null", "-c")
	secret, err := os.ReadFile(filepath.Join(dir, "sealmq-data", "admin.password"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(all, "-P "+strings.TrimSpace(string(secret))) || strings.Contains(strings.Join(lines, "\n"), "$(") {
		t.Errorf("the lines are\n%s", strings.Join(lines, "\n"))
	}
	pasteAll(t, lines)
}

// TestMutualTLSHome: the folder of the strict profile lets in who has a certificate, until it is revoked.
func TestMutualTLSHome(t *testing.T) {
	need(t, "mosquitto_pub", mosquittoClients)
	dir := t.TempDir()
	program := os.Getenv("SEALMQ_BIN")
	if program == "" {
		program = filepath.Join("..", "..", "bin", "sealmq")
	}
	data := filepath.Join(dir, "sealmq-data")
	mustRun(t, program, "init", data, "--profile", "strict", "--non-interactive")
	lines, _, _ := startHome(t, dir)
	mustRun(t, "sh", "-c", find(t, lines, "mosquitto_pub", "--cert"))
	mustRun(t, "sh", "-c", find(t, lines, " pub ", "--cert"))
	port := strings.Fields(lines[0][strings.Index(lines[0], " -p "):])[1]
	device := []string{
		"-h", "localhost", "-p", port, "--cafile", filepath.Join(data, "ca.crt"),
		"--cert", filepath.Join(data, "device1.crt"), "--key", filepath.Join(data, "device1.key"),
	}
	sub := start(t, "stdbuf", append([]string{"-oL", "mosquitto_sub", "-d", "-t", "devices/device1/#"}, device...)...)
	sub.wait(t, "Subscribed")
	mustRun(t, program, "ca", "revoke", filepath.Join(data, "device1.crt"), "--dir", data)
	sub.wait(t, "Client") // the broker ends the connection without a signal; the client says that it connects again
	if _, code := run(t, "mosquitto_pub", append(device, "-t", "devices/device1/x", "-m", "x")...); code == 0 {
		t.Error("a revoked certificate was let in")
	}
	if _, code := run(t, program, "ca", "inspect", filepath.Join(data, "device1.crt")); code != 7 {
		t.Errorf("inspect of a revoked certificate: exit code %d", code)
	}
	if _, code := run(t, program, "ca", "inspect", "localhost:"+port, "--ca", filepath.Join(data, "ca.crt")); code != 0 {
		t.Errorf("inspect of the broker: exit code %d", code)
	}
}
