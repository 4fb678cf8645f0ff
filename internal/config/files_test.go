package config

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// notWatched lists the keys for what the broker writes, and for what only a start reads.
var notWatched = []string{"node.data_dir", "audit.file", "ops.tls.cert", "ops.tls.key", "ops.token"}

// TestFilesKnowsEveryPath sets every key that takes a path, and wants it watched: a file that is read at a reload and not
// watched would need a signal for ever.
func TestFilesKnowsEveryPath(t *testing.T) {
	c := Default()
	d := newDecoder(filepath.Join(t.TempDir(), "sealmq.yaml"))
	var want []string
	set := func(key string, decode func(*yaml.Node)) {
		if slices.Contains(notWatched, key) {
			return
		}
		path := "/f/" + strings.NewReplacer(".", "-", "[", "", "]", "").Replace(key)
		decode(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: path})
		want = append(want, path)
	}
	for _, f := range topKeys {
		if f.Kind == "path" {
			set(f.Path, func(n *yaml.Node) { f.decode(c, d, n) })
		}
	}
	for _, f := range listenerKeys {
		if f.Kind == "path" {
			set(f.Path, func(n *yaml.Node) { f.decode(&c.Listeners[0], d, n) })
		}
	}
	slices.Sort(want)
	if got := c.Files(); !slices.Equal(got, want) || len(want) < 9 {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if got := Default().Files(); len(got) != 0 {
		t.Errorf("without any: %v", got)
	}
}
