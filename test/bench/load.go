package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// runTimeout bounds one run of the load generator.
const runTimeout = 5 * time.Minute

// result is what the load generator says about one run.
type result struct {
	Rate  float64            `json:"msgs_per_s"`
	CPU   float64            `json:"broker_cpu_us_per_msg"`
	RSS   float64            `json:"broker_rss_kib"`
	Lost  int64              `json:"lost"`
	Twice int64              `json:"duplicated"`
	Extra map[string]float64 `json:"extra"`
	Error []string           `json:"errors"`
}

var errNoLoad = errors.New("no load generator: set SEALMQ_LOAD to the path of one, such as mqttload")

// generator returns the path of the load generator.
func generator() (string, error) {
	path := os.Getenv("SEALMQ_LOAD")
	if path == "" {
		return "", errNoLoad
	}
	if _, err := exec.LookPath(path); err != nil {
		return "", fmt.Errorf("SEALMQ_LOAD: %w", err)
	}
	return path, nil
}

// load runs the generator against a broker.
func load(ctx context.Context, path string, b *running, args ...string) (*result, error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	all := append([]string{"-addr", b.addr, "-pid", strconv.Itoa(b.cmd.Process.Pid)}, args...)
	cmd := exec.CommandContext(ctx, path, all...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", path, strings.Join(all, " "), err, strings.TrimSpace(stderr.String()))
	}
	r := new(result)
	if err := json.Unmarshal(out, r); err != nil {
		return nil, fmt.Errorf("output of %s: %w", path, err)
	}
	if len(r.Error) > 0 {
		return nil, fmt.Errorf("%s: %s", path, r.Error[0])
	}
	return r, nil
}
