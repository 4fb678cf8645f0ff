package config

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/sealmq/sealmq/internal/acl"
)

// mosquittoRules reads the Mosquitto access file. Whoever can write it decides about every right, so it is refused when
// others than its owner can.
func mosquittoRules(file string) ([]acl.Rule, error) {
	info, err := os.Stat(file) // opening a FIFO would wait for its writer
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("acl.mosquitto: %s is not a regular file", file)
	}
	if err != nil {
		return nil, fmt.Errorf("acl.mosquitto: %w", err)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("acl.mosquitto: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	if info, err = f.Stat(); err != nil {
		return nil, fmt.Errorf("acl.mosquitto: %w", err)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o022 != 0 {
		return nil, fmt.Errorf("acl.mosquitto: others than the owner can write %s, which has mode %04o: run chmod 644", file, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, acl.MaxMosquittoFile+1))
	if err != nil {
		return nil, fmt.Errorf("acl.mosquitto: %w", err)
	}
	rules, err := acl.ParseMosquitto(file, string(text))
	if err != nil {
		return nil, fmt.Errorf("acl.mosquitto: %w", err)
	}
	return rules, nil
}

// checkMosquitto refuses rules of two kinds: nobody could tell which of them decides.
func (c *Config) checkMosquitto(d *decoder) {
	if d.nodes["acl.mosquitto"] == nil {
		return
	}
	for path := range d.nodes {
		if strings.HasPrefix(path, "acl.publish") || strings.HasPrefix(path, "acl.subscribe") {
			d.conflict("acl.mosquitto: the rules are in the file and in "+path, "keep one of them", "acl.mosquitto")
			return
		}
	}
}
