//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestContainer builds the image of packaging/Containerfile and runs it: nothing is in it but the program and an empty folder for
// its user, who is not root; the broker starts, its health check answers, and it ends in order when it is told to stop.
func TestContainer(t *testing.T) {
	buildah := need(t, "buildah", "apt-get install buildah")
	if os.Geteuid() != 0 {
		t.Skip("skipped: run as root, files of the image belong to two users")
	}
	if out, err := exec.Command("unshare", "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("skipped: this machine gives root no mounts of its own, which a container needs: %s", strings.TrimSpace(string(out)))
	}
	file, err := os.ReadFile("../../packaging/Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program, err := os.ReadFile(sealmq(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"bin/volume/data", "packaging", "etc"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, b := range map[string][]byte{
		"bin/sealmq": program, "packaging/Containerfile": file,
		"etc/sealmq.yaml": []byte("version: 1\nlisteners:\n  - {name: local, bind: \"127.0.0.1:0\"}\nauth: {anonymous: true}\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "bin/volume/data"), 0o700); err != nil {
		t.Fatal(err)
	}
	store := t.TempDir()
	do := func(args ...string) []string {
		return append([]string{"--storage-driver", "vfs", "--root", filepath.Join(store, "root"), "--runroot", filepath.Join(store, "run")}, args...)
	}
	mustRun(t, buildah, do("bud", "--isolation", "chroot", "--format", "docker", "-f", filepath.Join(dir, "packaging/Containerfile"), "-t", "sealmq", dir)...)
	container := strings.TrimSpace(mustRun(t, buildah, do("from", "sealmq")...))
	t.Cleanup(func() {
		if out, err := exec.Command(buildah, do("rm", "--all")...).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})

	var image struct {
		Docker struct {
			Config struct {
				User        string
				Healthcheck struct{ Test []string }
			} `json:"config"`
		}
	}
	if err := json.Unmarshal([]byte(mustRun(t, buildah, do("inspect", "--type", "image", "sealmq")...)), &image); err != nil {
		t.Fatal(err)
	}
	check := image.Docker.Config.Healthcheck.Test
	if image.Docker.Config.User != "65532:65532" || len(check) < 2 || check[0] != "CMD" {
		t.Fatalf("the image says %+v", image.Docker.Config)
	}
	root := strings.TrimSpace(mustRun(t, buildah, do("mount", container)...))
	if got, want := listed(t, root), []string{"/data drwx------ 65532", "/sealmq -rwxr-xr-x 0"}; !slices.Equal(got, want) {
		t.Errorf("the image has %q, want %q", got, want)
	}
	mustRun(t, buildah, do("umount", container)...)

	in := do("run", "--isolation", "chroot", "--volume", filepath.Join(dir, "etc")+":/etc/sealmq:ro", container, "--")
	broker := start(t, buildah, append(in, "/sealmq", "serve")...)
	broker.wait(t, "listening on")
	mustRun(t, buildah, append(in, check[1:]...)...) // the health check
	pid := descendant(t, broker.cmd.Process.Pid, "/sealmq\x00serve\x00")
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	broker.wait(t, `"msg":"stopping"`)
	for line := range broker.lines {
		t.Errorf("the broker does not end in order: %s", line)
	}
}

// descendant is the process with that command line among those that a process has started.
func descendant(t *testing.T, of int, command string) int {
	t.Helper()
	parents := map[int]int{}
	found := 0
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		pid, parent := 0, 0
		stat, err := os.ReadFile(filepath.Join(p, "stat"))
		if err != nil {
			continue // it has ended
		}
		behind := stat[strings.LastIndexByte(string(stat), ')')+1:]
		if _, err := fmt.Sscanf(filepath.Base(p)+string(behind), "%d %s %d", &pid, new(string), &parent); err != nil {
			t.Fatal(err)
		}
		parents[pid] = parent
	}
	for pid := range parents {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || string(line) != command {
			continue
		}
		for p := parents[pid]; p > 1; p = parents[p] {
			if p == of {
				found = pid
			}
		}
	}
	if found == 0 {
		t.Fatalf("no process %q was started by %d", command, of)
	}
	return found
}

// listed is every file below a folder with its mode and owner.
func listed(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		all = append(all, fmt.Sprintf("%s %v %d", strings.TrimPrefix(path, root), info.Mode(), info.Sys().(*syscall.Stat_t).Uid))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
