package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func readText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestUnitIsHardened: the unit keeps what makes a stolen broker worth little.
func TestUnitIsHardened(t *testing.T) {
	unit := readText(t, "../../packaging/sealmq.service")
	var lines []string
	for line := range strings.Lines(unit) {
		lines = append(lines, strings.TrimSpace(line))
	}
	for _, want := range []string{
		"Type=notify", "WatchdogSec=30", "DynamicUser=yes", "StateDirectory=sealmq", "StateDirectoryMode=0700", "CapabilityBoundingSet=",
		"NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes", "PrivateDevices=yes", "PrivateTmp=yes", "ProtectProc=invisible",
		"RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", "RestrictNamespaces=yes", "MemoryDenyWriteExecute=yes", "LockPersonality=yes",
		"SystemCallArchitectures=native", "SystemCallFilter=@system-service", "UMask=0077", "ExecReload=/bin/kill -HUP $MAINPID",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("the unit lacks %s", want)
		}
	}
	for _, line := range lines {
		if strings.HasPrefix(line, "User=root") || strings.Contains(line, "EnvironmentFile") || strings.Contains(strings.ToLower(line), "password=") {
			t.Errorf("the unit has %s", line)
		}
	}
}

// TestContainerHasNothing: the image is the program, and not root.
func TestContainerHasNothing(t *testing.T) {
	file := readText(t, "../../packaging/Containerfile")
	var instructions []string
	for line := range strings.Lines(file) {
		if word, _, _ := strings.Cut(strings.TrimSpace(line), " "); word != "" && word != "#" {
			instructions = append(instructions, word)
		}
	}
	if slices.Contains(instructions, "RUN") || slices.Contains(instructions, "ADD") || instructions[0] != "FROM" ||
		!strings.Contains(file, "\nFROM scratch\n") || strings.Count(file, "\nCOPY ") != 2 || // the program, and the folder of the volume
		!strings.Contains(file, "\nCOPY bin/sealmq /sealmq\n") || !strings.Contains(file, "\nCOPY --chown=65532:65532 bin/volume/ /\n") {
		t.Errorf("more than the program: %v", instructions)
	}
	if !regexp.MustCompile(`(?m)^USER [1-9]\d*:[1-9]\d*$`).MatchString(file) {
		t.Error("the image runs as root")
	}
	if !strings.Contains(file, `HEALTHCHECK`) || !strings.Contains(file, `"status", "--check"`) {
		t.Error("the image has no health check")
	}
}

// TestUnitAsSystemdSeesIt: systemd knows every directive, and rates the exposure of the service.
func TestUnitAsSystemdSeesIt(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("skipped: systemd-analyze is not installed (Debian package systemd)")
	}
	dir := t.TempDir()
	// verify looks for the programs: the unit is checked with ones that are there.
	unit := filepath.Join(dir, "sealmq.service")
	text := strings.ReplaceAll(readText(t, "../../packaging/sealmq.service"), "/usr/bin/sealmq", "/bin/true")
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "sealmq.service") {
			t.Error(line)
		}
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", unit).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Log(strings.TrimSpace(string(out[max(0, len(out)-120):])))
}
